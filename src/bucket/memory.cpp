#include <algorithm>
#include <map>

#include "base/locked.h"
#include "bucket/bucket.h"

namespace sprite::bucket {
namespace {

struct Content {
  Bytes bytes;
  std::chrono::system_clock::time_point stored_at = std::chrono::system_clock::now();
};

class MemoryBucket final : public Bucket {
 public:
  std::string name() const override { return "memory"; }

  Result<std::optional<Bytes>> get(const std::string& key) override { return get_range(key, 0, ~std::uint64_t{0}); }

  Result<std::optional<Bytes>> get_range(const std::string& key, std::uint64_t offset, std::uint64_t length) override {
    TRY(check_key(key));
    return objects_.with([&](Objects& objects) -> Result<std::optional<Bytes>> {
      const auto found = objects.find(key);
      if (found == objects.end()) return std::optional<Bytes>();
      const ByteView all(found->second.bytes);
      const ByteView rest = all.subspan(std::min<std::uint64_t>(offset, all.size()));
      const ByteView part = rest.first(std::min<std::uint64_t>(length, rest.size()));
      return std::optional(Bytes(part.begin(), part.end()));
    });
  }

  Result<> put(const std::string& key, ByteView bytes) override {
    TRY(check_key(key));
    objects_.with([&](Objects& objects) { objects[key] = {Bytes(bytes.begin(), bytes.end())}; });
    return {};
  }

  Result<Stored> put_if_absent(const std::string& key, ByteView bytes) override {
    TRY(check_key(key));
    return objects_.with([&](Objects& objects) {
      return objects.emplace(key, Content{Bytes(bytes.begin(), bytes.end())}).second ? Stored::yes : Stored::no;
    });
  }

  Result<> remove(const std::string& key) override {
    TRY(check_key(key));
    objects_.with([&](Objects& objects) { objects.erase(key); });
    return {};
  }

  Result<std::vector<Object>> list(const std::string& prefix) override {
    return objects_.with([&](Objects& objects) {
      std::vector<Object> found;
      for (auto each = objects.lower_bound(prefix); each != objects.end() && each->first.starts_with(prefix); ++each)
        found.push_back({each->first, each->second.bytes.size(), each->second.stored_at});
      return found;
    });
  }

 private:
  using Objects = std::map<std::string, Content>;
  Locked<Objects> objects_;
};

}  // namespace

std::unique_ptr<Bucket> memory_bucket() { return std::make_unique<MemoryBucket>(); }

}  // namespace sprite::bucket
