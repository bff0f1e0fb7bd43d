#include "sprite/all_to_disk.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "unit/api/fake_sprites.h"

using namespace sprite;
using namespace std::chrono_literals;

namespace {

/// Sprites that take a moment to fall asleep, and note who did what, and how many at once.
class SlowSprites final : public test::FakeSprites {
 public:
  using FakeSprites::FakeSprites;

  asio::awaitable<Result<wire::Sprite>> sleep(std::string name, Depth depth, IfInUse if_in_use, Wait wait) override {
    const bool copies = depth == Depth::disk;
    int& at_once = copies ? copying : pausing;
    int& most = copies ? most_copying : most_pausing;
    most = std::max(most, ++at_once);
    co_await test::sleep(5ms);
    --at_once;
    if (name == "broken") co_return Error(Error::Kind::unavailable, "it does not stand still");
    if (copies && wait == Wait::yes) on_disk.push_back(name);
    co_return co_await FakeSprites::sleep(name, depth, if_in_use, wait);
  }

  int pausing = 0, most_pausing = 0, copying = 0, most_copying = 0;
  std::vector<std::string> on_disk;
};

void make(test::Loop& loop, SlowSprites& sprites, std::string name) {
  wire::CreateRequest request;
  request.name = std::move(name);
  REQUIRE(loop.run(sprites.create(std::move(request))));
}

}  // namespace

TEST_CASE("all stand still at once; the memory of few is copied at a time; who cannot sleep keeps nobody else") {
  test::Loop loop;
  SlowSprites sprites(loop);
  for (const char* name : {"a", "b", "broken", "c", "used"}) make(loop, sprites, name);
  loop.run(put_all_on_disk(sprites));
  std::ranges::sort(sprites.on_disk);
  CHECK(sprites.on_disk == std::vector<std::string>{"a", "b", "c", "used"});
  CHECK(sprites.most_pausing == 5);
  CHECK(sprites.most_copying == 2);
}

TEST_CASE("without sprites nothing is waited for") {
  test::Loop loop;
  SlowSprites sprites(loop);
  loop.run(put_all_on_disk(sprites));
  CHECK(sprites.on_disk.empty());
}
