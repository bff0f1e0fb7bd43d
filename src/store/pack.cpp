#include "store/pack.h"

#include <openssl/sha.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#include <algorithm>
#include <chrono>

#include "base/failpoint.h"
#include "base/handle.h"

namespace sprite::store {
namespace {

constexpr std::string_view magic = "SPRPACK\n";
constexpr std::uint32_t version = 1;
constexpr std::size_t header_bytes = 16;
constexpr std::string_view unfinished_end = ".tmp";
constexpr std::size_t open_packs_max = 64;
constexpr std::size_t name_digits = 2 * sizeof(PackName);

Error corrupt(const PackName& pack, const std::string& why) {
  return Error{Error::Kind::corrupt,
               "pack " + to_string(pack) + " is damaged: " + why,
               "run `sprite recover` to see which checkpoints are whole",
               {}};
}

std::optional<PackName> parse_name(std::string_view digits) {
  if (digits.size() != name_digits) return std::nullopt;
  PackName name{};
  for (std::size_t i = 0; i < digits.size(); ++i) {
    const auto value = std::string_view("0123456789abcdef").find(digits[i]);
    if (value == std::string_view::npos) return std::nullopt;
    name[i / 2] |= static_cast<std::byte>(i % 2 == 0 ? value << 4 : value);
  }
  return name;
}

/// Makes `path` hold `bytes`: it gets its name when they are durable.
Result<> write_under_name(const Path& path, ByteView bytes) {
  const Path unfinished = path.string() + "." + random_uuid() + std::string(unfinished_end);
  auto written = [&]() -> Result<> {
    TRY_LET(const Fd file, open_file(unfinished, O_WRONLY | O_CREAT | O_EXCL));
    TRY(pwrite_all(file.get(), bytes, 0));
    if (::fsync(file.get()) != 0) return system_error("cannot make a pack durable");
    (void)::posix_fadvise(file.get(), 0, 0, POSIX_FADV_DONTNEED);  // a layer has the same, and memory is dear
    failpoint(Failpoint::pack_written);
    if (::rename(unfinished.c_str(), path.c_str()) != 0) return system_error("cannot name a pack");
    failpoint(Failpoint::pack_named);
    return {};
  }();
  if (!written) ::unlink(unfinished.c_str());
  return written;
}

}  // namespace

struct PackWriter::Context {
  std::unique_ptr<ZSTD_CCtx, Releaser<ZSTD_freeCCtx>> compressor{ZSTD_createCCtx()};
};

PackWriter::PackWriter() : context_(std::make_unique<Context>()) {
  ZSTD_CCtx_setParameter(context_->compressor.get(), ZSTD_c_compressionLevel, 1);
  ZSTD_CCtx_setParameter(context_->compressor.get(), ZSTD_c_checksumFlag, 1);
}
PackWriter::~PackWriter() = default;

bool PackWriter::has_room_for(std::size_t content) const {
  return bytes_.size() + ZSTD_compressBound(content) + header_bytes <= pack_bytes_max;
}

Result<ObjectPlace> PackWriter::add(ByteView content) {
  if (bytes_.empty()) {
    bytes_.resize(header_bytes);
    std::ranges::copy(as_bytes(magic), bytes_.begin());
    store_little(bytes_.data() + 8, version);
  }
  const std::size_t offset = bytes_.size(), bound = ZSTD_compressBound(content.size());
  bytes_.resize(offset + bound);
  const std::size_t length =
      ZSTD_compress2(context_->compressor.get(), bytes_.data() + offset, bound, content.data(), content.size());
  if (ZSTD_isError(length)) {
    bytes_.resize(offset);
    return Error{Error::Kind::internal, "cannot compress", "", {ZSTD_getErrorName(length)}};
  }
  bytes_.resize(offset + length);
  ++objects_;
  return ObjectPlace{static_cast<std::uint32_t>(offset), static_cast<std::uint32_t>(length),
                     load_little<std::uint32_t>(bytes_.data() + offset + length - 4)};
}

void PackWriter::drop_last(const ObjectPlace& last) {
  bytes_.resize(last.offset);
  --objects_;
}

Bytes PackWriter::take() {
  objects_ = 0;
  return std::exchange(bytes_, {});
}

static_assert(object_stored_bytes_max >= ZSTD_COMPRESSBOUND(object_bytes_max));

std::string to_string(const PackName& name) { return to_hex(name); }

Path PackStore::path(const PackName& name) const {
  const std::string digits = to_string(name);
  return directory_ / digits.substr(0, 2) / digits;
}

Result<PackName> PackStore::put(ByteView pack) {
  PackName name{};
  ::SHA256(reinterpret_cast<const unsigned char*>(pack.data()), pack.size(),
           reinterpret_cast<unsigned char*>(name.data()));
  const Path target = path(name);
  ++puts_;
  TRY(make_folder(target.parent_path()));
  struct stat info {};
  const bool there = ::stat(target.c_str(), &info) == 0 && static_cast<std::size_t>(info.st_size) == pack.size();
  if (!there) TRY(write_under_name(target, pack));
  TRY(sync_directory(target.parent_path()));  // one that is there may have been named just before a crash
  return name;
}

/// Makes sure that a folder of packs exists, durably: whoever made it may have been killed before he could see to that.
Result<> PackStore::make_folder(const Path& folder) {
  std::lock_guard hold(mutex_);
  if (!folders_.insert(folder.filename().string()).second) return {};
  auto made = [&]() -> Result<> {
    TRY(make_directories(folder));
    TRY(sync_directory(directory_));
    return {};
  }();
  if (!made) folders_.erase(folder.filename().string());
  return made;
}

Result<std::shared_ptr<const Fd>> PackStore::open(const PackName& name) {
  std::lock_guard hold(mutex_);
  if (const auto found = open_.find(name); found != open_.end()) return found->second;
  TRY_LET(Fd file, open_file(path(name), O_RDONLY));
  if (open_.size() >= open_packs_max) open_.erase(open_.begin());
  return open_.emplace(name, std::make_shared<const Fd>(std::move(file))).first->second;
}

Result<Bytes> PackStore::read(const PackName& pack, const ObjectPlace& place) {
  if (place.length < 8 || place.length > object_stored_bytes_max || place.offset < header_bytes)
    return corrupt(pack, "an object's place is impossible");
  TRY_LET(const auto file, open(pack));
  Bytes stored(place.length);
  TRY(pread_exactly(file->get(), stored, place.offset));
  if (load_little<std::uint32_t>(stored.data() + stored.size() - 4) != place.checksum)
    return corrupt(pack, "it does not hold what it should at " + std::to_string(place.offset));
  auto content = decompress_object(stored);
  if (!content) return corrupt(pack, "at " + std::to_string(place.offset) + ", " + content.error().what);
  return content;
}

Result<Bytes> decompress_object(ByteView stored) {
  const auto size = ZSTD_getFrameContentSize(stored.data(), stored.size());
  if (size == ZSTD_CONTENTSIZE_ERROR || size == ZSTD_CONTENTSIZE_UNKNOWN || size > object_bytes_max)
    return Error{Error::Kind::corrupt, "an object has an impossible size"};
  Bytes content(size);
  const std::size_t got = ZSTD_decompress(content.data(), content.size(), stored.data(), stored.size());
  if (ZSTD_isError(got) || got != size)
    return Error{Error::Kind::corrupt,
                 "an object does not decompress",
                 "",
                 {ZSTD_isError(got) ? ZSTD_getErrorName(got) : "it is too short"}};
  return content;
}

Result<> PackStore::for_each(
    const std::function<Result<>(const PackName&, std::uint64_t, std::chrono::seconds)>& visit) {
  std::error_code failed;
  for (std::filesystem::recursive_directory_iterator each(directory_, failed), end; !failed && each != end;
       each.increment(failed)) {
    const auto name = parse_name(each->path().filename().string());
    struct stat info {};
    if (!name) continue;
    if (::stat(each->path().c_str(), &info) != 0) return system_error("cannot look at pack " + to_string(*name));
    TRY(visit(*name, static_cast<std::uint64_t>(info.st_size), std::chrono::seconds(::time(nullptr) - info.st_mtime)));
  }
  if (failed && failed != std::errc::no_such_file_or_directory)
    return system_error("cannot list '" + directory_.string() + "'", failed.value());
  return {};
}

Result<> PackStore::remove_unfinished(std::chrono::seconds age_min) {
  std::error_code failed;
  std::vector<Path> found;
  for (std::filesystem::recursive_directory_iterator each(directory_, failed), end; !failed && each != end;
       each.increment(failed)) {
    const std::string name = each->path().filename().string();
    struct stat info {};
    if (parse_name(name.substr(0, name_digits)) && name.ends_with(unfinished_end) &&
        ::stat(each->path().c_str(), &info) == 0 && std::chrono::seconds(::time(nullptr) - info.st_mtime) >= age_min)
      found.push_back(each->path());
  }
  if (failed && failed != std::errc::no_such_file_or_directory)
    return system_error("cannot list '" + directory_.string() + "'", failed.value());
  for (const Path& path : found)
    if (::unlink(path.c_str()) != 0 && errno != ENOENT) return system_error("cannot remove '" + path.string() + "'");
  return {};
}

PackStore::Follower::Follower(PackStore& packs, Follow follow) : packs_(packs) {
  std::lock_guard hold(packs_.following_);
  place_ = packs_.followers_.insert(packs_.followers_.end(), std::move(follow));
}

PackStore::Follower::~Follower() {
  std::lock_guard hold(packs_.following_);
  packs_.followers_.erase(place_);
}

Result<> PackStore::tell_moved() {
  std::lock_guard hold(following_);
  for (const Follow& follow : followers_) TRY(follow());
  return {};
}

Result<> PackStore::remove(const PackName& pack) {
  std::lock_guard hold(mutex_);
  open_.erase(pack);
  if (::unlink(path(pack).c_str()) != 0 && errno != ENOENT)
    return system_error("cannot remove pack " + to_string(pack));
  return {};
}

}  // namespace sprite::store
