#include "sprite/record.h"

#include <unistd.h>
#include <algorithm>

#include <boost/describe/class.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value_from.hpp>
#include <boost/json/value_to.hpp>

#include "store/volume_database.h"

namespace sprite {

BOOST_DESCRIBE_STRUCT(Record, (),
                      (id, name, image, image_name, memory_bytes, vcpus, mac_address, vm_id, born_in, url_settings,
                       labels, environment, sleep_after, sleep_deep_after, pinned, created_at, updated_at,
                       last_running_at, timer_due_at, wakes_at))

namespace wire {
BOOST_DESCRIBE_STRUCT(UrlSettings, (), (auth, private_access))
}

std::string to_json(const Record& record) { return boost::json::serialize(boost::json::value_from(record)); }

/// What the text does not name is as in a new record, and what we do not know is left out: it may be an older
/// version's, or a newer one's.
Result<Record> record_from_json(std::string_view text) {
  try {
    const boost::json::value read = boost::json::parse(text);
    boost::json::object whole = boost::json::value_from(Record()).as_object();
    for (const auto& [name, value] : read.as_object())
      if (auto* const known = whole.if_contains(name)) *known = value;
    return boost::json::value_to<Record>(boost::json::value(std::move(whole)));
  } catch (const std::exception& wrong) {
    return Error{Error::Kind::corrupt, "the description of a sprite cannot be read", "", {wrong.what()}};
  }
}

namespace {

Result<meta::Database> open_existing(const Path& sprite_dir, const std::string& what) {
  if (::access((sprite_dir / "volume.db").c_str(), F_OK) != 0)  // opening would make an empty one
    return Error{Error::Kind::corrupt, what, "", {"its volume.db is missing"}};
  return store::open_volume_database(sprite_dir);
}

}  // namespace

Result<Record> load_record(const Path& sprite_dir) {
  const std::string what = "cannot read the record of the sprite in '" + sprite_dir.string() + "'";
  TRY_LET(meta::Database database, open_existing(sprite_dir, what));
  TRY_LET(meta::Query query, database.query("select value from record where name = 'sprite'"));
  TRY_LET(const bool found, query.next());
  if (!found) return Error{Error::Kind::corrupt, what, "", {"its volume.db has none"}};
  auto record = record_from_json(query.text(0));
  if (!record) return std::move(record).error().within(what);
  return record;
}

Result<> save_record(meta::Database& database, const Record& record) {
  const std::string text = to_json(record);
  return database.run("insert or replace into record (name, value) values ('sprite', ?)", {std::string_view(text)});
}

Result<> save_record(const Path& sprite_dir, const Record& record) {
  TRY_LET(meta::Database database, store::open_volume_database(sprite_dir));
  return save_record(database, record);
}

void take_sleep_settings(Record& copy, const Record& of) {
  copy.sleep_after = of.sleep_after;
  copy.sleep_deep_after = of.sleep_deep_after;
  copy.pinned = of.pinned;
}

Result<> save_last_running(const Path& sprite_dir, const std::string& time) {
  TRY_LET(meta::Database database,
          open_existing(sprite_dir, "cannot write the record of the sprite in '" + sprite_dir.string() + "'"));
  return database.run(
      "update record set value = json_set(value, '$.last_running_at', ?1) where name = 'sprite' and "
      "coalesce(json_extract(value, '$.last_running_at'), '') < ?1",
      {std::string_view(time)});
}

bool is_one_line(std::string_view text) {
  return std::ranges::none_of(text, [](unsigned char c) { return c < 0x20 || c == 0x7f; });
}

}  // namespace sprite
