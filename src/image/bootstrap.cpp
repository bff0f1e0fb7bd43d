#include "image/bootstrap.h"

#include <unistd.h>

#include "base/process.h"
#include "base/text.h"

namespace sprite::image {
namespace {

constexpr auto time_limit = std::chrono::minutes(60);

/// The host's Debian sources of `suite` and its updates, as apt itself understands its configuration; empty if it has
/// none.
std::vector<std::string> host_sources(const std::string& suite) {
  const auto listed = run_process(
      {"apt-get", "indextargets", "--format", "$(ORIGIN)|$(RELEASE)|$(COMPONENT)|$(REPO_URI)", "Created-By: Packages"});
  if (!listed || listed->exit_status != 0) return {};
  std::vector<std::string> lines;
  bool has_suite = false;
  for (const std::string& line : split(listed->out, '\n')) {
    const std::vector<std::string> fields = split(line, '|');
    if (fields.size() != 4) continue;
    const std::string &origin = fields[0], &release = fields[1], &component = fields[2], &uri = fields[3];
    const bool debian =
        origin == "Debian" || origin.empty() || origin.starts_with("$(");  // unknown before `apt update`
    if (!debian || component != "main" || !(release == suite || release.starts_with(suite + "-"))) continue;
    has_suite = has_suite || release == suite;
    lines.push_back("deb " + uri + " " + release + " " + component);
  }
  return has_suite ? lines : std::vector<std::string>{};
}

/// The host's settings on how to reach a source: proxies, credentials' place, date checks.
std::vector<std::string> host_settings() {
  const auto dumped = run_process({"apt-config", "dump"});
  if (!dumped || dumped->exit_status != 0) return {};
  std::vector<std::string> settings;
  for (const std::string& line : split(dumped->out, '\n'))
    for (const char* prefix :
         {"Acquire::http", "Acquire::https", "Acquire::Check-", "Acquire::Force", "Acquire::Retries"})
      if (line.starts_with(prefix) && line.find("\"\"") == std::string::npos) settings.push_back(line);
  return settings;
}

/// mmdebstrap's way of being root in the new tree. Nobody need be root to unpack files only.
std::string mode(Contents contents) {
  if (::geteuid() == 0) return "root";
  if (contents == Contents::files) return "chrootless";
  const auto user = run_process({"id", "-un"});
  const auto ids = read_file("/etc/subuid");
  const bool has_ids = user && ids && ("\n" + *ids).find("\n" + trim(user->out) + ":") != std::string::npos;
  if (!has_ids || !find_program("newuidmap")) return "fakechroot";
  const auto tried = run_process({"unshare", "--user", "true"});  // containers mostly forbid it
  return tried && tried->exit_status == 0 ? "unshare" : "fakechroot";
}

/// A shell line for mmdebstrap's hooks, where "$1" is the new root: an extracted tree gets the status file that dpkg
/// would have written, as far as read_packages() needs it.
constexpr const char* list_archives_hook =
    R"(for deb in "$1"/var/cache/apt/archives/*.deb; do dpkg-deb -f "$deb" Package Version; echo; done > "$1/var/lib/dpkg/status")";

/// The image's own apt sources take the place of those that the build used.
std::string write_sources_hook(const std::vector<std::string>& sources) {
  return R"(rm -f "$1"/etc/apt/sources.list.d/*; printf '%s\n' )" + shell_word(join(sources, "\n")) +
         R"( > "$1/etc/apt/sources.list")";
}

std::vector<std::string> command(const BootstrapRequest& request, const PackageSource& source, const Path& output) {
  std::vector<std::string> argv{"env",
                                "SOURCE_DATE_EPOCH=" + std::to_string(request.timestamp_s),
                                "LC_ALL=C",
                                "mmdebstrap",
                                "--quiet",
                                "--format=tar",
                                "--mode=" + mode(request.contents),
                                "--skip=check/empty",
                                "--include=" + join(request.packages, ",")};
  for (const std::string& each : request.exclude) argv.push_back("--dpkgopt=path-exclude=" + each);
  for (const std::string& each : source.settings) argv.push_back("--aptopt=" + each);
  if (request.contents == Contents::files) {
    argv.push_back("--variant=extract");
    argv.push_back(std::string("--customize-hook=") + list_archives_hook);
  } else {
    argv.push_back("--variant=apt");
    argv.push_back("--customize-hook=" + write_sources_hook(request.sources));
    if (!request.customize.empty()) argv.push_back("--customize-hook=" + request.customize);
  }
  argv.insert(argv.end(), {request.suite, output.string()});
  argv.insert(argv.end(), source.lines.begin(), source.lines.end());
  return argv;
}

/// The last lines of what mmdebstrap said, errors first: its output is long and its end is what matters.
std::vector<std::string> last_words(const std::string& text) {
  std::vector<std::string> errors, others;
  for (const std::string& line : split(text, '\n')) {
    if (trim(line).empty()) continue;
    (line.starts_with("E:") || line.starts_with("Err:") ? errors : others).push_back(trim(line));
  }
  std::vector<std::string>& words = errors.empty() ? others : errors;
  constexpr std::size_t most_lines = 4;
  if (words.size() > most_lines) words.erase(words.begin(), words.end() - most_lines);
  return words;
}

Error failure(const Finished& finished, const PackageSource& source) {
  const std::string& said = finished.err;
  const auto says = [&](const char* words) { return said.find(words) != std::string::npos; };
  Error error{Error::Kind::unavailable, "cannot unpack Debian packages", "", last_words(said)};
  if (says("No space left on device")) {
    error.kind = Error::Kind::no_space;
    error.hint = "free at least 3 GiB there and in $TMPDIR (or /tmp), then run the same command";
  } else if (says("Could not resolve") || says("Could not connect") || says("Failed to fetch") ||
             says("Temporary failure")) {
    error.hint = "check the network and the sources (" + source.lines.front() + "), or name another with --mirror";
  } else if (says("Unable to locate package")) {
    error.kind = Error::Kind::invalid;
    error.hint = "correct the package's name in the recipe";
  }
  return error;
}

}  // namespace

Result<PackageSource> choose_source(const Recipe& recipe, const std::string& mirror) {
  PackageSource source{{}, host_settings()};
  if (!mirror.empty())
    source.lines = {"deb " + mirror + " " + recipe.suite + " main",
                    "deb " + mirror + " " + recipe.suite + "-updates main"};
  else
    source.lines = host_sources(recipe.suite);
  if (source.lines.empty()) source.lines = recipe.sources;
  if (source.lines.empty())
    return Error{Error::Kind::invalid, "no place to fetch packages from", "name one with --mirror", {}};
  return source;
}

Result<> bootstrap(const BootstrapRequest& request, const PackageSource& source, const Path& output) {
  if (!find_program("mmdebstrap"))
    return Error{Error::Kind::not_found, "the program 'mmdebstrap' is not installed", "run `make deps`", {}};
  TRY_LET(const Finished finished, run_process(command(request, source, output), time_limit));
  if (finished.exit_status != 0) return failure(finished, source);
  return {};
}

Result<std::map<std::string, std::string>> read_packages(const TarFile& tree) {
  TRY_LET(const Bytes status, tree.content("var/lib/dpkg/status"));
  std::map<std::string, std::string> packages;
  std::string name;
  for (const std::string& line : split(as_text(status), '\n')) {
    if (line.starts_with("Package: ")) name = trim(line.substr(9));
    if (line.starts_with("Version: ") && !name.empty()) packages[name] = trim(line.substr(9));
  }
  return packages;
}

}  // namespace sprite::image
