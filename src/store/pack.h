#pragma once
/// Packs: immutable files of compressed objects, named by the SHA-256 of their bytes. FORMAT.md has the bytes.
///
/// A pack is durable before anything names it. An object is verified each time it is read: its length, zstd's checksum
/// of its content, and that this is the checksum which whoever names it expects.
#include <atomic>
#include <functional>
#include <list>
#include <map>
#include <mutex>
#include <set>
#include <shared_mutex>

#include "base/file.h"
#include "store/root.h"

namespace sprite::store {

constexpr std::uint64_t chunk_bytes = 64 * KiB;
constexpr std::size_t pack_bytes_max = 16 * MiB;
/// The largest object: a chunk, or a node of a map.
constexpr std::size_t object_bytes_max = chunk_bytes;

/// The same, compressed.
constexpr std::size_t object_stored_bytes_max = object_bytes_max + object_bytes_max / 128;

/// Where an object lies in its pack.
struct ObjectPlace {
  std::uint32_t offset = 0, length = 0;
  std::uint32_t checksum = 0;  ///< of the content; two objects with different ones differ
};

/// Compresses objects into the bytes of one pack.
class PackWriter {
 public:
  PackWriter();
  ~PackWriter();
  PackWriter(const PackWriter&) = delete;

  bool empty() const { return objects_ == 0; }
  /// Another object of `content` bytes fits in.
  bool has_room_for(std::size_t content) const;
  /// Errors: internal (zstd).
  Result<ObjectPlace> add(ByteView content);
  /// Forgets the object added last.
  void drop_last(const ObjectPlace& last);
  /// The pack's bytes; the writer is empty afterwards.
  Bytes take();

 private:
  struct Context;
  std::unique_ptr<Context> context_;
  Bytes bytes_;
  std::size_t objects_ = 0;
};

std::string to_string(const PackName& name);

/// The content of an object as add() made it, at most object_bytes_max; zstd's checksum is verified. Errors: corrupt.
Result<Bytes> decompress_object(ByteView stored);

/// The packs on this host: <directory>/<aa>/<name>.
class PackStore {
 public:
  explicit PackStore(Path directory) : directory_(std::move(directory)) {}

  /// Stores a pack; durable when this returns. One that is there already is fine. Errors: no_space, unavailable.
  Result<PackName> put(ByteView pack);
  /// The content of an object: at most object_bytes_max. Errors: not_found (no such pack), corrupt, unavailable.
  Result<Bytes> read(const PackName& pack, const ObjectPlace& place);
  /// Calls `visit` with each pack's name, size and the seconds since it was stored. Errors: unavailable.
  Result<> for_each(
      const std::function<Result<>(const PackName&, std::uint64_t bytes, std::chrono::seconds age)>& visit);
  Result<> remove(const PackName& pack);
  /// Removes what writers who were killed left, if it is `age_min` old. The caller holds naming() alone. Errors:
  /// unavailable.
  Result<> remove_unfinished(std::chrono::seconds age_min);

  /// Held shared from before packs are put until a volume names them, and alone by the collector.
  std::shared_mutex& naming() { return naming_; }

  /// About so many bytes of packs may not be needed any more.
  void note_spent(std::uint64_t bytes) { spent_bytes_ += bytes; }
  /// The same, where nobody knows how many: as if it were much.
  void note_spent() { note_spent(spent_unknown); }
  static constexpr std::uint64_t spent_unknown = GiB;
  std::uint64_t spent_bytes() const { return spent_bytes_; }
  void forget_spent(std::uint64_t bytes) { spent_bytes_ -= bytes; }
  /// How many packs this process has stored.
  std::uint64_t puts() const { return puts_; }

  /// What an open volume does when objects have been moved: from then on it reads through what volume.db says.
  using Follow = std::function<Result<>()>;
  /// Calls a Follow while it lives; its destructor waits for a call that is under way.
  class Follower {
   public:
    Follower(PackStore& packs, Follow follow);
    ~Follower();
    Follower(const Follower&) = delete;

   private:
    PackStore& packs_;
    std::list<Follow>::iterator place_;
  };
  /// Calls every Follower. The caller holds naming(). Errors: the first of theirs.
  Result<> tell_moved();

 private:
  Path path(const PackName& name) const;
  Result<> make_folder(const Path& folder);
  Result<std::shared_ptr<const Fd>> open(const PackName& name);

  const Path directory_;
  std::atomic<std::uint64_t> spent_bytes_ = 0, puts_ = 0;
  std::shared_mutex naming_;
  std::mutex following_;  ///< before any lock of a follower
  std::list<Follow> followers_;
  std::mutex mutex_;
  std::map<PackName, std::shared_ptr<const Fd>> open_;
  std::set<std::string> folders_;  ///< known to exist durably
};

}  // namespace sprite::store
