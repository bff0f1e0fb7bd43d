#include "cli/commands.h"

#include <algorithm>
#include <array>

#include "base/text.h"

namespace sprite::cli {
namespace {

constexpr std::array table{
    Verb{"create", "Make a sprite and open a console in it", Group::sprites, verb::create},
    Verb{"list|ls", "List the sprites", Group::sprites, verb::list},
    Verb{"info", "Show what a sprite is and does", Group::sprites, verb::info},
    Verb{"use", "Choose the sprite that commands in this directory mean", Group::sprites, verb::use},
    Verb{"start", "Start a sprite", Group::sprites, verb::start},
    Verb{"stop", "Stop a sprite: it is cold then, and its disk stays", Group::sprites, verb::stop},
    Verb{"restart", "Stop a sprite and start it again", Group::sprites, verb::restart},
    Verb{"sleep", "Have a sprite stand still until it is used: it is warm, and programs go on then", Group::sprites,
         verb::sleep},
    Verb{"wake", "Wake a sprite that is warm or cold", Group::sprites, verb::wake},
    Verb{"pin", "Keep a sprite from falling asleep by itself", Group::sprites, verb::pin},
    Verb{"unpin", "Let it fall asleep again when nothing uses it", Group::sprites, verb::unpin},
    Verb{"destroy", "Delete a sprite and its disk", Group::sprites, verb::destroy},
    Verb{"url", "Print a sprite's URL", Group::sprites, verb::url},
    Verb{"url update", "Change who may open a sprite's URL", Group::sprites, verb::url_update},
    Verb{"config update", "Change a sprite's URL access, labels and when it sleeps", Group::sprites,
         verb::config_update},
    Verb{"exec|x", "Run a program in a sprite", Group::inside, verb::exec},
    Verb{"console|c", "Open a shell in a sprite", Group::inside, verb::console},
    Verb{"sessions list|sessions ls|s list|s ls", "List the sessions of a sprite", Group::inside, verb::sessions_list},
    Verb{"sessions attach|s attach|attach", "Join a session", Group::inside, verb::sessions_attach},
    Verb{"sessions kill|s kill", "End a session's program", Group::inside, verb::sessions_kill},
    Verb{"logs", "Show a sprite's serial console", Group::inside, verb::logs},
    Verb{"checkpoint create|checkpoints create", "Keep this instant of a sprite's disk", Group::disks,
         verb::checkpoint_create},
    Verb{"checkpoint list|checkpoint ls|checkpoints list|checkpoints ls", "List the checkpoints of a sprite",
         Group::disks, verb::checkpoint_list},
    Verb{"checkpoint info|checkpoints info", "Show what a checkpoint is", Group::disks, verb::checkpoint_info},
    Verb{"checkpoint diff|checkpoints diff", "List the files that differ between two checkpoints", Group::disks,
         verb::checkpoint_diff},
    Verb{"checkpoint delete|checkpoint rm|checkpoints delete|checkpoints rm", "Delete a checkpoint", Group::disks,
         verb::checkpoint_delete},
    Verb{"checkpoint restore|checkpoints restore", "Put a sprite's disk back to a checkpoint", Group::disks,
         verb::restore},
    Verb{"restore", "Put a sprite's disk back to a checkpoint, or undo that", Group::disks, verb::restore},
    Verb{"fork", "Make a sprite that begins with another's disk", Group::disks, verb::fork},
    Verb{"export", "Write a sprite to one portable file", Group::disks, verb::export_sprite},
    Verb{"import", "Make a sprite from such a file", Group::disks, verb::import_sprite},
    Verb{"recover", "Say what is wrong with a sprite, and what can be done", Group::disks, verb::recover},
    Verb{"usage", "Show what sprites take on this machine's disk", Group::disks, verb::usage},
    Verb{"gc", "Remove what no sprite needs", Group::disks, verb::gc},
    Verb{"image list|image ls", "List the images that sprites can be made from", Group::machine, verb::image_list},
    Verb{"image info", "Show what an image is made of", Group::machine, verb::image_info},
    Verb{"image build", "Build an image from a recipe", Group::machine, verb::image_build},
    Verb{"image import", "Add an image from a file or folder", Group::machine, verb::image_import},
    Verb{"image export", "Write an image to one portable file", Group::machine, verb::image_export},
    Verb{"image remove|image rm", "Remove an image that no sprite uses", Group::machine, verb::image_remove},
    Verb{"config show", "Show every setting, its value and where it comes from", Group::machine, verb::config_show},
    Verb{"config get", "Print one setting", Group::machine, verb::config_get},
    Verb{"config set", "Change one setting in the settings file", Group::machine, verb::config_set},
    Verb{"config path", "Print where the settings file is", Group::machine, verb::config_path},
    Verb{"daemon start", "Start the daemon", Group::machine, verb::daemon_start},
    Verb{"daemon stop", "Stop the daemon; sprites that run stay unharmed", Group::machine, verb::daemon_stop},
    Verb{"daemon restart", "Stop the daemon and start it again", Group::machine, verb::daemon_restart},
    Verb{"daemon status", "Show what the daemon is and does", Group::machine, verb::daemon_status},
    Verb{"daemon logs", "Show the daemon's log", Group::machine, verb::daemon_logs},
    Verb{"daemon run", "Run the daemon in the foreground", Group::machine, verb::daemon_run},
    Verb{"doctor", "Check this machine, and say how to mend what is wrong", Group::machine, verb::doctor},
    Verb{"api", "Call the API with curl", Group::machine, verb::api},
    Verb{"env", "Print variables that point Sprites SDKs to this machine", Group::machine, verb::env},
    Verb{"completion", "Print the script that completes commands in a shell", Group::machine, verb::completion},
    Verb{"version", "Print the version", Group::machine, verb::version},
    Verb{"help", "Show help for a command", Group::machine, verb::help},
};

const Verb* find_by_name(std::string_view name) {
  for (const Verb& verb : table)
    for (const std::string& each : split(verb.names, '|'))
      if (each == name) return &verb;
  return nullptr;
}

/// Every first word (`group` empty), or every second word of a group.
std::vector<std::string> words_in(const std::string& group) {
  std::vector<std::string> words;
  for (const Verb& verb : table) {
    if (verb.group == Group::hidden) continue;
    for (const std::string& name : split(verb.names, '|')) {
      const std::vector<std::string> parts = split(name, ' ');
      if (group.empty())
        words.push_back(parts[0]);
      else if (parts[0] == group && parts.size() > 1)
        words.push_back(parts[1]);
    }
  }
  return words;
}

bool is_group(const std::string& word) { return !words_in(word).empty(); }

/// What other programs call it.
struct Familiar {
  std::string_view word, verb;
};
constexpr std::array familiar_words{
    Familiar{"rm", "destroy"},
    Familiar{"delete", "destroy"},
    Familiar{"remove", "destroy"},
    Familiar{"ps", "list"},
    Familiar{"status", "info"},
    Familiar{"show", "info"},
    Familiar{"inspect", "info"},
    Familiar{"new", "create"},
    Familiar{"up", "start"},
    Familiar{"down", "stop"},
    Familiar{"halt", "stop"},
    Familiar{"shutdown", "stop"},
    Familiar{"reboot", "restart"},
    Familiar{"pause", "sleep"},
    Familiar{"suspend", "sleep"},
    Familiar{"resume", "wake"},
    Familiar{"run", "exec"},
    Familiar{"ssh", "console"},
    Familiar{"shell", "console"},
    Familiar{"sh", "console"},
    Familiar{"enter", "console"},
    Familiar{"clone", "fork"},
    Familiar{"copy", "fork"},
    Familiar{"cp", "fork"},
    Familiar{"snapshot", "checkpoint create"},
    Familiar{"commit", "checkpoint create"},
    Familiar{"rollback", "restore"},
    Familiar{"undo", "restore --undo"},
    Familiar{"diff", "checkpoint diff"},
    Familiar{"save", "export"},
    Familiar{"load", "import"},
    Familiar{"fsck", "recover --fsck"},
    Familiar{"df", "usage"},
    Familiar{"du", "usage"},
    Familiar{"prune", "gc"},
    Familiar{"images", "image list"},
    Familiar{"build", "image build"},
    Familiar{"settings", "config show"},
};

std::optional<std::string> meant_by(const std::string& group, const std::string& word) {
  const auto* const familiar = std::ranges::find(familiar_words, word, &Familiar::word);
  if (group.empty() && familiar != familiar_words.end()) return std::string(familiar->verb);
  return nearest(word, words_in(group));
}

Error unknown_command(const std::string& group, const std::string& word) {
  const std::string prefix = group.empty() ? "" : group + " ";
  const auto near = meant_by(group, word);
  return Error{
      Error::Kind::invalid,
      "unknown command '" + prefix + word + "'",
      near ? "did you mean `sprite " + prefix + *near + "`?" : "sprite help" + (group.empty() ? "" : " " + group),
      {}};
}

/// Walks over a command line, setting global options aside.
class Walk {
 public:
  explicit Walk(const std::vector<std::string>& words) : at_(words.begin()), end_(words.end()) {}

