#pragma once
/// Making a volume's folder: its top layer and volume.db are new, the files below are somebody else's, linked.
#include "store/catalogue.h"
#include "store/volume_database.h"

namespace sprite::store {

struct NewVolume {
  Path directory;  ///< exists
  std::uint64_t size_bytes = 0;
  std::vector<LayerRow> rows{};                         ///< the top first
  std::function<Result<>(const Path& layers)> place{};  ///< puts the files of all but the top into `layers`
  FillDatabase others{};                                ///< rows that others keep in volume.db; may be empty
};

/// Durable when this returns; after a crash before, volume.db is not there. Errors: exists, no_space, unavailable,
/// those of `place` and `others`.
Result<> make_volume(const NewVolume& volume);

/// Makes new files, and the entries of directories, durable. The writing of all begins before the first is waited for,
/// so that a journal can commit them together. Errors: no_space, unavailable.
Result<> sync_together(const std::vector<Fd>& files, const Path& directory);

}  // namespace sprite::store
