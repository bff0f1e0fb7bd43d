#pragma once
/// volume.db: what survives of a volume besides its layers' bytes. It is not on the path of reads and writes.
#include "meta/database.h"

namespace sprite::store {

/// Puts rows into a database that is being made.
using FillDatabase = std::function<Result<>(meta::Database&)>;

/// Opens (or makes) volume.db in a sprite's folder at its newest schema (schema.sql); others than the store keep their
/// rows in it too. Errors: as meta::Database::open().
Result<meta::Database> open_volume_database(const Path& directory);

/// The bytes of a new volume.db, with what `fill` puts into it. Errors: as meta::Database::build().
Result<Bytes> build_volume_database(const FillDatabase& fill);

}  // namespace sprite::store
