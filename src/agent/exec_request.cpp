#include "agent/exec_request.h"

#include <charconv>

#include "base/text.h"

namespace sprite::agent {
namespace {

constexpr std::chrono::seconds run_after_disconnect_default{10};

Result<bool> flag(const http::Exchange& exchange, const std::string& key, bool by_default) {
  const auto text = exchange.query(key);
  if (!text || text->empty()) return by_default;
  if (*text == "true" || *text == "1") return true;
  if (*text == "false" || *text == "0") return false;
  return Error{Error::Kind::invalid, "'" + key + "' must be true or false, not '" + *text + "'"};
}

Result<std::uint16_t> dimension(const http::Exchange& exchange, const std::string& key, std::uint16_t by_default) {
  const auto text = exchange.query(key);
  if (!text || text->empty()) return by_default;
  std::uint16_t value = 0;
  const auto [end, failed] = std::from_chars(text->data(), text->data() + text->size(), value);
  if (failed != std::errc() || end != text->data() + text->size())
    return Error{Error::Kind::invalid, "'" + key + "' must be a number of at most 65535, not '" + *text + "'"};
  return value == 0 ? by_default : value;
}

}  // namespace

Result<ExecRequest> parse_exec_request(const http::Exchange& exchange) {
  ExecRequest request;
  for (const char* key : {"session_id", "id"})
    if (const auto id = exchange.query(key)) request.session_id = *id;
  Program& program = request.options.program;
  program.argv = exchange.query_all("cmd");
  program.path = exchange.query("path").value_or("");
  program.environment = exchange.query_all("env");
  program.directory = exchange.query("dir").value_or("");
  TRY_LET(program.terminal, flag(exchange, "tty", false));
  TRY_LET(program.rows, dimension(exchange, "rows", 24));
  TRY_LET(program.columns, dimension(exchange, "cols", 80));
  TRY_LET(request.options.wants_input, flag(exchange, "stdin", program.terminal));
  TRY_LET(const bool detachable, flag(exchange, "detachable", false));
  if (!program.argv.empty() && program.argv[0].empty() && program.path.empty())
    return Error{Error::Kind::invalid, "the command is empty"};
  if (!program.terminal && !detachable) request.options.run_after_disconnect = run_after_disconnect_default;
  if (const auto text = exchange.query("max_run_after_disconnect"); text && !text->empty()) {
    TRY_LET(request.options.run_after_disconnect, parse_duration(*text));
  }
  return request;
}

}  // namespace sprite::agent