  /// Moves to the next word that is not a global option. Errors: invalid (some other option).
  Result<> skip_options(Search& search) {
    for (; at_ != end_ && at_->size() > 1 && at_->front() == '-' && *at_ != "--"; ++at_) {
      if (*at_ == "--version" || *at_ == "-version") {
        search.wants_version = true;
        continue;
      }
      const auto option = find_global_option(*at_);
      if (!option) return Error{Error::Kind::invalid, "unknown option '" + *at_ + "'", "sprite help", {}};
      search.wants_help |= option->name == "help";
      aside_.push_back(*at_);
      if (!option->takes_value) continue;
      if (at_ + 1 == end_) return Error{Error::Kind::invalid, "option '" + *at_ + "' needs a value", "sprite help", {}};
      aside_.push_back(*++at_);
    }
    return {};
  }

  bool at_end() const { return at_ == end_; }
  const std::string& word() const { return *at_; }
  void next() { ++at_; }
  std::vector<std::string> left() && {
    aside_.insert(aside_.end(), at_, end_);
    return std::move(aside_);
  }

 private:
  std::vector<std::string>::const_iterator at_, end_;
  std::vector<std::string> aside_;
};

}  // namespace

std::span<const Verb> verbs() { return table; }

Result<Search> find_verb(const std::vector<std::string>& words) {
  Search search;
  Walk walk(words);
  TRY(walk.skip_options(search));
  if (walk.at_end()) return search;
  const std::string first = walk.word();
  walk.next();
  const Verb* verb = find_by_name(first);
  if (!verb && !is_group(first)) return unknown_command("", first);
  if (is_group(first)) {
    Walk further = walk;
    if (auto skipped = further.skip_options(search); skipped && !further.at_end()) {
      const Verb* longer = find_by_name(first + " " + further.word());
      if (!longer && !verb) return unknown_command(first, further.word());
      if (longer) {
        verb = longer;
        further.next();
        walk = std::move(further);
      }
    } else if (!skipped && !verb) {
      return std::move(skipped).error();
    }
  }
  search.group = first;
  if (verb) search.found = Found{verb, std::move(walk).left()};
  return search;
}

}  // namespace sprite::cli
