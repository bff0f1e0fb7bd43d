#include "cli/commands.h"

#include <doctest/doctest.h>

#include "base/process.h"
#include "base/text.h"
#include "cli/run.h"
#include "support/golden.h"

using namespace sprite;
using namespace sprite::cli;

namespace {

using Words = std::vector<std::string>;

Search found(const Words& words) {
  auto search = find_verb(words);
  REQUIRE(search);
  return *std::move(search);
}

std::string verb_of(const Words& words) {
  const Search search = found(words);
  return search.found ? std::string(search.found->verb->name()) : "";
}

Error refusal(const Words& words) {
  const auto search = find_verb(words);
  REQUIRE_FALSE(search);
  return search.error();
}

/// What `words` set, with a syntax like exec's.
struct Parsed {
  Globals globals;
  std::string directory, path;
  std::vector<std::string> environment, rest;
  std::optional<std::uint64_t> count;
  bool tty = false;
};

Result<Parsed> parse(const Words& words, Rest begins = Rest::from_first_word, bool with_path = false) {
  Parsed parsed;
  Syntax syntax("test", "Test", parsed.globals);
  syntax.option("-d,--dir", "DIR", parsed.directory, "directory");
  syntax.option("-e,--env", "NAME=VALUE", parsed.environment, "variables");
  syntax.option("-n,--count,--number", "NUMBER", parsed.count, "number");
  syntax.flag("-t,--tty", parsed.tty, "terminal");
  if (with_path) syntax.positional("PATH", parsed.path, "path");
  syntax.rest("COMMAND", parsed.rest, "command", begins);
  TRY(syntax.parse(words));
  return parsed;
}

}  // namespace

TEST_CASE("a command line names a verb by any of its names") {
  CHECK(verb_of({"list"}) == "list");
  CHECK(verb_of({"ls"}) == "list");
  CHECK(verb_of({"x", "--", "ls"}) == "exec");
  CHECK(verb_of({"c"}) == "console");
  CHECK(verb_of({"s", "ls"}) == "sessions list");
  CHECK(verb_of({"attach", "1"}) == "sessions attach");
  CHECK(verb_of({"url"}) == "url");
  CHECK(verb_of({"url", "update"}) == "url update");
  CHECK(verb_of({"-s", "box", "exec", "ls"}) == "exec");
  CHECK(verb_of({"--sprite=box", "exec", "ls"}) == "exec");
  CHECK(verb_of({"sessions", "-s", "box", "kill", "1"}) == "sessions kill");
  CHECK(found({"-s", "list", "exec", "uname", "-a"}).found->words == Words{"-s", "list", "uname", "-a"});
  CHECK(found({"exec", "sessions", "list"}).found->words == Words{"sessions", "list"});
}

TEST_CASE("without a verb there is help") {
  CHECK_FALSE(found({}).found);
  CHECK(found({"sessions"}).group == "sessions");
  CHECK(found({"--help"}).wants_help);
  CHECK(found({"--version"}).wants_version);
}

TEST_CASE("unknown commands and options are refused, with the nearest one") {
  CHECK(refusal({"craete"}).what == "unknown command 'craete'");
  CHECK(refusal({"craete"}).hint == "did you mean `sprite create`?");
  CHECK(refusal({"daemon", "statsu"}).hint == "did you mean `sprite daemon status`?");
  CHECK(refusal({"qwertzuiop"}).hint == "sprite help");
  CHECK(refusal({"--bogus", "list"}).what == "unknown option '--bogus'");
  CHECK(refusal({"-s"}).kind == Error::Kind::invalid);
  CHECK(refusal({"rm"}).hint == "did you mean `sprite destroy`?");
  CHECK(refusal({"ps"}).hint == "did you mean `sprite list`?");
}

TEST_CASE("what other programs call a command leads to one that is there") {
  for (const std::string word : {"rm", "delete", "ps", "ssh", "clone", "snapshot", "rollback", "fsck", "undo", "df"}) {
    CAPTURE(word);
    const std::string hint = refusal({word}).hint;
    const auto begin = hint.find("`sprite "), end = hint.rfind('`');
    REQUIRE(begin != std::string::npos);
    CHECK(find_verb(split(hint.substr(begin + 8, end - begin - 8), ' '))->found);
  }
}

TEST_CASE("options may have one dash, come in any order, and hold values that look like options") {
  const auto parsed = parse({"-tty", "-dir", "/tmp", "-env=A=1", "--env", "B=2", "-s", "box", "ls", "-la", "--color"});
  REQUIRE(parsed);
  CHECK(parsed->tty);
  CHECK(parsed->directory == "/tmp");
  CHECK(parsed->environment == Words{"A=1", "B=2"});
  CHECK(parsed->globals.sprite == "box");
  CHECK(parsed->rest == Words{"ls", "-la", "--color"});
  CHECK(parse({"--dir", "-x"})->directory == "-x");
  CHECK(parse({"-d", "-x"})->directory == "-x");
  CHECK(parse({"-d/tmp"})->directory == "/tmp");
  CHECK(parse({"--dir", ""})->directory.empty());
  CHECK(*parse({"--count", "3"})->count == 3);
}

