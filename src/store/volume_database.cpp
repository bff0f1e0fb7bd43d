#include "store/volume_database.h"

#include "store/schema.h"

namespace sprite::store {

Result<meta::Database> open_volume_database(const Path& directory) {
  static constexpr std::string_view migrations[] = {schema_sql};
  return meta::Database::open(directory / "volume.db", migrations);
}

}  // namespace sprite::store
