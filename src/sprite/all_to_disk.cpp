#include "sprite/all_to_disk.h"

#include <boost/asio/co_spawn.hpp>

#include "base/log.h"
#include "sprite/turns.h"

namespace sprite {
namespace {

constexpr int copies_at_once = 2;

/// Everyone for himself: a guest that does not answer holds nobody else up.
asio::awaitable<void> put_on_disk(Sprites& sprites, std::string name, Turns copies) {
  auto done = co_await sprites.sleep(name, Depth::paused, IfInUse::stand_still, Wait::no);
  if (done) {
    const Turns::Turn turn = co_await copies.take();
    done = co_await sprites.sleep(name, Depth::disk, IfInUse::stand_still, Wait::yes);
  }
  if (!done) log::warning("'{}' is not on the disk: {}", name, log::one_line(done.error()));
}

}  // namespace

asio::awaitable<void> put_all_on_disk(Sprites& sprites) {
  const auto executor = co_await asio::this_coro::executor;
  const Turns copies(copies_at_once);
  auto on_their_way = std::make_shared<int>(0);
  const auto all_done = std::make_shared<asio::steady_timer>(executor, asio::steady_timer::time_point::max());
  const auto arrived = [on_their_way, all_done](std::exception_ptr) {
    if (--*on_their_way == 0) all_done->cancel();
  };
  for (const wire::Sprite& sprite : sprites.list()) {
    ++*on_their_way;
    asio::co_spawn(executor, put_on_disk(sprites, sprite.name, copies), arrived);
  }
  boost::system::error_code cancelled;
  if (*on_their_way > 0) co_await all_done->async_wait(asio::redirect_error(asio::use_awaitable, cancelled));
}

}  // namespace sprite
