#include "agent/session.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <cerrno>

#include "agent/utf8.h"
#include "base/file.h"
#include "base/log.h"
#include "base/text.h"
#include "wire/exec_frames.h"

namespace sprite::agent {
namespace {

constexpr std::size_t read_bytes = 32 * 1024;
constexpr int pipe_bytes = 256 * 1024;
constexpr std::chrono::milliseconds background_grace{250};
constexpr std::chrono::seconds stalled_after{5};
constexpr std::chrono::seconds hang_up_grace{5};

SharedOutput make_output(Output::Kind kind, std::string bytes, int status = 0) {
  return std::make_shared<const Output>(Output{kind, std::move(bytes), status});
}

}  // namespace

Session::Session(std::shared_ptr<SpawnerClient> spawner, std::string id, SessionOptions options, Ended ended)
    : spawner_(std::move(spawner)),
      executor_(spawner_->executor()),
      id_(std::move(id)),
      options_(std::move(options)),
      ended_(std::move(ended)),
      room_(executor_),
      over_(executor_),
      grace_(executor_),
      absence_(executor_) {}

asio::awaitable<Result<std::shared_ptr<Session>>> Session::start(std::shared_ptr<SpawnerClient> spawner, std::string id,
                                                                 SessionOptions options, Ended ended) {
  auto session = std::make_shared<Session>(std::move(spawner), std::move(id), std::move(options), std::move(ended));
  CO_TRY(co_await session->launch());
  co_return session;
}

asio::awaitable<Result<>> Session::launch() {
  CO_TRY_LET(std::vector<Fd> stdio, make_stdio());
  std::function<void(Ending)> on_end = [self = shared_from_this()](Ending ending) { self->program_ended(ending); };
  auto started = co_await spawner_->start(options_.program, std::move(stdio), std::move(on_end));
  if (!started) co_return std::move(started).error();
  program_id_ = started->id;
  pid_ = started->pid;
  if (started->terminal) {
    Fd writing(::fcntl(started->terminal.get(), F_DUPFD_CLOEXEC, 0));
    if (!writing) co_return system_error("cannot use the program's terminal");
    input_ = std::make_shared<Input>(executor_, std::move(writing));
    add_source(std::move(started->terminal), Output::Kind::terminal);
  }
  if (input_) input_->run();
  launched_ = true;
  pumps_ = sources_.size();
  for (const auto& source : sources_)
    asio::co_spawn(
        executor_, [self = shared_from_this(), source] { return self->pump(source); }, asio::detached);
  if (ending_) begin_grace();
  co_return Result<>{};
}

/// The program's ends of its pipes; ours become input_ and sources_.
Result<std::vector<Fd>> Session::make_stdio() {
  std::vector<Fd> stdio;
  if (options_.program.terminal) return stdio;
  if (options_.wants_input) {
    TRY_LET(Pipe pipe, make_pipe());
    input_ = std::make_shared<Input>(executor_, std::move(pipe.write_end));
    stdio.push_back(std::move(pipe.read_end));
  } else {
    TRY_LET(Fd null, open_file("/dev/null", O_RDONLY));
    stdio.push_back(std::move(null));
  }
  for (const auto kind : {Output::Kind::out, Output::Kind::err}) {
    TRY_LET(Pipe pipe, make_pipe());
    (void)::fcntl(pipe.read_end.get(), F_SETPIPE_SZ, pipe_bytes);
    (void)::fcntl(pipe.read_end.get(), F_SETFL, O_NONBLOCK);
    add_source(std::move(pipe.read_end), kind);
    stdio.push_back(std::move(pipe.write_end));
  }
  return stdio;
}

void Session::add_source(Fd fd, Output::Kind kind) {
  sources_.push_back(std::make_shared<Source>(Source{asio::posix::stream_descriptor(executor_, fd.get()), kind}));
  (void)fd.release();
}

asio::awaitable<void> Session::pump(std::shared_ptr<Source> source) {
  for (;;) {
    co_await wait_for_room();
    std::string bytes(read_bytes, '\0');
    const ssize_t got = ::read(source->descriptor.native_handle(), bytes.data(), bytes.size());
    if (got > 0) {
      bytes.resize(static_cast<std::size_t>(got));
      if (bytes.size() < read_bytes / 2) bytes.shrink_to_fit();
      deliver(make_output(source->kind, std::move(bytes)));
      source->owed_bytes -= got;
      if (grace_over_ && source->owed_bytes <= 0) break;
      co_await asio::post(executor_, asio::use_awaitable);  // without clients nothing else would let others run
    } else if (got < 0 && errno == EAGAIN) {
      if (grace_over_) break;
      (void)co_await source->descriptor.async_wait(asio::posix::stream_descriptor::wait_read,
                                                   asio::as_tuple(asio::use_awaitable));
    } else if (got == 0 || errno != EINTR) {
      break;  // the end; a terminal says EIO
    }
  }
  boost::system::error_code ignored;
  source->descriptor.close(ignored);
  --pumps_;
  finish_if_over();
}

asio::awaitable<void> Session::wait_for_room() {
  const auto has_room = [this] {
    return std::all_of(clients_.begin(), clients_.end(), [](const auto& client) { return client->has_room(); });
  };
  while (!has_room()) {
    if (clients_.size() == 1) {
      co_await room_.wait();
    } else {
      co_await pause_for(executor_, std::chrono::milliseconds(100));
      drop_stalled_clients();
    }
  }
}

void Session::drop_stalled_clients() {
  const auto now = std::chrono::steady_clock::now();
  for (const auto& client : std::vector(clients_))
    if (clients_.size() > 1 && !client->has_room() && now - client->last_taken() > stalled_after) detach(client);
}

void Session::deliver(SharedOutput output) {
  last_activity_ = std::chrono::system_clock::now();
  output_bytes_ += output->bytes.size();
  for (const auto& client : clients_) client->push(output);
  scrollback_.add(std::move(output));
}

void Session::program_ended(Ending ending) {
  ending_ = ending;
  if (ending.lost)
    deliver(make_output(has_terminal() ? Output::Kind::terminal : Output::Kind::err,
                        "sprite: the inner container ended, and this program with it\r\n"));
  if (launched_) begin_grace();
}

/// Once the program has ended and launch() is through, whichever is later.
void Session::begin_grace() {
  if (input_) input_->close();
  for (const auto& source : sources_) {
    int waiting = 0;
    if (source->descriptor.is_open() && ::ioctl(source->descriptor.native_handle(), FIONREAD, &waiting) == 0)
      source->owed_bytes = waiting;
  }
  grace_.expires_after(background_grace);
  grace_.async_wait([self = shared_from_this()](boost::system::error_code stopped) {
    if (stopped) return;
    self->grace_over_ = true;
    boost::system::error_code ignored;
    for (const auto& source : self->sources_) source->descriptor.cancel(ignored);
  });
  finish_if_over();
}

void Session::finish_if_over() {
  if (!ending_ || !launched_ || pumps_ > 0 || status_) return;
  const auto self = shared_from_this();
  status_ = ending_->status;
  grace_.cancel();
  absence_.cancel();
  for (const auto& client : clients_) client->push(make_output(Output::Kind::exit, {}, *status_));
  over_.notify_all();
  if (const auto ended = std::exchange(ended_, nullptr)) ended(id_);
}

std::shared_ptr<Attachment> Session::attach(bool owner) {
  absence_.cancel();
  auto client = std::make_shared<Attachment>(executor_, [self = shared_from_this()] { self->room_.notify_all(); });
  wire::SessionInfo info;
  info.session_id = id_;
  info.command = command();
  info.created = std::chrono::duration_cast<std::chrono::seconds>(created_.time_since_epoch()).count();
  info.cols = options_.program.columns;
  info.rows = options_.program.rows;
  info.is_owner = owner;
  info.tty = has_terminal();
  client->push(make_output(Output::Kind::notice, wire::to_text(info)));
  for (const SharedOutput& output : scrollback_.kept()) client->push(output);
  if (status_) client->push(make_output(Output::Kind::exit, {}, *status_));
  clients_.push_back(client);
  return client;
}

void Session::detach(const std::shared_ptr<Attachment>& client) {
  const auto kept = client;  // `client` may live in clients_
  std::erase(clients_, kept);
  kept->close();
  if (clients_.empty()) watch_absence();
}

void Session::outlive_clients() {
  options_.run_after_disconnect = {};
  absence_.cancel();
}

/// Ends a program that nobody came back to: a hang-up first, as a closed terminal does.
void Session::watch_absence() {
  if (status_ || options_.run_after_disconnect.count() <= 0) return;
  absence_.expires_after(options_.run_after_disconnect);
  absence_.async_wait([self = shared_from_this()](boost::system::error_code stopped) {
    if (stopped || self->has_clients()) return;
    self->signal(SIGHUP, Reach::session);
    self->absence_.expires_after(hang_up_grace);
    self->absence_.async_wait([self](boost::system::error_code stopped_again) {
      if (!stopped_again && !self->has_clients()) self->signal(SIGKILL, Reach::session);
    });
  });
}

asio::awaitable<void> Session::write(std::string bytes) {
  if (!input_) co_return;
  last_activity_ = std::chrono::system_clock::now();
  const auto input = input_;
  co_await input->push(std::move(bytes));
}

void Session::finish_input() {
  if (input_ && !has_terminal()) input_->finish();
}

void Session::resize(std::uint16_t rows, std::uint16_t columns) {
  if (!has_terminal() || rows == 0 || columns == 0) return;
  options_.program.rows = rows;
  options_.program.columns = columns;
  const winsize size{rows, columns, 0, 0};
  if (!sources_.empty() && sources_[0]->descriptor.is_open())
    (void)::ioctl(sources_[0]->descriptor.native_handle(), TIOCSWINSZ, &size);
}

void Session::signal(int number, Reach reach) {
  if (!ending_ && launched_) spawner_->signal(program_id_, number, reach);
}

asio::awaitable<bool> Session::wait_ended(std::chrono::milliseconds limit) {
  const auto self = shared_from_this();
  const auto deadline = std::chrono::steady_clock::now() + limit;
  asio::steady_timer timer(executor_, deadline);
  timer.async_wait([self](boost::system::error_code stopped) {
    if (!stopped) self->over_.notify_all();
  });
  while (!status_ && std::chrono::steady_clock::now() < deadline) co_await over_.wait();
  co_return status_.has_value();
}

std::string Session::command() const {
  const Program& program = options_.program;
  if (!program.argv.empty()) return to_utf8(join(program.argv, " "));
  return program.path.empty() ? "(login shell)" : to_utf8(program.path);
}

wire::Session Session::describe() const {
  const auto now = std::chrono::system_clock::now();
  const double lived_s = std::max(1.0, std::chrono::duration<double>(now - created_).count());
  wire::Session session;
  session.id = id_;
  session.command = command();
  session.workdir = options_.program.directory.empty() ? "/home/sprite" : to_utf8(options_.program.directory);
  session.created = format_time(created_);
  session.last_activity = format_time(last_activity_);
  session.bytes_per_second = static_cast<double>(output_bytes_) / lived_s;
  session.is_active = !status_.has_value();
  session.tty = has_terminal();
  return session;
}

}  // namespace sprite::agent
