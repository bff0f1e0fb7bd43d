#pragma once
/// Byte buffers, views of them, little- and big-endian integers in them, hex.
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace sprite {

using Bytes = std::vector<std::byte>;
using ByteView = std::span<const std::byte>;
using MutableByteView = std::span<std::byte>;

constexpr std::uint64_t KiB = 1024, MiB = 1024 * KiB, GiB = 1024 * MiB;

inline ByteView as_bytes(std::string_view text) { return std::as_bytes(std::span(text.data(), text.size())); }
inline std::string_view as_text(ByteView bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

/// Reads an unsigned integer at `at`; the caller has checked that it lies inside.
template <std::unsigned_integral T>
T load_little(const std::byte* at) {
  T value = 0;
  for (std::size_t i = 0; i < sizeof(T); ++i)
    value |= static_cast<T>(static_cast<T>(std::to_integer<T>(at[i])) << (8 * i));
  return value;
}
template <std::unsigned_integral T>
T load_big(const std::byte* at) {
  T value = 0;
  for (std::size_t i = 0; i < sizeof(T); ++i)
    value = static_cast<T>(static_cast<T>(value << 7 << 1) | std::to_integer<T>(at[i]));
  return value;
}
template <std::unsigned_integral T>
void store_little(std::byte* at, T value) {
  for (std::size_t i = 0; i < sizeof(T); ++i) at[i] = static_cast<std::byte>(value >> (8 * i));
}
template <std::unsigned_integral T>
void store_big(std::byte* at, T value) {
  for (std::size_t i = 0; i < sizeof(T); ++i) at[sizeof(T) - 1 - i] = static_cast<std::byte>(value >> (8 * i));
}

/// Lower-case hexadecimal digits of `bytes`.
std::string to_hex(ByteView bytes);
/// `count` bytes from the kernel's random source.
Bytes random_bytes(std::size_t count);
/// A random (version 4) UUID, lower case with dashes.
std::string random_uuid();

}  // namespace sprite
