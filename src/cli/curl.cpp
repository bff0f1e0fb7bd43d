#include "cli/curl.h"

#include <sys/mman.h>

#include "base/file.h"

namespace sprite::cli {
namespace {

/// A file without a name that a program we become can read, and nobody else.
Result<Fd> inherited_file(const std::string& text) {
  Fd file(::memfd_create("header", 0));
  if (!file) return system_error("cannot make a file in memory");
  TRY(write_all(file.get(), as_bytes(text)));
  return file;
}

}  // namespace

Result<CurlCall> curl_call(const http::Endpoint& endpoint, const std::string& path_prefix, const std::string& path,
                           const std::vector<std::string>& options) {
  CurlCall call{{"curl", "--silent", "--show-error"}, {}};
  std::string base = "http://localhost";
  if (!endpoint.unix_socket.empty())
    call.argv.insert(call.argv.end(), {"--unix-socket", endpoint.unix_socket.string()});
  else
    base = "http://" + endpoint.host + ":" + std::to_string(endpoint.port) + path_prefix;
  if (!endpoint.token.empty()) {
    TRY_LET(call.authorization, inherited_file("Authorization: Bearer " + endpoint.token + "\n"));
    call.argv.insert(call.argv.end(), {"--header", "@/dev/fd/" + std::to_string(call.authorization.get())});
  }
  call.argv.insert(call.argv.end(), options.begin(), options.end());
  call.argv.push_back(base + path);
  return call;
}

}  // namespace sprite::cli
