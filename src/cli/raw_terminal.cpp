// The former mode is kept in a global, because exit handlers and the handlers of fatal signals must reach it.
#include "cli/raw_terminal.h"

#include <signal.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdlib>

namespace sprite::cli {
namespace {

termios former_mode;
std::atomic<int> raw_fd{-1};
constexpr std::array fatal_signals{SIGSEGV, SIGABRT, SIGBUS, SIGFPE, SIGILL};

/// Safe in a signal handler.
void restore() {
  const int fd = raw_fd.exchange(-1);
  if (fd >= 0) ::tcsetattr(fd, TCSADRAIN, &former_mode);
}

void restore_and_die(int signal) {
  restore();
  ::signal(signal, SIG_DFL);
  ::raise(signal);
}

void set_raw(int fd) {
  termios mode = former_mode;
  ::cfmakeraw(&mode);
  ::tcsetattr(fd, TCSADRAIN, &mode);
}

}  // namespace

WindowSize window_size(int fd) {
  winsize size{};
  if (::ioctl(fd, TIOCGWINSZ, &size) != 0 || size.ws_col == 0 || size.ws_row == 0) return {};
  return {size.ws_col, size.ws_row};
}

Result<std::unique_ptr<RawTerminal>> RawTerminal::enter(int fd) {
  if (::tcgetattr(fd, &former_mode) != 0) return system_error("cannot use the terminal");
  static const int registered = std::atexit(restore);
  (void)registered;
  raw_fd = fd;
  for (const int each : fatal_signals) ::signal(each, restore_and_die);
  set_raw(fd);
  return std::unique_ptr<RawTerminal>(new RawTerminal(fd));
}

RawTerminal::~RawTerminal() {
  restore();
  for (const int each : fatal_signals) ::signal(each, SIG_DFL);
}

void RawTerminal::again() { set_raw(fd_); }

}  // namespace sprite::cli