TEST_CASE("words for a program are taken as they are") {
  CHECK(parse({"--", "--tty"})->rest == Words{"--tty"});
  CHECK(parse({"-t", "--", "sh", "-c", "a b", "--", ""})->rest == Words{"sh", "-c", "a b", "--", ""});
  CHECK(parse({"sh", "--", "x"})->rest == Words{"sh", "--", "x"});
  const auto api = parse({"/sprites", "--", "-X", "POST"}, Rest::after_dashes, true);
  REQUIRE(api);
  CHECK(api->path == "/sprites");
  CHECK(api->rest == Words{"-X", "POST"});
  CHECK(parse({"/sprites", "-X"}, Rest::after_dashes, true).error().hint.find("put `--` before") == 0);
}

TEST_CASE("wrong usage is refused with exit status 2") {
  for (const Words& words : {Words{"--bogus"}, Words{"--dirr", "/x"}, Words{"--dir"}, Words{"--count", "many"},
                             Words{"--count", "-1"}, Words{"-z"}}) {
    CAPTURE(words[0]);
    const auto parsed = parse(words);
    REQUIRE_FALSE(parsed);
    CHECK(exit_status(parsed.error().kind) == 2);
  }
  CHECK(parse({"--dirr", "/x"}).error().hint == "did you mean '--dir'?");
  CHECK(parse({"-n", "-2"}).error().what.find("option --count cannot be '-2': it is a whole number") !=
        std::string::npos);
  CHECK_FALSE(parse({}, Rest::after_dashes, true));
  CHECK_FALSE(parse({"a", "b"}, Rest::after_dashes, true));
}

TEST_CASE("an empty argument is refused, since a name that a script left empty would mean another sprite") {
  CHECK(parse({""}, Rest::after_dashes, true).error().what == "`sprite test`: an argument is empty");
  CHECK(parse({"-s", ""}).error().what == "option '--sprite' is empty");
  CHECK(parse({"--sprite="}).error().kind == Error::Kind::invalid);
  CHECK(parse({"sh", ""})->rest == Words{"sh", ""});
}

TEST_CASE("of a pair of arguments the first may be left out") {
  const auto pair = [](const Words& words) -> Result<Words> {
    Globals globals;
    Words taken(2);
    Syntax syntax("fork", "Fork", globals);
    syntax.positional_pair("SOURCE", taken[0], "source", "NAME", taken[1], "name");
    TRY(syntax.parse(words));
    return taken;
  };
  CHECK(*pair({"a", "b"}) == Words{"a", "b"});
  CHECK(*pair({"b"}) == Words{"", "b"});
  CHECK(pair({}).error().what == "`sprite fork`: NAME is required");
  CHECK(pair({"a", "b", "c"}).error().kind == Error::Kind::invalid);
}

TEST_CASE("--json is refused where a program's output is printed, and not shown in its help") {
  const auto with = [](const Words& words, bool print_help) -> Result<std::string> {
    Globals globals;
    Syntax syntax("exec", "Run", globals);
    syntax.no_json("what the program prints");
    TRY(syntax.parse(words));
    return print_help ? help_of(syntax) : "";
  };
  CHECK(with({"--json"}, false).error().what == "`sprite exec` prints what the program prints: --json does not apply");
  CHECK(with({}, true)->find("--json") == std::string::npos);
}

TEST_CASE("help needs nothing else to be right") {
  CHECK(parse({"--help"}, Rest::after_dashes, true)->globals.help);
  CHECK(parse({"-h", "a", "b"}, Rest::after_dashes, true)->globals.help);
  CHECK_FALSE(parse({"ls", "--help"})->globals.help);
}

TEST_CASE("the help texts are these") {
  std::string text = overview();
  for (const Verb& verb : verbs()) {
    Globals globals;
    Syntax syntax(std::string(verb.name()), std::string(verb.summary), globals);
    const Action keep = verb.define(syntax);
    text += "\n==== sprite " + syntax.verb() + " --help\n" + help_of(syntax);
  }
  test::check_golden("tests/unit/cli/golden/help.txt", text);
}

TEST_CASE("completions/ holds the scripts that we print") {
  test::check_golden("completions/sprite.bash", *completion_script("bash"));
  test::check_golden("completions/_sprite", *completion_script("zsh"));
  test::check_golden("completions/sprite.fish", *completion_script("fish"));
  CHECK(completion_script("tcsh").error().kind == Error::Kind::invalid);
}

TEST_CASE("the bash completion completes") {
  const auto completions = [](const std::string& line) {
    const std::vector<std::string> words = split(line, ' ');
    std::string list;
    for (const std::string& word : words) list += " '" + word + "'";
    const std::string script = "source '" SPRITE_SOURCE_DIR "/completions/sprite.bash'; COMP_WORDS=(" + list +
                               "); COMP_CWORD=" + std::to_string(words.size() - 1) +
                               "; _sprite; echo \"${COMPREPLY[@]}\"";
    return trim(run_process({"bash", "-c", script})->out);
  };
  CHECK(completions("sprite cre") == "create");
  CHECK(completions("sprite daemon st") == "start status stop");
  CHECK(completions("sprite exec --di") == "--dir");
  CHECK(completions("sprite sessions list --js") == "--json");
  CHECK(completions("sprite exec -- --di").empty());
}

TEST_CASE("run() ends with 2 for wrong usage and 0 for help") {
  const RunDaemon none = [](const settings::Settings&, const DaemonStart&) -> Result<> { return {}; };
  CHECK(run({"craete"}, none) == 2);
  CHECK(run({"sessions"}, none) == 2);
  CHECK(run({"create", "--bogus"}, none) == 2);
  CHECK(run({"create", "Bad_Name"}, none) == 2);
  CHECK(run({"version"}, none) == 0);
  CHECK(run({"help", "nope"}, none) == 2);
  CHECK(run({"create", ""}, none) == 2);
}
