#pragma once
/// What Ctrl+C does while the daemon works for us: it goes on with what it was asked for, so we say that, how to look
/// and how to undo it, and end.
#include <string>

namespace sprite::cli {

/// While one lives, SIGINT writes its text to standard error and ends the process with 130. One at a time.
class InterruptNote {
 public:
  explicit InterruptNote(std::string text);
  ~InterruptNote();
  InterruptNote(const InterruptNote&) = delete;

 private:
  std::string text_;
};

/// For what a sprite is asked to do, "starting 'box'": it goes on in the background, and `sprite info` tells how it is.
InterruptNote goes_on(const std::string& doing, const std::string& name);

}  // namespace sprite::cli
