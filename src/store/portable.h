#pragma once
/// One file that holds a whole volume: for export and import. FORMAT.md has the bytes.
#include <string>

#include "store/portable_file.h"
#include "store/volume.h"

namespace sprite::store {

/// Writes what `volume` holds (nobody may write to it meanwhile) to the new file `path`; complete and durable, or not
/// there. Errors: exists, invalid (description too long), corrupt, no_space, unavailable.
Result<> export_volume(Volume& volume, const std::string& description, const Path& path);
/// Errors: not_found, corrupt (not such a file), invalid (a newer version), unavailable.
Result<PortableHeader> read_portable_header(const Path& path);
/// Makes a volume of the file inside the existing `directory`. After an error the directory is to be thrown away.
/// `others` as in Volume::create(). Errors: exists, corrupt (naming the place), invalid, no_space, unavailable.
Result<PortableHeader> import_volume(const Path& path, const Path& directory, FillDatabase others = {});

}  // namespace sprite::store
