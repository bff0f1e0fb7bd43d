#pragma once
/// Names for those who do not care: "calm-otter".
#include <string>

namespace sprite::cli {

/// A random adjective and noun; one of about six thousand.
std::string random_name();

}  // namespace sprite::cli
