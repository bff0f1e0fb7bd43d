#include "vm/network.h"

#include <fmt/format.h>
#include <pwd.h>
#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <thread>

#include "base/process.h"
#include "base/text.h"
#include "base/unix_socket.h"

namespace sprite::vm {
namespace {

using namespace std::chrono_literals;

constexpr auto start_limit = 5s;

/// passt binds its socket as "nobody" when root starts it, so it works in a directory of its own that is nobody's.
Path network_directory(const Path& runtime_directory) { return runtime_directory / "net"; }
Path log_file(const Path& runtime_directory) { return runtime_directory / "passt.log"; }
Path output_file(const Path& runtime_directory) { return runtime_directory / "passt.out"; }

Result<> make_network_directory(const Path& directory) {
  TRY(remove_tree(directory));
  TRY(make_directories(directory));
  if (::geteuid() != 0) return {};
  const passwd* nobody = ::getpwnam("nobody");
  if (!nobody) return Error{Error::Kind::not_found, "there is no user 'nobody' for passt to run as", {}, {}};
  if (::chown(directory.c_str(), nobody->pw_uid, nobody->pw_gid) != 0)
    return system_error("cannot give '" + directory.string() + "' to nobody");
  return {};
}

std::vector<std::string> passt_command(const Path& runtime_directory) {
  return {"env",
          "--chdir=" + network_directory(runtime_directory).string(),
          "passt",
          "--foreground",
          "--one-off",
          "--socket",
          "net.sock",
          "--log-file",
          log_file(runtime_directory).string(),
          "--ipv4-only",
          "--address",
          "10.0.2.15",
          "--netmask",
          "24",
          "--gateway",
          "10.0.2.2",
          "--dns-forward",
          "10.0.2.3",
          "--no-map-gw",
          "--tcp-ports",
          "none",
          "--udp-ports",
          "none"};
}

/// The last line that is not passt's complaint about a missing system logger.
std::string last_words(const Path& runtime_directory) {
  std::string words = "it ended without a word";
  for (const Path& file : {output_file(runtime_directory), log_file(runtime_directory)}) {
    const auto text = read_file(file);
    if (!text) continue;
    for (const std::string& line : split(*text, '\n'))
      if (!trim(line).empty() && line.find("to syslog") == std::string::npos) words = trim(line);
  }
  return words;
}

/// Connects and hangs up: a one-off passt ends with its connection. One that has just made its socket may not listen
/// yet.
void hang_up(const Path& socket) {
  for (int attempt = 0; attempt < 5; ++attempt) {
    const auto connected = connect_unix(socket, Blocking::yes);
    if (connected || connected.error().kind != Error::Kind::unavailable) return;
    std::this_thread::sleep_for(1ms);
  }
}

/// Whether the helper listens. It says so in its log; one that does not say is believed after a second, if its socket
/// is there.
bool is_listening(const Path& runtime_directory, std::chrono::milliseconds waited) {
  if (::access(network_socket(runtime_directory).c_str(), F_OK) != 0) return false;
  const auto text = read_file(log_file(runtime_directory));
  return (text && text->find("You can now start") != std::string::npos) || waited > 1s;
}

Result<> await_socket(const Path& runtime_directory, pid_t helper) {
  const auto begin = std::chrono::steady_clock::now();
  for (;;) {
    const auto waited = std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - begin);
    if (is_listening(runtime_directory, waited)) return {};
    if (::kill(helper, 0) != 0)
      return Error{
          Error::Kind::unavailable, "the network helper passt does not run", {}, {last_words(runtime_directory)}};
    if (waited > start_limit) {
      ::kill(helper, SIGKILL);
      return Error{
          Error::Kind::unavailable, "the network helper passt made no socket", {}, {last_words(runtime_directory)}};
    }
    std::this_thread::sleep_for(1ms);
  }
}

}  // namespace

Path network_socket(const Path& runtime_directory) { return network_directory(runtime_directory) / "net.sock"; }

Result<> start_network(const Path& runtime_directory) {
  TRY(find_program("passt"));
  TRY(make_network_directory(network_directory(runtime_directory)));
  TRY_LET(const pid_t helper, start_detached(passt_command(runtime_directory), output_file(runtime_directory)));
  return await_socket(runtime_directory, helper);
}

void stop_network(const Path& runtime_directory) {
  hang_up(network_socket(runtime_directory));
  std::error_code ignored;
  std::filesystem::remove_all(network_directory(runtime_directory), ignored);
  std::filesystem::remove(log_file(runtime_directory), ignored);
  std::filesystem::remove(output_file(runtime_directory), ignored);
}

void end_network_trial(const Path& scratch) { hang_up(network_socket(scratch)); }

NetworkDecision detect_network(const Path& scratch) {
  end_network_trial(scratch);
  const auto started = start_network(scratch);
  stop_network(scratch);
  std::error_code ignored;
  std::filesystem::remove(scratch, ignored);
  if (started) return {Network::passt, {}};
  const Error& error = started.error();
  return {Network::user, error.because.empty() ? error.what : error.what + ": " + error.because.front()};
}

std::string netdev_option(const std::string& id, Network network, const std::string& socket) {
  if (network == Network::passt) return fmt::format("stream,id={},server=off,addr.type=unix,addr.path={}", id, socket);
  return fmt::format("user,id={},ipv6=off,net=10.0.2.0/24,host=10.0.2.2,dns=10.0.2.3,dhcpstart=10.0.2.15", id);
}

}  // namespace sprite::vm
