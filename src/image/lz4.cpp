#include "image/lz4.h"

#include <lz4.h>
#include <lz4hc.h>

#include <algorithm>
#include <string>

namespace sprite::image {
namespace {

constexpr std::uint32_t magic = 0x184C2102;
constexpr std::size_t block_bytes = 8 * MiB;  // every block but the last unpacks to this
constexpr std::size_t word = sizeof(std::uint32_t);

void append_word(std::string& text, std::uint32_t value) {
  text.append(word, '\0');
  store_little(reinterpret_cast<std::byte*>(text.data() + text.size() - word), value);
}

Error corrupt(const char* why) { return Error{Error::Kind::corrupt, "not an LZ4 legacy frame", "", {why}}; }

}  // namespace

std::string pack_lz4(std::string_view data) {
  std::string frame;
  append_word(frame, magic);
  for (std::size_t at = 0; at < data.size(); at += block_bytes) {
    const std::string_view block = data.substr(at, block_bytes);
    std::string packed(static_cast<std::size_t>(LZ4_compressBound(static_cast<int>(block.size()))), '\0');
    const int size = LZ4_compress_HC(block.data(), packed.data(), static_cast<int>(block.size()),
                                     static_cast<int>(packed.size()), LZ4HC_CLEVEL_DEFAULT);
    if (size <= 0) die("LZ4 did not fit its own bound");
    append_word(frame, static_cast<std::uint32_t>(size));
    frame.append(packed, 0, static_cast<std::size_t>(size));
  }
  return frame;
}

Result<Bytes> unpack_lz4(ByteView frame, std::size_t size) {
  if (frame.size() < word || load_little<std::uint32_t>(frame.data()) != magic)
    return corrupt("it has another magic number");
  frame = frame.subspan(word);
  Bytes out(size);
  std::size_t done = 0;
  while (frame.size() >= word) {
    const std::size_t length = load_little<std::uint32_t>(frame.data());
    frame = frame.subspan(word);
    if (length > frame.size()) return corrupt("it is cut off");
    const int got =
        LZ4_decompress_safe(reinterpret_cast<const char*>(frame.data()), reinterpret_cast<char*>(out.data() + done),
                            static_cast<int>(length), static_cast<int>(std::min(block_bytes, size - done)));
    if (got < 0) return corrupt("its data is damaged");
    done += static_cast<std::size_t>(got);
    frame = frame.subspan(length);
  }
  if (done != size) return corrupt("it holds fewer bytes than it should");
  return out;
}

}  // namespace sprite::image
