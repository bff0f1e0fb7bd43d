#pragma once
/// A disk that crashes: the system calls that change files, replaced for this whole program, libraries included.
///
/// Everything really happens to files on the host's page cache. What has not been synced is remembered in a log, with
/// the bytes and names as they were before, so that a loss of power can take it back: of each sector any version since
/// the last sync may be what is left, of each directory's changes any first part. The log is a file: what a killed
/// process had not synced can still be lost by the next one's loss of power.
#include <cstdint>
#include <filesystem>
#include <string>

namespace sprite::test {

enum class Crash { none, kill, power };

/// Exit status of a process that lost its power.
constexpr int power_lost_status = 42;

/// From now on files below `root` are watched; on the `operation`-th change or sync from now (from 1; 0: none) this
/// process crashes as `kind` says. `log` and `graveyard` (a directory, on the same filesystem) are the disk's own;
/// `volatile_directory` is empty after a loss of power. `seed` decides what is lost.
void start_crashing_disk(const std::filesystem::path& root, const std::filesystem::path& log,
                         const std::filesystem::path& graveyard, const std::filesystem::path& volatile_directory,
                         Crash kind, std::uint64_t operation, std::uint64_t seed);

/// From now on one in `n` of the changes that need space finds none (0: all find some).
void set_disk_full(std::uint64_t n);

/// From now on the disk behaves as if the store had a bug of that name in the order of its syncs (store_world.cpp lists
/// them). False if there is none of that name.
bool plant(const std::string& bug);

/// Crashes now, as start_crashing_disk() said (not for none).
[[noreturn]] void crash_now();
/// The same in the middle of something: what a planted bug has delayed is not durable.
[[noreturn]] void crash_here();
}  // namespace sprite::test
