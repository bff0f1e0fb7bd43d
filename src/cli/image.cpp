// sprite image list|info|build|import|export|remove
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>
#include <cstdlib>
#include <set>

#include "base/text.h"
#include "cli/commands.h"
#include "cli/interrupt.h"
#include "image/build.h"
#include "image/catalogue.h"
#include "image/sparse.h"
#include "wire/json.h"

namespace sprite::cli::verb {
namespace {

namespace json = boost::json;
using image::Catalogue;
using image::Image;

Result<Catalogue> catalogue(Context& context) {
  TRY_LET(const settings::Loaded* loaded, context.settings());
  return Catalogue(loaded->values.data_dir / "images");
}

/// The bytes that the image's files take on this disk.
std::uint64_t stored_bytes(const Image& image) {
  std::uint64_t total = 0;
  for (const Path& path : {image.kernel(), image.initramfs(), image.rootfs()})
    if (const auto bytes = image::allocated_bytes(path)) total += *bytes;
  return total;
}

json::object to_json(const Image& each) {
  const image::Manifest& manifest = each.manifest;
  return {{"name", manifest.name},
          {"digest", manifest.digest},
          {"created", manifest.created},
          {"imported", each.imported},
          {"suite", manifest.suite},
          {"architecture", manifest.architecture},
          {"kernel", manifest.kernel_release},
          {"kernel_arguments", manifest.kernel_arguments},
          {"agent", manifest.agent_version},
          {"disk_bytes", manifest.disk_bytes},
          {"stored_bytes", stored_bytes(each)},
          {"directory", each.directory.string()},
          {"problem", each.problem}};
}

void print_json(Context& context, const json::value& value) { context.terminal.print_line(json::serialize(value)); }

/// One line for what a verb made, or all of it for a program. `more` is for programs, too.
int print_made(Context& context, const char* done, const Image& image, const json::object& more = {}) {
  if (context.globals.json) {
    json::object all = to_json(image);
    for (const auto& [key, value] : more) all[key] = value;
    print_json(context, all);
  } else
    context.terminal.print_line(std::string(done) + " " + image.reference() + " (" + format_size(stored_bytes(image)) +
                                ")");
  return 0;
}

Result<int> list(Context& context) {
  TRY_LET(const Catalogue images, catalogue(context));
  TRY_LET(const std::vector<Image> all, images.list());
  if (context.globals.json) {
    json::array array;
    for (const Image& each : all) array.push_back(to_json(each));
    print_json(context, array);
    return 0;
  }
  if (all.empty())
    context.terminal.note("no images yet: `sprite image build` makes one, `sprite image import FILE` adds one");
  std::vector<std::vector<std::string>> rows;
  for (const Image& each : all)
    rows.push_back({each.manifest.name.empty() ? "?" : each.manifest.name, each.manifest.digest.substr(0, 12),
                    each.problem.empty() ? format_size(stored_bytes(each)) : "damaged", each.manifest.kernel_release,
                    each.manifest.created.substr(0, 16)});
  context.terminal.print_table({"NAME", "DIGEST", "SIZE", "KERNEL", "CREATED"}, rows);
  return 0;
}

Result<int> info(Context& context, const std::string& reference, bool verify) {
  TRY_LET(const Catalogue images, catalogue(context));
  TRY_LET(const Image found, images.find(reference));
  if (verify) {
    context.terminal.progress("checking " + found.reference());
    const auto verified = Catalogue::verify(found);
    context.terminal.progress("");
    if (!verified) return verified.error();
  }
  if (context.globals.json) {
    json::object object = to_json(found);
    json::object packages;
    for (const auto& [name, version] : found.manifest.packages) packages[name] = version;
    object["packages"] = std::move(packages);
    print_json(context, object);
    return 0;
  }
  const image::Manifest& manifest = found.manifest;
  context.terminal.print_table({}, {{"name", manifest.name},
                                    {"digest", manifest.digest},
                                    {"system", "Debian " + manifest.suite + ", " + manifest.architecture},
                                    {"kernel", manifest.kernel_release},
                                    {"arguments", manifest.kernel_arguments},
                                    {"agent", manifest.agent_version},
                                    {"packages", std::to_string(manifest.packages.size())},
                                    {"disk", format_size(manifest.disk_bytes)},
                                    {"stored", format_size(stored_bytes(found))},
                                    {"created", manifest.created},
                                    {"imported", found.imported},
                                    {"directory", found.directory.string()}});
  if (verify) context.terminal.note("every file has the size and content it was made with");
  return 0;
}

image::Progress reporter(Context& context) {
  return [&context](std::string_view step) { context.terminal.step(step); };
}

Result<Image> import(Context& context, const Path& source) {
  TRY_LET(const Catalogue images, catalogue(context));
  context.terminal.step("adding " + source.string() + " to the images");
  auto imported = images.import_from(source);
  context.terminal.progress("");
  return imported;
}

struct BuildWords {
  image::BuildRequest request{};
  std::string recipe{}, agent{}, output{};
  bool only_build = false;
};

/// What was installed with this program: in the build tree beside it, else under its prefix. Errors: not_found.
Result<Path> installed(const Path& in_build_tree, const Path& under_prefix, const std::string& option) {
  std::error_code ignored;
  const Path program = std::filesystem::read_symlink("/proc/self/exe", ignored);
  for (const Path& path : {program.parent_path() / in_build_tree, program.parent_path().parent_path() / under_prefix})
    if (std::filesystem::exists(path, ignored)) return path.lexically_normal();
  return Error{Error::Kind::not_found,
               "cannot find '" + under_prefix.string() + "' of this installation",
               "name another with " + option,
               {}};
}

Result<wire::TemplateMade> ask_for_template(Context& context, const Image& image) {
  TRY_LET(const Client* api, context.api());
  context.terminal.step("seeing to the template: unless it is there, the image is booted once and saved");
  const InterruptNote note("sprite: " + image.reference() +
                           " is there; making its template goes on in the background\n  try: sprite create");
  TRY_LET(const std::string body, api->call("POST", "/v1/images/" + image.manifest.digest + "/template"));
  return wire::from_json<wire::TemplateMade>(body);
}

/// The image is there whatever becomes of its template, without which the first sprite boots. What became of it, as
/// print_made() has it for programs; people are told why.
json::object make_template(Context& context, const Image& image) {
  const auto loaded = context.settings();
  if (loaded && (*loaded)->values.template_budget_bytes == 0) return {{"template", "off"}};
  auto made = ask_for_template(context, image);
  context.terminal.progress("");
  if (made) return {{"template", made->outcome}};
  const Error& why = made.error();
  if (!context.globals.json)
    context.terminal.report(
        Error(why).within("the image is there, but its template cannot be made: the first sprite boots"));
  json::array because(why.because.begin(), why.because.end());
  because.insert(because.begin(), json::value(why.what));
  return {{"template", "failed"}, {"because", std::move(because)}, {"try", why.hint}};
}

/// Beside a checkout's recipes in build/, else in the user's cache.
Path build_folder(const Path& recipe) {
  if (recipe.parent_path() == "images") return Path("build/images") / recipe.filename();
  const char *cache = std::getenv("XDG_CACHE_HOME"), *home = std::getenv("HOME");
  const Path base = cache && *cache ? Path(cache) : Path(home ? home : ".") / ".cache";
  return base / "sprite/images" / recipe.filename();
}

Result<int> build(Context& context, BuildWords words) {
  Path recipe = words.recipe, agent = words.agent;
  if (recipe.empty()) {
    TRY_LET(recipe, installed("../../../images/base", "share/sprite/images/base", "a folder, such as images/base"));
  }
  if (agent.empty()) {
    TRY_LET(agent, installed("sprite-agent", "libexec/sprite/sprite-agent", "--agent"));
  }
  if (recipe.filename().empty()) recipe = recipe.parent_path();
  words.request.recipe = recipe;
  words.request.agent = agent;
  words.request.output = words.output.empty() ? build_folder(recipe) : Path(words.output);
  auto built = image::build(words.request, reporter(context));
  context.terminal.progress("");
  if (!built) return std::move(built).error();
  if (words.only_build) return print_made(context, "built", Image{words.request.output, std::move(*built), "", ""});
  TRY_LET(const Catalogue images, catalogue(context));
  if (const auto present = images.find(built->name); present && present->manifest.digest == built->digest) {
    return print_made(context, "up to date:", *present, make_template(context, *present));
  }
  TRY_LET(const Image imported, import(context, words.request.output));
  return print_made(context, "built", imported, make_template(context, imported));
}

/// Digests of the images that sprites were made from.
Result<std::set<std::string>> used_digests(Context& context) {
  TRY_LET(const Client* api, context.api());
  std::set<std::string> used;
  std::string token;
  do {
    const std::string query = token.empty() ? "" : "?continuation_token=" + token;
    TRY_LET(const std::string body, api->call("GET", "/v1/sprites" + query));
    TRY_LET(const wire::SpriteList page, wire::from_json<wire::SpriteList>(body));
    for (const wire::Sprite& each : page.sprites) {
      std::string digest = each.image.substr(each.image.find('@') + 1);
      if (digest.empty())
        return Error{Error::Kind::busy,
                     "which image sprite '" + each.name + "' was made from is not known",
                     "`sprite info " + each.name + "` says what is wrong with it",
                     {}};
      used.insert(std::move(digest));
    }
    token = page.next_continuation_token.value_or("");
  } while (!token.empty());
  return used;
}

Result<int> remove(Context& context, const std::string& reference) {
  TRY_LET(const Catalogue images, catalogue(context));
  TRY_LET(const auto used, used_digests(context));
  TRY_LET(const Image removed, images.remove(reference, used));
  if (context.globals.json)
    print_json(context, {{"removed", removed.manifest.digest}});
  else
    context.terminal.print_line("removed " + removed.reference());
  return 0;
}

Result<int> export_image(Context& context, const std::string& reference, const std::string& file) {
  TRY_LET(const Catalogue images, catalogue(context));
  TRY_LET(const Image found, images.find(reference));
  const std::string archive =
      file.empty() ? found.manifest.name + "-" + found.manifest.digest.substr(0, 12) + ".tar.zst" : file;
  context.terminal.progress("writing " + archive);
  const auto exported = images.export_to(found.manifest.digest, archive);
  context.terminal.progress("");
  if (!exported) return exported.error();
  TRY_LET(const std::uint64_t bytes, image::allocated_bytes(archive));
  if (context.globals.json)
    print_json(context, {{"file", archive}, {"bytes", bytes}, {"digest", found.manifest.digest}});
  else
    context.terminal.print_line("wrote " + archive + " (" + format_size(bytes) + ")");
  return 0;
}

constexpr const char* reference_help = "A name (its newest image), a digest or its beginning, or NAME@DIGEST";

}  // namespace

Action image_list(Syntax&) {
  return [](Context& context) { return list(context); };
}

Action image_info(Syntax& syntax) {
  struct Words {
    std::string image;
    bool verify = false;
  };
  auto words = std::make_shared<Words>();
  syntax.positional("IMAGE", words->image, reference_help);
  syntax.flag("--verify", words->verify, "Compare every file with the digest it was made with");
  return [words](Context& context) { return info(context, words->image, words->verify); };
}

Action image_build(Syntax& syntax) {
  auto words = std::make_shared<BuildWords>();
  syntax.positional("RECIPE", words->recipe, "Folder with image.yaml, such as images/base (default: the installed one)",
                    Presence::optional);
  syntax.option("--agent", "FILE", words->agent,
                "The static agent program that becomes /init (default: the installed one)");
  syntax.option("--output", "DIR", words->output,
                "Where to build (default: build/images/NAME for images/NAME, else the cache folder); keeps what need "
                "not be done again");
  syntax.option("--mirror", "URL", words->request.mirror,
                "Fetch packages from there instead of the host's own apt sources");
  syntax.flag("--refresh", words->request.refresh, "Fetch packages again: newer versions");
  syntax.flag("--no-import", words->only_build, "Build only, and leave this user's images as they are");
  syntax.epilogue(
      "Needs mmdebstrap and mke2fs, but neither root nor a loop device. What did not change is not done again.\n"
      "A recipe is a program: what it has under `customize` runs here, on this computer, as you. Build only those you "
      "trust.\n"
      "Then the daemon boots the image once and saves that as a template, which new sprites go on from (unless the "
      "setting\n"
      "`templates` is 0B). With --json, `template` says what became of that: made, present, off, or failed; then "
      "`because`\n"
      "and `try` say why. The exit status is 0 all the same, since the image is there.");
  return [words](Context& context) { return build(context, *words); };
}

Action image_import(Syntax& syntax) {
  auto source = std::make_shared<std::string>();
  syntax.positional("SOURCE", *source, "A file of `sprite image export`, or a folder of `sprite image build`");
  return [source](Context& context) -> Result<int> {
    TRY_LET(const Image imported, import(context, *source));
    return print_made(context, "imported", imported);
  };
}

Action image_export(Syntax& syntax) {
  struct Words {
    std::string image, file;
  };
  auto words = std::make_shared<Words>();
  syntax.positional("IMAGE", words->image, reference_help);
  syntax.positional("FILE", words->file, "The archive to write (default: NAME-DIGEST.tar.zst)", Presence::optional);
  return [words](Context& context) { return export_image(context, words->image, words->file); };
}

Action image_remove(Syntax& syntax) {
  auto reference = std::make_shared<std::string>();
  syntax.positional("IMAGE", *reference, reference_help);
  syntax.epilogue("An image that a sprite was made from stays: its disk needs it.");
  return [reference](Context& context) { return remove(context, *reference); };
}

}  // namespace sprite::cli::verb
