#include "meta/database.h"

#include <doctest/doctest.h>

#include "support/temporary_directory.h"

using namespace sprite;
using namespace sprite::meta;

namespace {

constexpr std::string_view first[] = {"create table word(id integer primary key, text text not null unique)"};
constexpr std::string_view second[] = {
    first[0], "alter table word add column length integer; update word set length = length(text)"};

std::int64_t count(Database& database) {
  auto query = database.query("select count(*) from word");
  REQUIRE(query);
  REQUIRE(query->next());
  return query->integer(0);
}

}  // namespace

TEST_CASE("values come back as they were put in") {
  const test::TemporaryDirectory folder;
  auto database = Database::open(folder / "db", first);
  REQUIRE(database);
  REQUIRE(database->script("create table thing(number integer, text text, blob blob)"));
  const Bytes blob{std::byte{0}, std::byte{255}};
  REQUIRE(database->run("insert into thing values(?, ?, ?)",
                        {std::int64_t{-5}, std::string_view("a\0b", 3), ByteView(blob)}));
  REQUIRE(database->run("insert into thing values(?, ?, ?)", {nullptr, std::string_view(), ByteView()}));
  auto query = database->query("select number, text, blob from thing order by rowid");
  REQUIRE(query);
  REQUIRE(*query->next());
  CHECK(query->integer(0) == -5);
  CHECK(query->text(1) == std::string("a\0b", 3));
  CHECK(std::ranges::equal(query->blob(2), blob));
  REQUIRE(*query->next());
  CHECK(query->is_null(0));
  CHECK_FALSE(query->is_null(1));
  CHECK(query->blob(2).empty());
  CHECK_FALSE(*query->next());
}

TEST_CASE("a transaction that is not committed leaves nothing") {
  const test::TemporaryDirectory folder;
  auto database = Database::open(folder / "db", first);
  REQUIRE(database);
  {
    auto transaction = Transaction::begin(*database);
    REQUIRE(transaction);
    REQUIRE(database->run("insert into word(text) values('undone')"));
  }
  CHECK(count(*database) == 0);
  {
    auto transaction = Transaction::begin(*database);
    REQUIRE(transaction);
    REQUIRE(database->run("insert into word(text) values('kept')"));
    REQUIRE(std::move(*transaction).commit());
  }
  CHECK(count(*database) == 1);
}

TEST_CASE("migrations run once, in order, and a newer database is refused") {
  const test::TemporaryDirectory folder;
  {
    auto database = Database::open(folder / "db", first);
    REQUIRE(database);
    REQUIRE(database->run("insert into word(text) values('four')"));
  }
  for (int i = 0; i < 2; ++i) {
    auto database = Database::open(folder / "db", second);
    REQUIRE(database);
    auto query = database->query("select length from word");
    REQUIRE(query);
    REQUIRE(*query->next());
    CHECK(query->integer(0) == 4);
  }
  const auto older = Database::open(folder / "db", first);
  REQUIRE_FALSE(older);
  CHECK(older.error().kind == Error::Kind::invalid);
}

TEST_CASE("errors have the kind that the caller needs") {
  const test::TemporaryDirectory folder;
  auto database = Database::open(folder / "db", first);
  REQUIRE(database);
  REQUIRE(database->run("insert into word(text) values('once')"));
  CHECK(database->run("insert into word(text) values('once')").error().kind == Error::Kind::exists);
  CHECK(database->run("insert into nonsense values(1)").error().kind == Error::Kind::invalid);
  REQUIRE(write_file_atomically(folder / "junk", std::string(8192, 'x')));
  CHECK(Database::open(folder / "junk", first).error().kind == Error::Kind::corrupt);
  CHECK(Database::open(folder / "no/such/folder/db", first).error().kind == Error::Kind::unavailable);
}
