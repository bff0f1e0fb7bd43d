#pragma once
/// How curl calls the API: its arguments, and the token where no other user can read it.
#include <string>
#include <vector>

#include "base/fd.h"
#include "http/client.h"

namespace sprite::cli {

struct CurlCall {
  std::vector<std::string> argv;  ///< Every user of this machine can read it (/proc/<pid>/cmdline).
  Fd authorization;               ///< Holds the header with the token, and is inherited; none if there is no token.
};

/// The call of `path` below `path_prefix` at `endpoint`. Standard input stays the caller's. Errors: as system_error.
Result<CurlCall> curl_call(const http::Endpoint& endpoint, const std::string& path_prefix, const std::string& path,
                           const std::vector<std::string>& options);

}  // namespace sprite::cli
