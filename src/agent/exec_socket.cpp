#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include "agent/exec.h"
#include "agent/exec_request.h"
#include "base/log.h"
#include "wire/exec_frames.h"
#include "wire/json.h"

namespace sprite::agent {
namespace {

namespace json = boost::json;

/// A client may give a connection up that is silent for 45 s, and not every client counts pings as a sign of life.
constexpr std::chrono::seconds keepalive_after{10};
constexpr std::size_t frame_bytes_max = 48 * 1024;
constexpr unsigned short close_normal = 1000, close_failure = 1011;

/// One client's connection to one session: a coroutine for each direction. It is over when both have ended.
struct Conversation {
  std::shared_ptr<Session> session;
  std::shared_ptr<Attachment> client;
  std::shared_ptr<http::WebSocket> socket;
  Event read_ended;
  bool reading = true;
};
using SharedConversation = std::shared_ptr<Conversation>;

void obey(Session& session, std::string_view text) {
  const wire::ExecText asked = wire::parse_exec_text(text);
  if (const auto* resize = std::get_if<wire::Resize>(&asked)) session.resize(resize->rows, resize->cols);
  if (const auto* signal = std::get_if<wire::SignalText>(&asked)) session.signal(signal->number, Reach::group);
}

asio::awaitable<void> take_input(Session& session, http::Message message) {
  if (session.has_terminal()) {
    co_await session.write(std::move(message.bytes));
    co_return;
  }
  const auto frame = wire::parse_exec_frame(message.bytes);
  if (frame && frame->stream == wire::ExecStream::input) {
    co_await session.write(std::string(frame->payload));
  } else if (frame && frame->stream == wire::ExecStream::end_of_input) {
    session.finish_input();
  }
}

asio::awaitable<void> read_client(SharedConversation conversation) {
  for (;;) {
    auto message = co_await conversation->socket->read();
    if (!message || !*message) break;
    if ((*message)->text) {
      obey(*conversation->session, (*message)->bytes);
    } else {
      co_await take_input(*conversation->session, std::move(**message));
    }
  }
  conversation->session->detach(conversation->client);
  conversation->reading = false;
  conversation->read_ended.notify_all();
}

/// The exit, and the code to close the connection with: some clients of a terminal see nothing else of the status.
asio::awaitable<Result<unsigned short>> send_exit(Conversation& conversation, int status) {
  if (!conversation.session->has_terminal()) {
    CO_TRY(co_await conversation.socket->send_binary(wire::exit_frame(status)));
    co_return close_normal;
  }
  const wire::ExitText exit{status};
  CO_TRY(co_await conversation.socket->send_text(wire::to_text(exit)));
  co_return status == 0 ? close_normal : close_failure;
}

asio::awaitable<Result<>> send_bytes(Conversation& conversation, SharedOutput output) {
  std::string bytes;
  if (output->kind == Output::Kind::terminal) {
    bytes = output->bytes;
  } else {
    const bool is_error = output->kind == Output::Kind::err;
    bytes = wire::exec_frame(is_error ? wire::ExecStream::error : wire::ExecStream::output, output->bytes);
  }
  conversation.client->gather(bytes, output->kind, frame_bytes_max);
  co_return co_await conversation.socket->send_binary(std::move(bytes));
}

asio::awaitable<Result<unsigned short>> send_outputs(Conversation& conversation) {
  for (;;) {
    auto output = co_await conversation.client->next(keepalive_after);
    if (!output && conversation.client->closed()) co_return close_normal;
    if (!output) {
      CO_TRY(co_await conversation.socket->send_text(wire::to_text(wire::Keepalive{})));
    } else if (output->kind == Output::Kind::exit) {
      co_return co_await send_exit(conversation, output->status);
    } else if (output->kind == Output::Kind::notice) {
      CO_TRY(co_await conversation.socket->send_text(output->bytes));
    } else {
      CO_TRY(co_await send_bytes(conversation, std::move(output)));
    }
  }
}

asio::awaitable<void> converse(asio::any_io_executor executor, SharedConversation conversation) {
  asio::co_spawn(
      executor, [conversation] { return read_client(conversation); }, asio::detached);
  auto code = co_await send_outputs(*conversation);
  co_await conversation->socket->close(code ? *code : close_failure);
  conversation->session->detach(conversation->client);
  while (conversation->reading) co_await conversation->read_ended.wait();
}

asio::awaitable<void> list_sessions(http::Exchange& exchange, const Sessions& sessions) {
  json::array list;
  for (const auto& session : sessions.running()) list.push_back(wire::to_value(session->describe()));
  const std::size_t count = list.size();
  http::Response response;
  response.body = json::serialize(json::object{{"sessions", std::move(list)}, {"count", count}});
  co_await exchange.respond(std::move(response));
}

asio::awaitable<Result<std::shared_ptr<Session>>> session_for(ExecRequest request, Sessions& sessions) {
  if (request.session_id.empty()) co_return co_await sessions.start(std::move(request.options));
  if (auto session = sessions.find(request.session_id)) co_return session;
  co_return Error{Error::Kind::not_found,
                  "there is no session '" + request.session_id + "'",
                  "`sprite sessions list` shows those that run",
                  {}};
}

}  // namespace

asio::awaitable<void> serve_exec(http::Exchange& exchange, Sessions& sessions) {
  if (!exchange.wants_upgrade()) {
    co_await list_sessions(exchange, sessions);
    co_return;
  }
  auto request = parse_exec_request(exchange);
  if (!request) {
    co_await exchange.respond_error(request.error());
    co_return;
  }
  if (const std::string id = exchange.parameter("session"); !id.empty()) request->session_id = id;
  const bool owner = request->session_id.empty();
  auto session = co_await session_for(*std::move(request), sessions);
  if (!session) {
    co_await exchange.respond_error(session.error());
    co_return;
  }
  auto client = (*session)->attach(owner);
  exchange.set_header("X-Sprite-Capabilities", "signal");
  auto socket = co_await exchange.upgrade();
  if (!socket) {
    (*session)->detach(client);
    co_return;
  }
  auto executor = exchange.executor();
  auto conversation = std::make_shared<Conversation>(
      Conversation{*std::move(session), std::move(client), *std::move(socket), Event(executor)});
  co_await converse(executor, std::move(conversation));
}

}  // namespace sprite::agent
