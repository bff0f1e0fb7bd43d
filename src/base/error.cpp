#include "base/error.h"

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <system_error>
#include <utility>

namespace sprite {
namespace {

struct Row {
  Error::Kind kind;
  std::string_view name;
  int exit_status;
  int http_status;
};

constexpr std::array table{
    Row{Error::Kind::not_found, "not_found", 1, 404},
    Row{Error::Kind::exists, "exists", 1, 409},
    Row{Error::Kind::busy, "busy", 1, 409},
    Row{Error::Kind::invalid, "invalid", 2, 400},
    Row{Error::Kind::denied, "denied", 1, 403},
    Row{Error::Kind::no_space, "no_space", 1, 507},
    Row{Error::Kind::unavailable, "unavailable", 1, 503},
    Row{Error::Kind::corrupt, "corrupt", 1, 500},
    Row{Error::Kind::internal, "internal", 1, 500},
};

const Row& row(Error::Kind kind) { return table[static_cast<std::size_t>(kind)]; }

Error::Kind kind_of_errno(int error_number) {
  switch (error_number) {
    case ENOENT: return Error::Kind::not_found;
    case EEXIST: return Error::Kind::exists;
    case EACCES:
    case EPERM: return Error::Kind::denied;
    case ENOSPC:
    case EDQUOT: return Error::Kind::no_space;
    case EBUSY: return Error::Kind::busy;
    default: return Error::Kind::unavailable;
  }
}

}  // namespace

Error Error::within(std::string doing) && {
  because.insert(because.begin(), std::exchange(what, std::move(doing)));
  return std::move(*this);
}

Error system_error(std::string what, int error_number) {
  return Error{kind_of_errno(error_number), std::move(what), "", {std::generic_category().message(error_number)}};
}

Error system_error(std::string what) { return system_error(std::move(what), errno); }

std::string_view to_string(Error::Kind kind) { return row(kind).name; }

Error::Kind kind_from_string(std::string_view name) {
  for (const Row& each : table)
    if (each.name == name) return each.kind;
  return Error::Kind::internal;
}

int exit_status(Error::Kind kind) { return row(kind).exit_status; }
int http_status(Error::Kind kind) { return row(kind).http_status; }

Error::Kind kind_from_http_status(int status) {
  switch (status) {
    case 401:
    case 403: return Error::Kind::denied;
    case 404:
    case 410: return Error::Kind::not_found;
    case 409: return Error::Kind::busy;
    case 429:
    case 502:
    case 503:
    case 504: return Error::Kind::unavailable;
    case 507: return Error::Kind::no_space;
    default: return status < 500 ? Error::Kind::invalid : Error::Kind::internal;
  }
}

std::string to_text(const Error& error) {
  std::string text = "sprite: " + error.what + "\n";
  for (const std::string& cause : error.because) text += "  because " + cause + "\n";
  if (!error.hint.empty()) text += "  try: " + error.hint + "\n";
  return text;
}

void die(std::string_view broken_invariant) {
  std::fprintf(stderr, "sprite: internal error: %.*s\n", static_cast<int>(broken_invariant.size()),
               broken_invariant.data());
  std::abort();
}

}  // namespace sprite
