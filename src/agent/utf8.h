#pragma once
/// Text that must be UTF-8 (JSON, WebSocket texts) out of bytes that need not be (command lines, paths).
#include <string>
#include <string_view>

namespace sprite::agent {

/// `bytes`, with U+FFFD in place of every byte that is no part of well-formed UTF-8.
std::string to_utf8(std::string_view bytes);

}  // namespace sprite::agent
