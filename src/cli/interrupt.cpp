#include "cli/interrupt.h"

#include <signal.h>
#include <unistd.h>

#include <atomic>

#include "base/error.h"

namespace sprite::cli {
namespace {

// The handler must not allocate, and reads no text that is being changed.
std::atomic<const std::string*> shown{nullptr};

void say_and_end(int signal) {
  if (const std::string* text = shown.load()) (void)!::write(STDERR_FILENO, text->data(), text->size());
  ::_exit(128 + signal);
}

}  // namespace

InterruptNote::InterruptNote(std::string text) {
  if (shown.load()) die("two notes for one interrupt");
  const std::string clear_line = ::isatty(STDERR_FILENO) == 1 ? "\r\033[K" : "";  // progress, and the terminal's ^C
  text_ = clear_line + text + "\n";
  shown = &text_;
  ::signal(SIGINT, say_and_end);
}

InterruptNote::~InterruptNote() {
  ::signal(SIGINT, SIG_DFL);
  shown = nullptr;
}

InterruptNote goes_on(const std::string& doing, const std::string& name) {
  return InterruptNote("sprite: " + doing + " goes on in the background\n  try: sprite info " + name);
}

}  // namespace sprite::cli
