#include "cli/names.h"

#include <array>
#include <string_view>

#include "base/bytes.h"

namespace sprite::cli {
namespace {

constexpr std::array<std::string_view, 72> adjectives{
    "able",   "amber",  "ample",  "apt",    "azure",  "bold",   "brave",  "breezy", "bright", "brisk", "calm",
    "candid", "civil",  "clear",  "clever", "cosy",   "crisp",  "dapper", "deft",   "eager",  "early", "easy",
    "fair",   "fancy",  "fleet",  "fond",   "frank",  "fresh",  "gentle", "glad",   "golden", "grand", "happy",
    "hardy",  "honest", "jolly",  "keen",   "kind",   "light",  "lively", "lucid",  "lucky",  "merry", "mild",
    "neat",   "nifty",  "nimble", "noble",  "plucky", "polite", "proud",  "quick",  "quiet",  "rapid", "ready",
    "robust", "rosy",   "silver", "sleek",  "smart",  "snug",   "solid",  "spry",   "steady", "sunny", "swift",
    "tidy",   "vivid",  "warm",   "wise",   "witty",  "zesty"};
constexpr std::array<std::string_view, 80> nouns{
    "acorn",  "alder",  "aspen",  "badger",  "beacon", "beech",  "birch",   "bison",   "breeze", "brook",
    "canyon", "cedar",  "cliff",  "cloud",   "comet",  "coral",  "crane",   "creek",   "dawn",   "delta",
    "dune",   "eagle",  "ember",  "falcon",  "fern",   "finch",  "fjord",   "forest",  "fox",    "garden",
    "glade",  "grove",  "harbor", "hare",    "hawk",   "hazel",  "heron",   "hill",    "island", "ivy",
    "jay",    "lagoon", "lake",   "larch",   "lark",   "linden", "lynx",    "maple",   "marten", "meadow",
    "meteor", "mist",   "moon",   "moss",    "oak",    "ocean",  "orbit",   "orchid",  "osprey", "otter",
    "owl",    "pebble", "pine",   "plover",  "pond",   "poplar", "prairie", "puffin",  "quartz", "raven",
    "reef",   "river",  "robin",  "sparrow", "spruce", "stone",  "swan",    "thistle", "willow", "wren"};

/// The remainder's slight bias does not matter for names.
template <std::size_t count>
std::string_view pick(const std::array<std::string_view, count>& words) {
  const Bytes random = random_bytes(sizeof(std::uint32_t));
  return words[load_little<std::uint32_t>(random.data()) % count];
}

}  // namespace

std::string random_name() { return std::string(pick(adjectives)) + "-" + std::string(pick(nouns)); }

}  // namespace sprite::cli
