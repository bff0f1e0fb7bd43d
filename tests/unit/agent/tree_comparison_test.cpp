#include "agent/tree_comparison.h"

#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>

#include "support/temporary_directory.h"

using namespace sprite;
using namespace sprite::agent;

namespace {

struct Trees {
  Trees() {
    REQUIRE(make_directories(first()));
    REQUIRE(make_directories(second()));
  }
  Path first() const { return folder / "first"; }
  Path second() const { return folder / "second"; }
  /// Runs a shell script in a tree.
  static void in(const Path& tree, const std::string& script) {
    REQUIRE(std::system(("cd '" + tree.string() + "' && " + script).c_str()) == 0);
  }
  std::vector<std::string> differences() const {
    auto comparison = TreeComparison::begin(first(), second(), stopped);
    REQUIRE(comparison);
    std::vector<std::string> all;
    while (!(*comparison)->done()) {
      const auto found = (*comparison)->next();
      REQUIRE(found);
      for (const auto& each : *found) all.push_back(each.change + " " + each.path);
    }
    return all;
  }
  sprite::test::TemporaryDirectory folder;
  std::shared_ptr<std::atomic<bool>> stopped = std::make_shared<std::atomic<bool>>(false);
};

using Lines = std::vector<std::string>;

}  // namespace

TEST_CASE("equal trees have no differences, whatever their times") {
  const Trees trees;
  for (const Path& tree : {trees.first(), trees.second()})
    Trees::in(tree, "mkdir -p a/b && echo x >a/b/f && ln -s f a/b/l && mkfifo p && truncate -s 50G hole");
  Trees::in(trees.second(), "touch -d 2001-01-01 a/b/f a");
  CHECK(trees.differences().empty());
}

TEST_CASE("what was added, modified and deleted is told, with what is in it") {
  const Trees trees;
  for (const Path& tree : {trees.first(), trees.second()})
    Trees::in(
        tree,
        "mkdir -p kept old/deep && echo 1 >kept/same && echo 1 >kept/changed && echo 1 >kept/size && echo 1 >kept/mode"
        " && ln -s one kept/link && echo 1 >old/deep/f && echo file >was-file && mkdir was-folder && echo 1 "
        ">was-folder/f");
  Trees::in(trees.second(),
            "echo 2 >kept/changed && echo 22 >kept/size && chmod 600 kept/mode && ln -sfn two kept/link && rm -r old"
            " && mkdir -p new/deep && echo 1 >new/deep/f && rm was-file && mkdir was-file && echo 1 >was-file/f"
            " && rm -r was-folder && echo 1 >was-folder");
  CHECK(trees.differences() == Lines{"M /kept/changed", "M /kept/link", "M /kept/mode", "M /kept/size", "A /new",
                                     "A /new/deep", "A /new/deep/f", "D /old", "D /old/deep", "D /old/deep/f",
                                     "M /was-file", "A /was-file/f", "M /was-folder", "D /was-folder/f"});
}

TEST_CASE("a change far behind a hole, and one of the same size and time, are found") {
  const Trees trees;
  for (const Path& tree : {trees.first(), trees.second()})
    Trees::in(tree, "truncate -s 1G hole && truncate -s 1G zeros && echo 1 >f && touch -d 2001-01-01 f");
  Trees::in(trees.second(),
            "printf x | dd of=hole bs=1 seek=900000000 conv=notrunc status=none && echo 2 >f && touch -d 2001-01-01 f"
            " && dd if=/dev/zero of=zeros bs=4k count=1 seek=1000 conv=notrunc status=none");
  CHECK(trees.differences() == Lines{"M /f", "M /hole"});
}

TEST_CASE("many differences come in several parts, and names need not be text") {
  const Trees trees;
  Trees::in(trees.second(), "seq 1 3000 | xargs touch && touch \"$(printf 'x\\377y')\"");
  const Lines all = trees.differences();
  CHECK(all.size() == 3001);
  CHECK(all.back() == "A /x\xef\xbf\xbdy");
}

TEST_CASE("a comparison that is stopped says so and lets go of the trees") {
  const Trees trees;
  Trees::in(trees.second(), "seq 1 3000 | xargs touch");
  auto comparison = TreeComparison::begin(trees.first(), trees.second(), trees.stopped);
  REQUIRE(comparison);
  REQUIRE((*comparison)->next());
  *trees.stopped = true;
  CHECK_FALSE((*comparison)->next());
}

TEST_CASE("what is kept for a comparison goes after its files are closed") {
  const Trees trees;
  auto kept = std::make_shared<int>(1);
  const std::weak_ptr<int> watch = kept;
  {
    auto comparison = TreeComparison::begin(trees.first(), trees.second(), trees.stopped, std::move(kept));
    REQUIRE(comparison);
    CHECK_FALSE(watch.expired());
  }
  CHECK(watch.expired());
}
