#include "image/digest.h"

#include <openssl/evp.h>

#include "image/sparse.h"

namespace sprite::image {
namespace {

constexpr std::size_t block_bytes = 64 * KiB;  // part of the format

std::string little_endian(std::uint64_t value) {
  std::string text(sizeof value, '\0');
  store_little(reinterpret_cast<std::byte*>(text.data()), value);
  return text;
}

}  // namespace

void Sha256::Free::operator()(evp_md_ctx_st* context) const noexcept { EVP_MD_CTX_free(context); }

Sha256::Sha256() : context_(EVP_MD_CTX_new()) {
  if (!context_ || EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr) != 1) die("libcrypto has no SHA-256");
}
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256::~Sha256() = default;

Sha256& Sha256::add(ByteView data) {
  if (EVP_DigestUpdate(context_.get(), data.data(), data.size()) != 1) die("SHA-256 failed");
  return *this;
}

std::string Sha256::finish() {
  std::array<std::byte, 32> digest;
  if (EVP_DigestFinal_ex(context_.get(), reinterpret_cast<unsigned char*>(digest.data()), nullptr) != 1)
    die("SHA-256 failed");
  return to_hex(digest);
}

std::string sha256_of_text(std::string_view text) { return Sha256().add(as_bytes(text)).finish(); }

Result<std::string> sha256_of_file(const Path& path) {
  TRY_LET(const Fd fd, open_file(path, O_RDONLY));
  TRY_LET(const std::uint64_t size, size_of(fd, path));
  Sha256 sha;
  Bytes buffer(1 * MiB);
  for (std::uint64_t at = 0; at < size; at += buffer.size()) {
    const auto piece = MutableByteView(buffer).first(std::min<std::uint64_t>(buffer.size(), size - at));
    TRY(pread_exactly(fd.get(), piece, at));
    sha.add(piece);
  }
  return sha.finish();
}

Result<std::string> sha256_of_sparse_file(const Path& path) {
  TRY_LET(const Fd fd, open_file(path, O_RDONLY));
  TRY_LET(const std::uint64_t size, size_of(fd, path));
  Sha256 sha;
  TRY(for_each_data_block(fd, block_bytes, [&](std::uint64_t offset, ByteView block) -> Result<> {
    sha.add(as_bytes(little_endian(offset / block_bytes))).add(block);
    return {};
  }));
  return sha.add(as_bytes(little_endian(size))).finish();
}

}  // namespace sprite::image
