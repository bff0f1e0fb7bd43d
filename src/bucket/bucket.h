#pragma once
/// Bucket: where packs and metadata are durable, for this machine and others: objects named by keys.
///
/// A put is all or nothing, and durable when it returned. One that failed may still have been applied, or be applied
/// later: read back what must be known. put_if_absent() is the only condition that anything here relies on: of all who
/// try it with one key, at most one succeeds, ever, unless the object is removed.
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"

namespace sprite::bucket {

struct Object {
  std::string key;
  std::uint64_t bytes = 0;
  std::chrono::system_clock::time_point stored_at;  ///< by the bucket's clock
};

enum class Stored { no, yes };

/// Calls may come from several threads and block. Every call: errors denied, invalid (a key that check_key() refuses),
/// unavailable.
class Bucket {
 public:
  virtual ~Bucket() = default;
  /// What people call it: "directory '/home/me/bucket'".
  virtual std::string name() const = 0;
  /// The object's bytes; nothing if there is none.
  virtual Result<std::optional<Bytes>> get(const std::string& key) = 0;
  /// At most `length` of its bytes from `offset` on; fewer at its end; nothing if there is no such object.
  virtual Result<std::optional<Bytes>> get_range(const std::string& key, std::uint64_t offset,
                                                 std::uint64_t length) = 0;
  /// Errors: no_space.
  virtual Result<> put(const std::string& key, ByteView bytes) = 0;
  /// Whether it was stored: not if there is an object of that key already. Errors: no_space.
  virtual Result<Stored> put_if_absent(const std::string& key, ByteView bytes) = 0;
  /// An absent one is fine.
  virtual Result<> remove(const std::string& key) = 0;
  /// Every object whose key starts with `prefix`, by key. Incomplete lists are errors.
  virtual Result<std::vector<Object>> list(const std::string& prefix) = 0;
};

/// 1 to 512 of A-Z a-z 0-9 . _ - in parts between slashes; no part is empty or starts with a dot. Errors: invalid.
Result<> check_key(std::string_view key);

/// For tests; its content goes with it.
std::unique_ptr<Bucket> memory_bucket();

/// A directory as a bucket, made if need be. Several processes and machines (on a shared filesystem with hard links)
/// may use one. Errors: as make_private_directory().
Result<std::unique_ptr<Bucket>> directory_bucket(const Path& directory);

}  // namespace sprite::bucket
