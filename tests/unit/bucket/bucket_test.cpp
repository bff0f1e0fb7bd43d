#include "bucket/bucket.h"

#include <doctest/doctest.h>

#include <atomic>
#include <thread>

#include "support/temporary_directory.h"

using namespace sprite;
using namespace sprite::bucket;

namespace {

Bytes text(std::string_view text) {
  const ByteView view = as_bytes(text);
  return {view.begin(), view.end()};
}

/// What every kind of bucket does.
void keep_contract(Bucket& bucket) {
  CHECK_FALSE(*bucket.get("packs/aa/none"));
  REQUIRE(bucket.put("packs/aa/one", text("one")));
  REQUIRE(bucket.put("packs/aa/one", text("uno")));
  CHECK(**bucket.get("packs/aa/one") == text("uno"));
  CHECK(**bucket.get_range("packs/aa/one", 1, 1) == text("n"));
  CHECK(**bucket.get_range("packs/aa/one", 1, 100) == text("no"));
  CHECK((*bucket.get_range("packs/aa/one", 100, 1))->empty());
  CHECK_FALSE(*bucket.get("packs/aa"));

  CHECK(*bucket.put_if_absent("log/1", text("first")) == Stored::yes);
  CHECK(*bucket.put_if_absent("log/1", text("second")) == Stored::no);
  CHECK(**bucket.get("log/1") == text("first"));

  REQUIRE(bucket.put("empty", {}));
  CHECK((*bucket.get("empty"))->empty());
  const auto all = bucket.list("");
  REQUIRE(all);
  REQUIRE(all->size() == 3);
  CHECK((*all)[0].key == "empty");
  CHECK((*all)[1].key == "log/1");
  CHECK((*all)[2].bytes == 3);
  CHECK(std::chrono::system_clock::now() - (*all)[2].stored_at < std::chrono::minutes(1));
  CHECK(bucket.list("packs/a")->size() == 1);
  CHECK(bucket.list("nothing")->empty());

  REQUIRE(bucket.remove("log/1"));
  REQUIRE(bucket.remove("log/1"));
  CHECK_FALSE(*bucket.get("log/1"));
  for (const std::string key : {"", "/a", "a/", "a//b", "../a", "a/../b", ".unfinished/x", "a b", "\xc3\xa4"}) {
    CAPTURE(key);
    CHECK(bucket.put(key, {}).error().kind == Error::Kind::invalid);
    CHECK(bucket.get(key).error().kind == Error::Kind::invalid);
  }
}

/// Of several who create the same keys at once, one wins each.
void race(Bucket& bucket) {
  std::atomic<int> won = 0;
  std::vector<std::thread> threads;
  for (int number = 0; number < 4; ++number)
    threads.emplace_back([&, number] {
      for (int i = 0; i < 25; ++i) {
        const auto stored = bucket.put_if_absent("race/" + std::to_string(i), text(std::to_string(number)));
        if (stored && *stored == Stored::yes) ++won;
      }
    });
  for (std::thread& thread : threads) thread.join();
  CHECK(won == 25);
}

}  // namespace

TEST_CASE("a bucket in memory keeps the contract") {
  const auto bucket = memory_bucket();
  keep_contract(*bucket);
  race(*bucket);
}

TEST_CASE("a directory keeps the contract, and leaves nothing unfinished") {
  const test::TemporaryDirectory folder;
  const auto bucket = directory_bucket(folder / "bucket");
  REQUIRE(bucket);
  keep_contract(**bucket);
  race(**bucket);
  CHECK(std::filesystem::is_empty(folder / "bucket/.unfinished"));
  const auto again = directory_bucket(folder / "bucket");
  REQUIRE(again);
  CHECK(**(*again)->get("packs/aa/one") == text("uno"));
}
