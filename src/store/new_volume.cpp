#include "store/new_volume.h"

#include <unistd.h>

#include "store/top_layer.h"

namespace sprite::store {

Result<> sync_together(const std::vector<Fd>& files, const Path& directory) {
  for (const Fd& file : files) (void)::sync_file_range(file.get(), 0, 0, SYNC_FILE_RANGE_WRITE);  // only a beginning
  for (const Fd& file : files)
    if (::fsync(file.get()) != 0) return system_error("cannot make new files in '" + directory.string() + "' durable");
  return sync_directory(directory);
}

Result<> make_volume(const NewVolume& volume) {
  const Path database = volume.directory / "volume.db", unfinished = volume.directory / "volume.db.new";
  if (::access(database.c_str(), F_OK) == 0)
    return Error{Error::Kind::exists, "there is a disk in '" + volume.directory.string() + "' already"};
  const LayerRow& top = volume.rows.front();
  const LayerFiles files{volume.directory / "layers", top.number, top.id, volume.size_bytes};
  TRY(make_directories(files.directory));
  TRY(volume.place(files.directory));
  TRY_LET(const Bytes bytes, Catalogue::build(volume.size_bytes, volume.rows, volume.others));
  std::vector<Fd> written;
  TRY_LET(Fd states, TopLayer::create(files));
  written.push_back(std::move(states));
  TRY_LET(Fd rows, open_file(unfinished, O_WRONLY | O_CREAT | O_TRUNC));
  TRY(write_all(rows.get(), bytes));
  written.push_back(std::move(rows));
  TRY(sync_together(written, files.directory));
  if (::rename(unfinished.c_str(), database.c_str()) != 0)
    return system_error("cannot name '" + database.string() + "'");
  return sync_directory(volume.directory);
}

}  // namespace sprite::store
