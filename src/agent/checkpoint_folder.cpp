#include "agent/checkpoint_folder.h"

#include <linux/auto_fs.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "base/log.h"

namespace sprite::agent {
namespace {

constexpr int unused_after_ms = 60'000;
constexpr auto readme_name = "README.md";
constexpr std::string_view readme = R"(# Checkpoints

Each folder here is the disk as one of the newest checkpoints holds it. They cannot be written. To get a file back, copy it;
to put the whole disk back, run `sprite-env checkpoints restore ID`.

A checkpoint that `sprite checkpoint list` calls crash-consistent was made while the guest did not answer, or had lost its
power: it is shown without what its journal holds, so the last seconds before it may be missing or incomplete here. A
restore or a fork of it replays the journal.
)";

bool same(const wire::ShownCheckpoint& shown, const Path& folder, std::uint64_t offset) {
  return shown.id == folder.filename() && shown.offset_bytes == offset;
}

}  // namespace

Result<std::unique_ptr<CheckpointFolder>> CheckpointFolder::open(const Path& path, CheckpointPartitions& partitions) {
  TRY(write_file_atomically(path.parent_path() / "checkpoints.md", readme, 0644));
  TRY_LET(Pipe requests, make_pipe());
  Fd wake(::eventfd(0, EFD_CLOEXEC));
  if (!wake) return system_error("cannot watch the folder of checkpoints");
  (void)::setpgid(0, 0);  // the group that passes: ours, and not that of PID 1, which has no number
  const std::string options = fmt::format("fd={},pgrp={},minproto={},maxproto={},indirect", requests.write_end.get(),
                                          ::getpgrp(), AUTOFS_PROTO_VERSION, AUTOFS_PROTO_VERSION);
  if (::mount("agent", path.c_str(), "autofs", MS_NOSUID | MS_NODEV, options.c_str()) != 0)
    return system_error("the kernel cannot mount checkpoints on demand");
  if (::mount(nullptr, path.c_str(), nullptr, MS_SHARED, nullptr) != 0)
    return system_error("cannot share the folder of checkpoints");
  TRY_LET(Fd root, open_file(path, O_RDONLY | O_DIRECTORY));
  (void)::symlink((Path("..") / "checkpoints.md").c_str(), (path / readme_name).c_str());
  std::unique_ptr<CheckpointFolder> folder(
      new CheckpointFolder(path, partitions, std::move(root), std::move(requests.read_end), std::move(wake)));
  folder->thread_ = std::thread([self = folder.get()] { self->serve(); });
  return folder;
}

CheckpointFolder::~CheckpointFolder() {
  ending_.with([](bool& ending) { ending = true; });
  const std::uint64_t one = 1;
  (void)!::write(wake_.get(), &one, sizeof one);
  if (thread_.joinable()) thread_.join();
  mounts_.clear();
  (void)::umount2(path_.c_str(), MNT_DETACH);
}

void CheckpointFolder::show(std::vector<wire::ShownCheckpoint> checkpoints) {
  for (const wire::ShownCheckpoint& each : checkpoints) ::mkdir((path_ / each.id).c_str(), 0755);
  shown_.with([&](auto& shown) { shown = std::move(checkpoints); });
  const std::uint64_t one = 1;
  (void)!::write(wake_.get(), &one, sizeof one);
}

void CheckpointFolder::serve() {
  pollfd ready[2] = {{requests_.get(), POLLIN, 0}, {wake_.get(), POLLIN, 0}};
  while (!ending_.with([](bool ending) { return ending; })) {
    const int count = ::poll(ready, 2, mounts_.empty() ? -1 : unused_after_ms);
    if (count < 0 && errno != EINTR) return log::error("{}", log::one_line(system_error("cannot serve checkpoints")));
    if (count == 0) unmount_unused();
    if (count <= 0) continue;
    if (ready[1].revents != 0) {
      std::uint64_t ignored = 0;
      (void)!::read(wake_.get(), &ignored, sizeof ignored);
      remove_others();
    }
    if (ready[0].revents != 0) answer();
  }
}

/// Lets somebody into a folder, or not.
void CheckpointFolder::answer() {
  autofs_v5_packet packet{};
  if (::read(requests_.get(), &packet, sizeof packet) != static_cast<ssize_t>(sizeof packet)) return;
  Result<> entered;
  if (packet.hdr.type == autofs_ptype_missing_indirect)
    entered = enter(std::string(packet.name, std::min<std::size_t>(packet.len, NAME_MAX)));
  if (!entered && entered.error().kind != Error::Kind::not_found)
    log::error("'{}': {}", packet.name, log::one_line(entered.error()));
  (void)::ioctl(root_.get(), entered ? AUTOFS_IOC_READY : AUTOFS_IOC_FAIL, packet.wait_queue_token);
}

Result<> CheckpointFolder::enter(const std::string& id) {
  const auto wanted = shown_.with([&](const auto& shown) -> std::optional<wire::ShownCheckpoint> {
    const auto found = std::ranges::find(shown, id, &wire::ShownCheckpoint::id);
    return found == shown.end() ? std::nullopt : std::optional(*found);
  });
  if (!wanted) return Error{Error::Kind::not_found, "there is no checkpoint '" + id + "'"};
  const Path at = path_ / id;
  if (std::ranges::find(mounts_, at, &CheckpointMount::at) != mounts_.end()) return {};
  ::mkdir(at.c_str(), 0755);
  TRY_LET(CheckpointMount mount, CheckpointMount::make(partitions_, wanted->offset_bytes, at));
  mounts_.push_back(std::move(mount));
  return {};
}

/// What is no longer shown goes, also where somebody still looks at it.
void CheckpointFolder::remove_others() {
  const auto shown = shown_.with([](const auto& list) { return list; });
  std::vector<CheckpointMount> kept;
  for (CheckpointMount& mount : mounts_)
    if (std::ranges::any_of(shown, [&](const auto& each) { return same(each, mount.at(), mount.offset()); }))
      kept.push_back(std::move(mount));
  mounts_ = std::move(kept);
  std::error_code ignored;
  std::vector<Path> gone;
  for (std::filesystem::directory_iterator each(path_, ignored), end; !ignored && each != end; each.increment(ignored))
    if (const std::string name = each->path().filename();
        name != readme_name && std::ranges::find(shown, name, &wire::ShownCheckpoint::id) == shown.end())
      gone.push_back(each->path());
  for (const Path& folder : gone) ::rmdir(folder.c_str());
}

void CheckpointFolder::unmount_unused() {
  std::vector<CheckpointMount> kept;
  for (CheckpointMount& mount : mounts_)
    if (!mount.try_unmount()) kept.push_back(std::move(mount));
  mounts_ = std::move(kept);
}

}  // namespace sprite::agent
