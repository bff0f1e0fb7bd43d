#pragma once
/// The files of a machine that live as long as it does, and the record that lets a later process remove them.
///
/// A record is written before a machine's first file is made and removed after its last one is gone. So whatever was
/// killed in between (us, QEMU, the host), a record without a machine names exactly what is left over. Records need not
/// survive a power cut for correctness: what they name is on tmpfs or harmless.
#include <algorithm>
#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "vm/hypervisor.h"

namespace sprite::vm {

/// How long QEMU waits for a disk server that went away before the machine is paused (it is resumed when the server is
/// back).
constexpr std::chrono::seconds disk_reconnect_limit{60};

/// The first 12 hex digits of an id.
std::string short_id(const std::string& id);

/// QEMU's process id; see domain_xml.cpp.
Path pid_file(const Path& runtime_directory);

/// Where QEMU listens for the channel. A name of this start alone, to which spec.channel_socket is made a link: libvirt
/// removes a machine's socket some time after its end, when that of the next start may have taken its place.
Path channel_listener(const Path& channel_socket, const std::string& domain_id);

/// Where a machine's state passes between QEMU and us.
Path state_socket(const Path& runtime_directory);

/// What remains of a MachineSpec while its machine exists.
struct Record {
  std::string id;
  std::string domain_id;  ///< The UUID of the libvirt domain that runs it.
  Path memory_file, channel_socket, console_log, runtime_directory;
};

/// The record of a machine that starts as domain `domain_id`.
Record record_of(const MachineSpec& spec, std::string domain_id);

/// The records of the machines, one small file each in a directory.
class Records {
 public:
  explicit Records(Path directory) : directory_(std::move(directory)) {}

  /// Errors: as system_error; invalid (a path with a line break).
  Result<> write(const Record& record);
  /// Nothing for an unknown machine. Errors: as system_error.
  Result<std::optional<Record>> find(const std::string& id) const;
  /// Errors: as system_error.
  Result<std::vector<Record>> all() const;
  void remove(const std::string& id);

 private:
  Path directory_;
};

/// Checks that a machine can start: a kernel and an initramfs that can be read, socket paths short enough, an id that
/// is a UUID. Errors: invalid, not_found, denied.
Result<> check_spec(const MachineSpec& spec);

/// The room that a directory has for memory.
struct MemoryRoom {
  std::uint64_t free_bytes = 0;      ///< Of its file system.
  std::uint64_t promised_bytes = 0;  ///< What the memory files in it may still take: they are sparse.
  std::uint64_t taken_bytes = 0;     ///< What they take now.
  std::uint64_t left_bytes() const { return free_bytes - std::min(free_bytes, promised_bytes); }
  /// Without any of these files.
  std::uint64_t most_bytes() const { return free_bytes + taken_bytes; }
};
/// Without counting the file `except`. Errors: as system_error (not_found: no such directory).
Result<MemoryRoom> memory_room(const Path& directory, const Path& except);

/// What a memory file takes of its file system; nothing if there is none.
std::uint64_t memory_taken(const Path& memory_file);

/// Whether a memory file that is there already keeps what it holds.
enum class Content { none, kept };

/// Makes the memory file: sparse, 0600, of the machine's size. Errors: no_space (a page that finds no room would kill
/// QEMU, so every machine's whole memory must fit), not_found (no such directory), as system_error.
Result<> make_memory_file(const Path& path, std::uint64_t bytes, Content content = Content::none);

/// Gives back all that a memory file holds, which a waiting QEMU may have mapped. Errors: as system_error.
Result<> empty_memory_file(const Path& path);

/// Makes `link` a symbolic link to `target`, in place of what is there. Errors: as system_error.
Result<> link_to(const Path& target, const Path& link);

/// Removes the memory file, the sockets and the network helper of a machine whose process is gone.
void remove_files(const Record& record);

/// Whether the machine's QEMU lives.
bool process_lives(const Path& runtime_directory);

/// Whether another process that lives holds the lock on this file.
bool is_held(const Path& file);

/// Kills the QEMU that holds the lock on this pid file and returns when its files are closed; false if there is none.
/// Errors: unavailable (it does not die).
Result<bool> kill_holder(const Path& pid_file);
/// The same for a machine's QEMU.
Result<bool> kill_process(const Path& runtime_directory);

}  // namespace sprite::vm
