#pragma once
/// The query of an exec request.
#include "agent/session.h"
#include "http/server.h"

namespace sprite::agent {

struct ExecRequest {
  SessionOptions options{};
  std::string session_id{};  ///< Not empty: attach to this session instead.
};

/// Errors: invalid (a size or duration that is none; an empty command).
Result<ExecRequest> parse_exec_request(const http::Exchange& exchange);

}  // namespace sprite::agent
