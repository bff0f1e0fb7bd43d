#pragma once
/// Terminal: results go to standard output, everything else to standard error; colours and progress only where a person
/// looks.
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace sprite::cli {

enum class Style { plain, bold, dim, green, yellow, red };

class Terminal {
 public:
  /// Looks at descriptors 0, 1 and 2, NO_COLOR and TERM.
  Terminal();

  /// A result, as it is: to standard output.
  void print(std::string_view text);
  void print_line(std::string_view text);
  /// Rows below a head in aligned columns, the same on a terminal and in a pipe.
  void print_table(const std::vector<std::string>& head, const std::vector<std::vector<std::string>>& rows);
  /// A remark, to standard error.
  void note(std::string_view text);
  /// An error, to standard error; in JSON if that was asked for: {"error":…,"kind":…,"because":[…],"try":…} in a line.
  void report(const Error& error);
  void report_as_json(bool json) { errors_in_json_ = json; }
  /// Ends the process, as SIGPIPE would, once nobody reads standard output: for what waits long between two lines.
  void end_with_reader() const;
  /// What is going on; replaces the last progress. Shown on a terminal only; empty text clears it.
  void progress(std::string_view text);

  /// `text` with colour for standard output, if that is wanted there.
  std::string styled(Style style, std::string_view text) const;
  void disable_color() { color_ = false; }

  bool input_is_terminal() const { return input_is_terminal_; }
  bool output_is_terminal() const { return output_is_terminal_; }
  bool errors_are_terminal() const { return errors_are_terminal_; }

  /// A step of something long: on a terminal it replaces the last one, elsewhere (a log of a build) it is a line; none
  /// where errors are data.
  void step(std::string_view text);

  /// Asks a question on the terminal and reads one line. Nothing typed (end of input) is an empty answer.
  std::string ask(std::string_view question);

 private:
  bool input_is_terminal_, output_is_terminal_, errors_are_terminal_;
  bool color_;
  bool errors_in_json_ = false;
  bool progress_shown_ = false;
};

/// `text` as a terminal may have it: without control characters, but for line breaks, tabs and colours. What guests say
/// is shown (errors, comments, commands), and must not be able to type, retitle or hide.
std::string harmless(std::string_view text);

/// How many columns `text` takes on a terminal: UTF-8, escape sequences not counted.
std::size_t width_of(std::string_view text);

}  // namespace sprite::cli
