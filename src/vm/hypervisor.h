#pragma once
/// Virtual machines, as sprite/ sees them. The one implementation that runs them is libvirt.h's.
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/result.h"

namespace sprite::vm {

/// How the guest's processors run. KVM only where the CPU shows vmx/svm and /dev/kvm opens for us.
enum class Accelerator { kvm, emulation };

/// paused: by pause(). stalled: by a disk error; it goes on by itself when the disk is well. waiting: for load().
enum class State { absent, running, paused, stalled, waiting };

/// Everything a machine is made of. Paths are absolute; the sockets' are short enough for sun_path (107 bytes).
struct MachineSpec {
  std::string id;        ///< The sprite's id; the machine's name in libvirt is derived from it.
  std::string hostname;  ///< For people reading `virsh list`.
  Path kernel, initramfs;
  std::string kernel_arguments;
  std::uint64_t memory_bytes = 0;
  unsigned vcpus = 1;
  Path memory_file;  ///< Shared mapping of the whole RAM; made (sparse, 0600) by start().
  Path disk_socket;  ///< Our NBD server; QEMU reconnects to it for as long as it takes.
  std::string disk_export;
  std::string checkpoints_export;  ///< A second disk of the same server, only read; none if empty.
  Path channel_socket;             ///< A link to QEMU's; what we connect to is the guest's port "sprite.channel".
  Path console_log;                ///< Serial console; bounded, the older half is dropped at the limit.
  Path runtime_directory;          ///< For what lives as long as the machine (network helper's socket and log).
  std::string mac_address;
};

struct Facts {
  Accelerator accelerator = Accelerator::emulation;
  std::string accelerator_reason;  ///< "the CPU shows neither vmx nor svm"
  std::string qemu_version, libvirt_version;
  std::string network;         ///< "passt" or "user": see network.h
  std::string network_reason;  ///< Why not passt; empty for passt.
  std::string machine_type;    ///< Versioned: "pc-q35-7.2".
  std::string cpu;             ///< The host's: its name, and a checksum of what it can.
};

/// What a saved state depends on: it can be loaded only where all of this is the same.
struct Compatibility {
  std::string qemu_version, machine_type, accelerator;
  std::string cpu;      ///< The host's: guests see it, or keep time by it.
  std::string devices;  ///< A checksum of all else that makes up the machine.
  std::uint64_t memory_bytes = 0;
  unsigned vcpus = 0;

  bool operator==(const Compatibility&) const = default;
};

/// Starts, finds, pauses, saves and ends machines. Calls block (tens of ms to seconds) and may come from several
/// threads.
class Hypervisor {
 public:
  virtual ~Hypervisor() = default;
  virtual Facts facts() = 0;
  /// Starts a machine; its kernel runs when this returns. Errors: exists, no_space, unavailable (with QEMU's own
  /// words).
  virtual Result<> start(const MachineSpec& spec) = 0;
  /// Starts a machine that waits for load(): QEMU is there, its processors have never run. What takes a start's time is
  /// over then, so that one may be kept for later. The memory file is used as it is if there is one, and may be filled
  /// until load() is called; else it is made. Errors: as start().
  virtual Result<> start_waiting(const MachineSpec& spec) = 0;
  /// Gives a waiting machine the state of another, whose RAM its memory file holds. It is paused then, at the instant
  /// of the save: resume() lets it go on. What `state` says was running when it was saved (channel, disk) begins anew:
  /// the guest sees the channel's port closed and opened. After an error it can only be destroyed. Errors: not_found,
  /// invalid (it does not wait), corrupt (QEMU does not take the state), unavailable (it ended or did not finish), as
  /// system_error.
  virtual Result<> load(const std::string& id, const Path& state) = 0;
  /// Writes what a paused machine consists of besides its RAM (less than 1 MB) to the new file `state`; not synced. Its
  /// disk is drained and flushed, and its RAM is what the memory file holds, until it is resumed. It may be resumed as
  /// if nothing had been, or destroyed. Errors: not_found, invalid (it is not paused), exists, no_space, unavailable,
  /// busy (it was resumed meanwhile, and goes on).
  virtual Result<> save(const std::string& id, const Path& state) = 0;
  /// What a state that is saved of such a machine here would depend on.
  virtual Compatibility compatibility(const MachineSpec& spec) = 0;
  /// Errors: unavailable.
  virtual Result<State> state(const std::string& id) = 0;
  /// Returns when its QEMU has answered a question; one that is stopped or hangs never does. Errors: not_found,
  /// unavailable.
  virtual Result<> ask(const std::string& id) = 0;
  /// Ids of the machines that exist, running or paused; also those that an earlier process of ours started.
  virtual Result<std::vector<std::string>> list() = 0;
  /// Stops the processors; RAM stays. Idempotent. While the disk's server is away it waits, for at most a minute. A
  /// machine that a disk error paused goes on by itself when the disk is well, but not after this. Errors: not_found,
  /// unavailable.
  virtual Result<> pause(const std::string& id) = 0;
  virtual Result<> resume(const std::string& id) = 0;
  /// Ends the machine at once, as pulling its plug does, and removes its memory file and sockets. An absent one is
  /// fine. Errors: unavailable.
  virtual Result<> destroy(const std::string& id) = 0;
  /// Called (on a thread of the hypervisor's, which must not call the hypervisor back) when a machine ends by itself:
  /// guest power-off or reboot, QEMU's death. Its files are gone by then.
  virtual void on_ended(std::function<void(const std::string& id, const std::string& reason)> callback) = 0;
};

}  // namespace sprite::vm
