#include "store/volume_database.h"

#include "store/schema.h"
#include "store/schema_2.h"
#include "store/schema_3.h"

namespace sprite::store {

namespace {
constexpr std::string_view migrations[] = {schema_sql, schema_2_sql, schema_3_sql};
}

Result<Bytes> build_volume_database(const FillDatabase& fill) { return meta::Database::build(migrations, fill); }

Result<meta::Database> open_volume_database(const Path& directory) {
  return meta::Database::open(directory / "volume.db", migrations);
}

}  // namespace sprite::store
