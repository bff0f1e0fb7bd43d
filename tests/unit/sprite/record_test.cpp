#include "sprite/record.h"

#include <doctest/doctest.h>

#include "store/volume_database.h"
#include "support/temporary_directory.h"

using namespace sprite;

TEST_CASE("when a sprite ran last is kept, the latest, and nothing else of its record changes") {
  test::TemporaryDirectory folder;
  Record record;
  record.id = "sprite-1";
  record.labels = {"a", "b"};
  REQUIRE(save_record(folder.path(), record));
  REQUIRE(save_last_running(folder.path(), "2026-01-02T00:00:00.000Z"));
  REQUIRE(save_last_running(folder.path(), "2026-01-01T00:00:00.000Z"));  // written later, though it was earlier
  const auto loaded = load_record(folder.path());
  REQUIRE(loaded);
  CHECK(loaded->last_running_at == "2026-01-02T00:00:00.000Z");
  CHECK(loaded->labels == record.labels);
}

TEST_CASE("a record of before sprites had timers is read") {
  Record record;
  record.id = "sprite-1";
  record.timer_due_at = record.wakes_at = "2026-01-02T00:00:00.000Z";
  std::string text = to_json(record);
  CHECK(record_from_json(text)->wakes_at == record.wakes_at);
  const std::string timers = R"(,"timer_due_at":"2026-01-02T00:00:00.000Z","wakes_at":"2026-01-02T00:00:00.000Z")";
  const auto at = text.find(timers);
  REQUIRE(at != std::string::npos);
  const auto old = record_from_json(text.erase(at, timers.size()));
  REQUIRE(old);
  CHECK(old->id == "sprite-1");
  CHECK_FALSE(old->wakes_at);
}

TEST_CASE("no database is made where there is none") {
  test::TemporaryDirectory folder;
  CHECK(save_last_running(folder.path(), "2026-01-01T00:00:00.000Z").error().kind == Error::Kind::corrupt);
  CHECK(load_record(folder.path()).error().kind == Error::Kind::corrupt);
  CHECK_FALSE(std::filesystem::exists(folder / "volume.db"));
}
