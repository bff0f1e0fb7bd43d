#include <doctest/doctest.h>
#include <sqlite3.h>

#include <random>

#include "unit/nbd/client.h"
#include "unit/store/place.h"

using namespace sprite;
using namespace sprite::store;
using store::test::Place;

namespace {

/// Counts every SQL statement that begins in this process while it lives, on connections that are opened meanwhile.
class Statements {
 public:
  Statements() { ::sqlite3_auto_extension(reinterpret_cast<void (*)()>(&watch)); }
  ~Statements() { ::sqlite3_cancel_auto_extension(reinterpret_cast<void (*)()>(&watch)); }
  Statements(const Statements&) = delete;
  std::uint64_t count() const { return begun; }

 private:
  static int watch(sqlite3* database, char**, const void*) {
    return ::sqlite3_trace_v2(database, SQLITE_TRACE_STMT, &begins, nullptr);
  }
  static int begins(unsigned, void*, void*, void*) {
    ++begun;
    return 0;
  }
  static inline std::atomic<std::uint64_t> begun = 0;
};

}  // namespace

TEST_CASE("no SQL runs for a guest's requests, whatever they meet") {
  using namespace nbd::command;
  const Statements statements;
  const Place place;
  auto volume = place.open();
  // Something in packs only, something in a lower layer, and the rest in the image or nowhere.
  for (std::uint64_t chunk = 0; chunk < 64; ++chunk)
    REQUIRE(volume->write(8 * MiB + chunk * chunk_bytes, Place::filled(4096, static_cast<char>(chunk + 1))));
  REQUIRE(volume->cut());
  REQUIRE(*volume->seal());
  REQUIRE(*volume->drop_local());
  REQUIRE(volume->write(4 * MiB, Place::filled(MiB, 'l')));
  REQUIRE(volume->checkpoint(""));
  REQUIRE(statements.count() > 10);  // it counts

  const nbd::test::Served served(volume);
  nbd::test::Client guest(served.path());
  guest.enter();
  const std::uint64_t before = statements.count();
  std::mt19937_64 random(1);
  const Bytes data = Place::filled(64 * KiB, 'w');
  for (int i = 0; i < 4000; ++i) {
    const std::uint64_t offset = random() % (place.size_bytes / 512 - 128) * 512;
    const auto length = static_cast<std::uint32_t>((random() % 128 + 1) * 512);
    const nbd::test::Reply reply = [&] {
      switch (random() % 8) {
        case 0: return guest.ask(nbd::command::flush, 0, 0);
        case 1: return guest.ask(trim, offset, length);
        case 2: return guest.ask(write_zeroes, offset, length);
        case 3: return guest.ask(block_status, offset, length);
        case 4:
          return guest.ask(nbd::command::write, offset, length, ByteView(data).first(length), nbd::command_flag::fua);
        case 5: return guest.ask(nbd::command::write, offset, length, ByteView(data).first(length));
        default: return guest.ask(nbd::command::read, offset, length);
      }
    }();
    REQUIRE_FALSE(reply.closed);
    REQUIRE(reply.error == 0);
  }
  CHECK(statements.count() == before);
  REQUIRE(volume->cut());
  CHECK(statements.count() > before);  // on that connection, too
  guest.leave();
}
