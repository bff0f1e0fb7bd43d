// Changing one value of a settings file as text, so that comments and order stay. Only the shape that we document is
// edited: a key on a line of its own, at most one section deep. The outcome is parsed before it counts.
#include <algorithm>
#include <cctype>

#include "base/text.h"
#include "settings/settings.h"

namespace sprite::settings {
namespace {

std::string quoted(const std::string& value) {
  const auto plain = [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) || std::string_view("_./~-").find(c) != std::string_view::npos;
  };
  if (!value.empty() && std::ranges::all_of(value, plain)) return value;
  std::string text = "\"";
  for (const char c : value) text += c == '"' || c == '\\' ? std::string{'\\', c} : std::string(1, c);
  return text + "\"";
}

std::size_t indent_of(const std::string& line) { return std::min(line.find_first_not_of(' '), line.size()); }

bool is_blank_or_comment(const std::string& line) {
  const std::string text = trim(line);
  return text.empty() || text.front() == '#';
}

bool sets(const std::string& line, std::string_view key) {
  const std::string text = trim(line);
  return text.starts_with(std::string(key) + ":");
}

/// "# key: value", our example's way to show a default.
bool shows(const std::string& line, std::string_view key) {
  const std::string text = trim(line);
  return text.starts_with("#") && sets(text.substr(1), key);
}

/// The comment at the end of a line, with the blanks before it.
std::string comment_of(const std::string& line) {
  char quote = 0;
  for (std::size_t i = 0; i < line.size(); ++i) {
    if (quote) {
      if (line[i] == quote) quote = 0;
    } else if (line[i] == '"' || line[i] == '\'') {
      quote = line[i];
    } else if (line[i] == '#' && i > 0 && line[i - 1] == ' ') {
      return line.substr(line.find_last_not_of(' ', i - 1) + 1);
    }
  }
  return "";
}

using Lines = std::vector<std::string>;

/// A part of the file whose settings are indented alike: the top level, or one section.
struct Part {
  std::size_t first, last;  ///< Lines [first, last).
  std::size_t new_line;     ///< Where a line that is not there yet goes.
  bool is_section;
};

bool belongs(const std::string& line, const Part& part) { return part.is_section == (indent_of(line) > 0); }

void set_within(Lines& lines, const Part& part, std::string_view key, const std::string& value) {
  const std::string line = std::string(key) + ": " + quoted(value);
  for (std::size_t i = part.first; i < part.last; ++i) {
    if (!belongs(lines[i], part) || !sets(lines[i], key)) continue;
    lines[i] = lines[i].substr(0, indent_of(lines[i])) + line + comment_of(lines[i]);
    return;
  }
  const std::string indent(part.is_section ? 2 : 0, ' ');
  for (std::size_t i = part.first; i < part.last; ++i) {
    if (!belongs(lines[i], part) || !shows(lines[i], key)) continue;
    lines[i] = indent + line;
    return;
  }
  lines.insert(lines.begin() + static_cast<std::ptrdiff_t>(part.new_line), indent + line);
}

/// The lines of `section`, which is added at the end when it is not there.
Part find_section(Lines& lines, std::string_view section) {
  const auto opens = [&](const std::string& line) { return indent_of(line) == 0 && sets(line, section); };
  auto head = std::ranges::find_if(lines, opens);
  if (head == lines.end()) {
    lines.push_back(std::string(section) + ":");
    head = lines.end() - 1;
  }
  const auto ends = [](const std::string& line) { return indent_of(line) == 0 && !is_blank_or_comment(line); };
  const auto end = std::find_if(head + 1, lines.end(), ends);
  const auto first = static_cast<std::size_t>(head - lines.begin()) + 1;
  return {first, static_cast<std::size_t>(end - lines.begin()), first, true};
}

}  // namespace

Result<std::string> with_value(const std::string& text, std::string_view key, const std::string& value) {
  Lines lines = split(text, '\n');
  while (!lines.empty() && trim(lines.back()).empty()) lines.pop_back();
  const std::size_t dot = key.find('.');
  if (dot == std::string_view::npos)
    set_within(lines, {0, lines.size(), lines.size(), false}, key, value);
  else
    set_within(lines, find_section(lines, key.substr(0, dot)), key.substr(dot + 1), value);
  return join(lines, "\n") + "\n";
}

Result<> set(std::string_view name, const std::string& value, const Environment& environment) {
  TRY_LET(const Key* key, find_key(name));
  TRY_LET(const Loaded before, load(environment));
  Settings scratch = before.values;
  if (!key->assign(scratch, value))
    return Error{Error::Kind::invalid,
                 "setting '" + std::string(name) + "' cannot be '" + value + "'",
                 "give " + std::string(key->allowed),
                 {}};
  auto text = read_file(before.file);
  if (!text && text.error().kind != Error::Kind::not_found) return std::move(text).error();
  TRY_LET(const std::string changed, with_value(text ? *text : example(), name, value));
  const auto nothing_set = [&](const std::string& variable) {
    return variable == variable_of(*key) ? std::nullopt : environment(variable);
  };
  const auto after = load_from(changed, nothing_set);
  const auto holds = [&](const Loaded::Entry& entry) { return entry.key == key && entry.value == value; };
  if (!after || std::ranges::none_of(after->entries, holds))
    return Error{Error::Kind::invalid,
                 "cannot set '" + std::string(name) + "' in '" + before.file.string() + "'",
                 "the file is written in a way that we do not edit: change it by hand",
                 {}};
  TRY(make_directories(before.file.parent_path()));
  std::error_code ignored;  // a link into somebody's dotfiles stays a link
  const Path target = std::filesystem::weakly_canonical(before.file, ignored);
  return write_file_atomically(target.empty() ? before.file : target, changed, 0644);
}

std::string example() {
  std::string text =
      "# Settings of sprite. Each line shows a default; take the '#' away to change it.\n"
      "# `sprite config show` lists what is in force, `sprite config set KEY VALUE` edits this file.\n";
  std::string open_section;
  for (const Key& key : keys()) {
    const std::size_t dot = key.name.find('.');
    const std::string section(dot == std::string_view::npos ? "" : key.name.substr(0, dot));
    const std::string name(dot == std::string_view::npos ? key.name : key.name.substr(dot + 1));
    const std::string indent(section.empty() ? 0 : 2, ' ');
    if (section != open_section || section.empty()) text += "\n";
    if (section != open_section && !section.empty()) text += section + ":\n";
    open_section = section;
    text += indent + "# " + std::string(key.help) + " (" + std::string(key.unit) + ")\n";
    text += indent + "# " + name + ": " + std::string(key.standard_text) + "\n";
  }
  return text;
}

}  // namespace sprite::settings
