#include "agent/sprite_env.h"

#include <fmt/format.h>
#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include "base/error.h"
#include "http/client.h"

namespace sprite::agent {
namespace {

namespace json = boost::json;

const Path api_socket = "/.sprite/api.sock";

constexpr auto usage_text =
    "usage: sprite-env info                                  this sprite\n"
    "       sprite-env version\n"
    "       sprite-env checkpoints list [--history ID]\n"
    "       sprite-env checkpoints get ID\n"
    "       sprite-env checkpoints create [--comment TEXT]\n"
    "       sprite-env checkpoints restore ID                ends every program, this one too\n"
    "       sprite-env tasks list\n"
    "       sprite-env tasks get NAME\n"
    "       sprite-env tasks create NAME [--expire 30m]      keeps this sprite awake, an hour at most\n"
    "       sprite-env tasks delete NAME\n"
    "       sprite-env curl PATH [curl's options]\n";

Error wrong_usage(const std::string& what) {
  return Error{Error::Kind::invalid, what, "run `sprite-env` to see what there is", {}};
}

/// Words after a verb: the arguments, and the value of the one option that the verb may have.
struct Arguments {
  std::vector<std::string> words;
  std::string option;
};

/// Errors: invalid.
Result<Arguments> parse(const std::vector<std::string>& words, std::size_t first, const std::string& option,
                        std::size_t count) {
  Arguments arguments;
  for (std::size_t i = first; i < words.size(); ++i) {
    if (!option.empty() && words[i].starts_with(option + "=")) {
      arguments.option = words[i].substr(option.size() + 1);
    } else if (!option.empty() && words[i] == option) {
      if (++i == words.size()) return wrong_usage("'" + option + "' needs a value");
      arguments.option = words[i];
    } else if (words[i].starts_with("-")) {
      return wrong_usage("unknown option '" + words[i] + "'");
    } else {
      arguments.words.push_back(words[i]);
    }
  }
  if (arguments.words.size() != count) return wrong_usage("'" + words[first - 1] + "' takes another number of words");
  return arguments;
}

/// The request that a checkpoints verb stands for. Errors: invalid.
Result<http::Request> checkpoints_request(const std::vector<std::string>& words) {
  const std::string verb = words.size() > 1 ? words[1] : "";
  if (verb == "list" || verb == "ls") {
    TRY_LET(const Arguments arguments, parse(words, 2, "--history", 0));
    const std::string query = arguments.option.empty() ? "" : "?history=" + http::url_encode(arguments.option);
    return http::Request("GET", "/v1/checkpoints" + query);
  }
  if (verb == "get" || verb == "info") {
    TRY_LET(const Arguments arguments, parse(words, 2, "", 1));
    return http::Request("GET", "/v1/checkpoints/" + http::url_encode(arguments.words[0]));
  }
  if (verb == "create") {
    TRY_LET(const Arguments arguments, parse(words, 2, "--comment", 0));
    const json::object body = arguments.option.empty() ? json::object{} : json::object{{"comment", arguments.option}};
    return http::Request("POST", "/v1/checkpoint", json::serialize(body));
  }
  if (verb == "restore") {
    TRY_LET(const Arguments arguments, parse(words, 2, "", 1));
    return http::Request("POST", "/v1/checkpoints/" + http::url_encode(arguments.words[0]) + "/restore");
  }
  return wrong_usage("unknown command 'checkpoints " + verb + "'");
}

/// The same of a tasks verb. Errors: invalid.
Result<http::Request> tasks_request(const std::vector<std::string>& words) {
  const std::string verb = words.size() > 1 ? words[1] : "";
  if (verb == "list" || verb == "ls") {
    TRY(parse(words, 2, "", 0));
    return http::Request("GET", "/v1/tasks");
  }
  if (verb == "get" || verb == "info") {
    TRY_LET(const Arguments arguments, parse(words, 2, "", 1));
    return http::Request("GET", "/v1/tasks/" + http::url_encode(arguments.words[0]));
  }
  if (verb == "create" || verb == "renew") {
    TRY_LET(const Arguments arguments, parse(words, 2, "--expire", 1));
    const json::object body{{"expire", arguments.option.empty() ? "1h" : arguments.option}};
    return http::Request("PUT", "/v1/tasks/" + http::url_encode(arguments.words[0]), json::serialize(body));
  }
  if (verb == "delete" || verb == "rm") {
    TRY_LET(const Arguments arguments, parse(words, 2, "", 1));
    return http::Request("DELETE", "/v1/tasks/" + http::url_encode(arguments.words[0]));
  }
  return wrong_usage("unknown command 'tasks " + verb + "'");
}

Result<http::Request> request_for(const std::vector<std::string>& words) {
  if (words[0] == "info" && words.size() == 1) return http::Request("GET", "/info");
  if (words[0] == "checkpoints" || words[0] == "checkpoint") return checkpoints_request(words);
  if (words[0] == "tasks" || words[0] == "task") return tasks_request(words);
  return wrong_usage("unknown command '" + words[0] + "'");
}

Result<http::Response> fetch(const http::Request& request) {
  asio::io_context loop(1);
  Result<http::Response> answer;
  auto work = [&]() -> asio::awaitable<void> {
    http::Endpoint endpoint(api_socket);
    auto stream = co_await http::connect(std::move(endpoint));
    if (!stream) {
      answer = std::move(stream).error();
      co_return;
    }
    answer = co_await http::fetch(*stream, request);
  };
  asio::co_spawn(loop, std::move(work), [](std::exception_ptr) {});
  loop.run();
  return answer;
}

/// Becomes curl. Returns only if that failed.
int run_curl(const std::vector<std::string>& words) {
  if (words.size() < 2) {
    fmt::print(stderr, "{}", usage_text);
    return 2;
  }
  std::vector<std::string> command{"curl", "--silent", "--show-error", "--unix-socket", api_socket.string()};
  command.insert(command.end(), words.begin() + 2, words.end());
  command.push_back("http://sprite" + (words[1].starts_with("/") ? words[1] : "/" + words[1]));
  std::vector<char*> arguments;
  for (std::string& word : command) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  ::execvp("curl", arguments.data());
  fmt::print(stderr, "{}", to_text(system_error("cannot run curl")));
  return 127;
}

}  // namespace

int run_sprite_env(const std::vector<std::string>& words) {
  if (words.empty() || words[0] == "help" || words[0] == "--help" || words[0] == "-h") {
    fmt::print(words.empty() ? stderr : stdout, "{}", usage_text);
    return words.empty() ? 2 : 0;
  }
  if (words[0] == "version" || words[0] == "--version") {
    fmt::print("{}\n", SPRITE_VERSION);
    return 0;
  }
  if (words[0] == "curl") return run_curl(words);
  const auto request = request_for(words);
  const auto answer = request ? fetch(*request) : Result<http::Response>(request.error());
  if (!answer) {
    fmt::print(stderr, "{}\n", to_text(answer.error()));
    return exit_status(answer.error().kind);
  }
  if (!answer->body.empty()) fmt::print("{}{}", answer->body, answer->body.ends_with('\n') ? "" : "\n");
  const bool failed = answer->status >= 400 || answer->body.find("{\"type\":\"error\"") != std::string::npos;
  return failed ? 1 : 0;
}

}  // namespace sprite::agent
