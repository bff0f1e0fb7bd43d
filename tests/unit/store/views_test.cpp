// What somebody still reads is not taken away.
#include <doctest/doctest.h>

#include <atomic>
#include <future>
#include <thread>

#include "store/keeper.h"
#include "unit/store/place.h"

using namespace sprite;
using namespace sprite::store;
using store::test::Place;
using namespace std::chrono_literals;

namespace {

constexpr std::uint64_t at = 8 * MiB, length = MiB;

void seal_all(Keeper& keeper) {
  for (bool more = true; more;) {
    const auto sealed = keeper.seal();
    REQUIRE(sealed);
    more = *sealed;
  }
}

struct Opened {
  explicit Opened(const Place& place) : keeper(*Keeper::open(place.directory(), place.runtime(), place.packs)) {
    REQUIRE(keeper->disk().write(at, Place::filled(length, 'a')));
    first = keeper->checkpoint("first", Automatic::no, Consistency::at_rest)->number;
  }
  std::unique_ptr<Keeper> keeper;
  std::int64_t first = 0;
};

/// Begins `change` beside somebody who reads through `view`, which was forgotten: it must wait for him.
template <class Change>
void check_waits(std::shared_ptr<const Keeper::View> view, Change change) {
  auto changing = std::async(std::launch::async, change);
  CHECK(changing.wait_for(100ms) == std::future_status::timeout);
  Bytes bytes(length);
  REQUIRE(view->chain.read(at, bytes, Wait::yes));
  CHECK(bytes == Place::filled(length, 'a'));
  view.reset();
  CHECK(changing.get());
}

}  // namespace

TEST_CASE("storage is given back when nobody reads through a view that was forgotten before") {
  const Place place;
  const Opened opened(place);
  Keeper& keeper = *opened.keeper;
  REQUIRE(keeper.disk().write(at, Place::filled(length, 'b')));
  REQUIRE(keeper.cut());
  seal_all(keeper);
  auto view = keeper.view(opened.first, Wait::yes);
  REQUIRE(view);
  REQUIRE(place.packs->tell_moved());  // forgets views
  CHECK_FALSE(*keeper.view(opened.first, Wait::no));
  check_waits(*std::exchange(view, nullptr), [&] { return static_cast<bool>(keeper.give_back_hidden(0)); });
}

TEST_CASE("files are removed when nobody reads through a view of them") {
  const Place place;
  const Opened opened(place);
  Keeper& keeper = *opened.keeper;
  seal_all(keeper);
  auto view = keeper.view(opened.first, Wait::yes);
  REQUIRE(view);
  const Path file = place.directory() / "layers" / "1.img";
  REQUIRE(std::filesystem::exists(file));
  check_waits(*std::exchange(view, nullptr), [&] { return *keeper.drop_local() && !std::filesystem::exists(file); });
}

TEST_CASE("a run is never empty while its first block changes") {
  std::uint64_t words[2] = {0, 0};
  BlockStates states(words);
  std::atomic<bool> stop = false;
  std::thread changing([&] {
    while (!stop) {
      states.set(0, 1, BlockState::data);
      states.set(0, 1, BlockState::absent);
    }
  });
  std::uint64_t empty = 0;
  for (int i = 0; i < 30'000'000; ++i) empty += states.run(0, 40).count == 0;
  stop = true;
  changing.join();
  CHECK(empty == 0);
}
