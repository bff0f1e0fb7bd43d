#include "cli/terminal.h"

#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <thread>

#include "base/fd.h"

namespace sprite::cli {
namespace {

/// Writes what can be written: a closed terminal is nothing that we could tell anybody.
void write_to(int fd, std::string_view text) { (void)write_all(fd, as_bytes(text)); }

std::string error_in_json(const Error& error) {
  boost::json::object object{{"error", error.what}, {"kind", to_string(error.kind)}};
  object["because"] = boost::json::array(error.because.begin(), error.because.end());
  object["try"] = error.hint;
  return boost::json::serialize(object);
}

/// A cell of a table: what is in it cannot look like another row.
std::string in_one_line(std::string_view text) {
  std::string line = harmless(text);
  std::ranges::replace_if(
      line, [](char c) { return c == '\n' || c == '\t'; }, ' ');
  return line;
}

bool wants_color() {
  const char* no_color = std::getenv("NO_COLOR");
  const char* term = std::getenv("TERM");
  return !(no_color && *no_color) && term && std::strcmp(term, "dumb") != 0;
}

}  // namespace

Terminal::Terminal()
    : input_is_terminal_(::isatty(STDIN_FILENO) == 1),
      output_is_terminal_(::isatty(STDOUT_FILENO) == 1),
      errors_are_terminal_(::isatty(STDERR_FILENO) == 1),
      color_(wants_color()) {}

void Terminal::print(std::string_view text) {
  progress("");
  write_to(STDOUT_FILENO, text);
}

void Terminal::print_line(std::string_view text) { print(harmless(text) + "\n"); }

void Terminal::print_table(const std::vector<std::string>& head, const std::vector<std::vector<std::string>>& rows) {
  std::vector<std::vector<std::string>> lines = rows;
  for (auto& row : lines)
    for (std::string& cell : row) cell = in_one_line(cell);
  std::vector<std::size_t> widths;
  for (const std::string& title : head) widths.push_back(width_of(title));
  for (const auto& row : lines) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], width_of(row[i]));
  }
  std::string text;
  const auto add = [&](const std::vector<std::string>& row, Style style) {
    for (std::size_t i = 0; i < row.size(); ++i) {
      text += styled(style, row[i]);
      if (i + 1 < row.size()) text.append(widths[i] - width_of(row[i]) + 2, ' ');
    }
    text += '\n';
  };
  if (!head.empty()) add(head, Style::dim);
  for (const auto& row : lines) add(row, Style::plain);
  print(text);
}

void Terminal::note(std::string_view text) {
  progress("");
  write_to(STDERR_FILENO, harmless(text) + "\n");
}

void Terminal::report(const Error& error) {
  progress("");
  if (errors_in_json_) return write_to(STDERR_FILENO, error_in_json(error) + "\n");
  std::string text = harmless(to_text(error));
  const std::string_view name = "sprite:";
  if (errors_are_terminal_ && color_) text = "\033[31m" + std::string(name) + "\033[0m" + text.substr(name.size());
  write_to(STDERR_FILENO, text);
}

void Terminal::end_with_reader() const {
  if (output_is_terminal_) return;  // SIGHUP tells
  std::thread([] {
    pollfd output{STDOUT_FILENO, 0, 0};
    while (::poll(&output, 1, -1) < 0 && errno == EINTR) {
    }
    if ((output.revents & POLLERR) != 0) ::_exit(128 + SIGPIPE);
  }).detach();
}

void Terminal::progress(std::string_view text) {
  if (!errors_are_terminal_ || (text.empty() && !progress_shown_)) return;
  write_to(STDERR_FILENO, "\r\033[K" + harmless(text));
  progress_shown_ = !text.empty();
}

void Terminal::step(std::string_view text) {
  if (errors_are_terminal_) return progress(text);
  if (!errors_in_json_) note(text);
}

std::string Terminal::styled(Style style, std::string_view text) const {
  constexpr std::array codes{"", "1", "2", "32", "33", "31"};
  if (style == Style::plain || !color_ || !output_is_terminal_) return std::string(text);
  return "\033[" + std::string(codes[static_cast<std::size_t>(style)]) + "m" + std::string(text) + "\033[0m";
}

std::string Terminal::ask(std::string_view question) {
  progress("");
  write_to(STDERR_FILENO, question);
  std::string answer;
  char c = 0;
  while (::read(STDIN_FILENO, &c, 1) == 1 && c != '\n') answer += c;
  return answer;
}

namespace {

/// The length of a colour's escape sequence that `text` begins with: ESC, '[', digits and semicolons, 'm'. 0 if none.
std::size_t color_length(std::string_view text) {
  if (!text.starts_with("\033[")) return 0;
  const std::size_t end = text.find_first_not_of("0123456789;", 2);
  return end != text.npos && text[end] == 'm' ? end + 1 : 0;
}

}  // namespace

std::string harmless(std::string_view text) {
  std::string clean;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    const auto next = static_cast<unsigned char>(i + 1 < text.size() ? text[i + 1] : 0);
    if (const std::size_t length = color_length(text.substr(i)); length > 0) {
      clean += text.substr(i, length);
      i += length - 1;
    } else if (byte == 0xC2 && next >= 0x80 && next < 0xA0) {
      clean += '?';  // a control character of the upper half, in UTF-8
      ++i;
    } else {
      clean += (byte < ' ' && byte != '\n' && byte != '\t') || byte == 0x7F ? '?' : text[i];
    }
  }
  return clean;
}

std::size_t width_of(std::string_view text) {
  std::size_t width = 0;
  bool escaping = false;
  for (const char c : text) {
    if (escaping)
      escaping = c != 'm';
    else if (c == '\033')
      escaping = true;
    else if ((static_cast<unsigned char>(c) & 0xC0) != 0x80)
      ++width;
  }
  return width;
}

}  // namespace sprite::cli
