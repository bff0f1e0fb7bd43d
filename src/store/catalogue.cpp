#include "store/catalogue.h"

#include <unistd.h>

#include "base/text.h"

namespace sprite::store {
namespace {

std::array<std::byte, Root::wire_bytes> encode(const Root& root) {
  std::array<std::byte, Root::wire_bytes> bytes{};
  std::ranges::copy(root.pack, bytes.begin());
  store_little(bytes.data() + 32, root.offset);
  store_little(bytes.data() + 36, root.length);
  store_little(bytes.data() + 40, root.checksum);
  return bytes;
}

std::optional<Root> decode(ByteView bytes) {
  if (bytes.size() != Root::wire_bytes) return std::nullopt;
  Root root;
  std::ranges::copy(bytes.first(32), root.pack.begin());
  root.offset = load_little<std::uint32_t>(bytes.data() + 32);
  root.length = load_little<std::uint32_t>(bytes.data() + 36);
  root.checksum = load_little<std::uint32_t>(bytes.data() + 40);
  return root;
}

Result<> insert_layer(meta::Database& database, const LayerRow& layer) {
  const auto number = [](std::optional<std::int64_t> value) {
    return value ? meta::Value(*value) : meta::Value(nullptr);
  };
  const meta::Value id = layer.number == image_layer ? meta::Value(nullptr) : meta::Value(ByteView(layer.id));
  const auto root = encode(layer.root.value_or(Root{}));
  return database.run("insert into layer(number, parent, id, local, local_below, root) values(?, ?, ?, ?, ?, ?)",
                      {layer.number, number(layer.parent), id, std::int64_t{layer.local}, number(layer.local_below),
                       layer.root ? meta::Value(ByteView(root)) : meta::Value(nullptr)});
}

/// Of a row `l` of layer: nobody reads through its root.
constexpr auto root_is_unused =
    " not exists(select 1 from checkpoint where layer = l.number)"
    " and not exists(select 1 from layer c where c.parent = l.number and c.root is null)";

constexpr auto select_checkpoint =
    "select number, layer, automatic, comment, created_at, ordinal, crash_consistent,"
    " (select lower(hex(id)) from layer where layer.number = checkpoint.layer) from checkpoint";

Checkpoint read_checkpoint(meta::Query& query) {
  return {query.integer(0),
          query.integer(1),
          query.integer(2) != 0 ? Automatic::yes : Automatic::no,
          query.text(3),
          query.text(4),
          query.integer(5),
          query.integer(6) != 0 ? Consistency::crash : Consistency::at_rest,
          query.text(7)};
}

}  // namespace

Error Catalogue::corrupt(std::string_view why) const {
  return Error{Error::Kind::corrupt, "'" + (directory_ / "volume.db").string() + "' is damaged: " + std::string(why)};
}

Result<Catalogue> Catalogue::open(const Path& directory) {
  if (::access((directory / "volume.db").c_str(), F_OK) != 0)
    return system_error("there is no disk in '" + directory.string() + "'");
  TRY_LET(meta::Database database, open_volume_database(directory));
  Catalogue catalogue(directory, std::move(database));
  TRY_LET(meta::Query query, catalogue.database_.query("select size_bytes from volume"));
  TRY_LET(const bool exists, query.next());
  if (!exists) return catalogue.corrupt("it describes no volume");
  catalogue.size_bytes_ = static_cast<std::uint64_t>(query.integer(0));
  if (catalogue.size_bytes_ == 0 || catalogue.size_bytes_ % block_bytes != 0 ||
      catalogue.size_bytes_ > volume_bytes_max)
    return catalogue.corrupt("the volume's size is impossible");
  return catalogue;
}

Result<Bytes> Catalogue::build(std::uint64_t size_bytes, const std::vector<LayerRow>& layers,
                               const FillDatabase& others) {
  return build_volume_database([&](meta::Database& database) -> Result<> {
    TRY_LET(meta::Transaction transaction, meta::Transaction::begin(database));
    for (const LayerRow& layer : layers) TRY(insert_layer(database, layer));
    TRY(database.run("insert into volume(id, size_bytes, top, next_layer, next_checkpoint) values(1, ?, ?, ?, 0)",
                     {static_cast<std::int64_t>(size_bytes), layers.front().number, layers.front().number + 1}));
    if (others) TRY(others(database));
    return std::move(transaction).commit();
  });
}

Result<std::int64_t> Catalogue::top() {
  TRY_LET(meta::Query query, database_.query("select top from volume"));
  TRY_LET(const bool exists, query.next());
  if (!exists) return corrupt("it describes no volume");
  return query.integer(0);
}

Result<std::vector<LayerRow>> Catalogue::read_layers(meta::Query query) {
  std::vector<LayerRow> layers;
  for (;;) {
    TRY_LET(const bool more, query.next());
    if (!more) return layers;
    LayerRow& layer = layers.emplace_back();
    layer.number = query.integer(0);
    if (!query.is_null(1)) layer.parent = query.integer(1);
    if (layer.number != image_layer && query.blob(2).size() != layer.id.size()) return corrupt("a layer's id is wrong");
    std::ranges::copy(query.blob(2), layer.id.begin());
    layer.local = query.integer(3) != 0;
    if (!query.is_null(4)) layer.local_below = query.integer(4);
    if (!query.is_null(5)) {
      layer.root = decode(query.blob(5));
      if (!layer.root) return corrupt("a layer's root is wrong");
    }
    if (!layer.local && !layer.root) return corrupt("a layer is nowhere");
  }
}

Result<std::vector<LayerRow>> Catalogue::chain(std::int64_t from) {
  // Numbers fall from child to parent, so that damage cannot make a circle.
  TRY_LET(meta::Query query,
          database_.query(
              "with recursive chain(number, parent, id, local, local_below, root) as ("
              " select number, parent, id, local, local_below, root from layer where number = ?"
              " union all select l.number, l.parent, l.id, l.local, l.local_below, l.root from chain c join layer l"
              " on l.number = c.parent and l.number < c.number) select number, parent, id, local, local_below, root "
              "from chain",
              {from}));
  TRY_LET(auto layers, read_layers(std::move(query)));
  if (layers.empty() || layers.back().parent) return corrupt("a layer is missing");
  return layers;
}

Result<std::vector<LayerRow>> Catalogue::layers() {
  TRY_LET(meta::Query query,
          database_.query("select number, parent, id, local, local_below, root from layer order by number"));
  return read_layers(std::move(query));
}

Result<std::vector<Root>> Catalogue::roots_in_use() {
  TRY_LET(meta::Query query,
          database_.query(std::string("select number, parent, id, local, local_below, root from layer l"
                                      " where root is not null and not (") +
                          root_is_unused + ")"));
  TRY_LET(const auto layers, read_layers(std::move(query)));
  std::vector<Root> roots;
  for (const LayerRow& layer : layers) roots.push_back(*layer.root);
  return roots;
}

Result<std::vector<Checkpoint>> Catalogue::checkpoints() {
  TRY_LET(meta::Query query, database_.query(std::string(select_checkpoint) + " order by number"));
  std::vector<Checkpoint> checkpoints;
  for (;;) {
    TRY_LET(const bool more, query.next());
    if (!more) return checkpoints;
    checkpoints.push_back(read_checkpoint(query));
  }
}

Result<Checkpoint> Catalogue::checkpoint(std::int64_t number) {
  TRY_LET(meta::Query query, database_.query(std::string(select_checkpoint) + " where number = ?", {number}));
  TRY_LET(const bool exists, query.next());
  if (!exists)
    return Error{Error::Kind::not_found,
                 "there is no checkpoint number " + std::to_string(number),
                 "run `sprite checkpoint list`",
                 {}};
  return read_checkpoint(query);
}

Result<std::int64_t> Catalogue::next_layer() {
  TRY_LET(meta::Query query, database_.query("select next_layer from volume"));
  TRY_LET(const bool exists, query.next());
  if (!exists) return corrupt("it describes no volume");
  return query.integer(0);
}

Result<> Catalogue::set_next_layer(std::int64_t number) {
  return database_.run("update volume set next_layer = ?", {number});
}

Result<> Catalogue::insert(const LayerRow& layer) { return insert_layer(database_, layer); }

Result<> Catalogue::set_top(std::int64_t layer) { return database_.run("update volume set top = ?", {layer}); }

Result<> Catalogue::set_root(std::int64_t layer, const Root& root) {
  const auto bytes = encode(root);
  return database_.run("update layer set root = ? where number = ?", {ByteView(bytes), layer});
}

Result<> Catalogue::set_not_local(std::int64_t layer) {
  return database_.run("update layer set local = 0 where number = ?", {layer});
}

Result<> Catalogue::set_local_below(std::int64_t layer, std::optional<std::int64_t> below) {
  return database_.run("update layer set local_below = ? where number = ?",
                       {below ? meta::Value(*below) : meta::Value(nullptr), layer});
}

Result<> Catalogue::splice_out(const LayerRow& layer) {
  TRY(database_.run("update layer set parent = ? where parent = ?",
                    {layer.parent.value_or(image_layer), layer.number}));
  return database_.run("delete from layer where number = ?", {layer.number});
}

Result<bool> Catalogue::is_shared(std::int64_t layer) {
  TRY_LET(meta::Query query, database_.query("select exists(select 1 from checkpoint where layer = ?1)"
                                             " or (select count(*) from layer where parent = ?1) > 1",
                                             {layer}));
  TRY(query.next());
  return query.integer(0) != 0;
}

Result<Checkpoint> Catalogue::add_checkpoint(std::int64_t layer, Automatic automatic, Consistency consistency,
                                             std::string comment) {
  const bool made = automatic == Automatic::no;
  TRY_LET(meta::Query query,
          database_.query("update volume set next_checkpoint = next_checkpoint + 1, next_made = next_made + ?1,"
                          " next_automatic = next_automatic + 1 - ?1"
                          " returning next_checkpoint - 1, next_made - 1, next_automatic - 1",
                          {std::int64_t{made}}));
  TRY_LET(const bool exists, query.next());
  if (!exists) return corrupt("it describes no volume");
  const std::int64_t number = query.integer(0), ordinal = query.integer(made ? 1 : 2);
  TRY(query.next());
  const std::string now = format_time(std::chrono::system_clock::now());
  TRY(database_.run(
      "insert into checkpoint(number, layer, automatic, comment, created_at, ordinal, crash_consistent) values(?, ?, "
      "?, ?, ?, ?, ?)",
      {number, layer, std::int64_t{!made}, std::string_view(comment), std::string_view(now), ordinal,
       std::int64_t{consistency == Consistency::crash}}));
  return checkpoint(number);
}

Result<> Catalogue::remove_checkpoint(std::int64_t number) {
  TRY(database_.run("delete from checkpoint where number = ?", {number}));
  if (database_.changes() == 0)
    return Error{Error::Kind::not_found,
                 "there is no checkpoint number " + std::to_string(number),
                 "run `sprite checkpoint list`",
                 {}};
  return tidy();
}

Result<> Catalogue::tidy() {
  TRY(database_.run(
      "delete from layer where number <> 0 and number not in (with recursive needed(number) as ("
      " select top from volume union select layer from checkpoint"
      " union select l.parent from needed n join layer l on l.number = n.number where l.parent is not null)"
      " select number from needed)"));
  TRY_LET(meta::Query query,
          database_.query(std::string("select number, parent, id, local, local_below, root from layer l"
                                      " where number <> 0 and local = 0 and") +
                          root_is_unused));
  TRY_LET(const auto spent, read_layers(std::move(query)));
  for (const LayerRow& layer : spent) TRY(splice_out(layer));
  return {};
}

}  // namespace sprite::store
