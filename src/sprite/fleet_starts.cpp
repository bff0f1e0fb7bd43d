// Fleet: how a machine starts. From a template where there is one, else, or where that fails, by a boot; the reason is
// logged. What the next start can use is prepared behind.
#include <boost/asio/co_spawn.hpp>

#include "base/log.h"
#include "sprite/connect_channel.h"
#include "sprite/fleet.h"

namespace sprite {
namespace {

using namespace std::chrono_literals;

constexpr auto users_first = 300ms;  // whoever made a sprite wants to use it, and a blank takes half a second of CPU

TemplateKind kind_of(const Record& record) { return {record.image, record.memory_bytes, record.vcpus}; }

}  // namespace

/// A VM that can go on from a template, and is the sprite's by its record, which is not saved yet; nothing where the
/// sprite has to boot.
asio::awaitable<std::optional<Blank>> Fleet::take_blank(EntryPtr entry) {
  const auto of = co_await templates_.find(kind_of(entry->record));
  if (!of) co_return std::nullopt;
  auto blank = co_await blanks_.take(of);
  if (!blank && blank.error().kind == Error::Kind::no_space) {
    const bool gave_up = co_await blanks_.give_up();
    if (gave_up) blank = co_await blanks_.take(of);
  }
  if (blank) {
    entry->record.vm_id = blank->vm_id;
    co_return *std::move(blank);
  }
  log::warning("sprite '{}' boots: {}", entry->record.name, log::one_line(blank.error()));
  if (blank.error().kind == Error::Kind::corrupt) co_await templates_.remove(of, blank.error());
  co_return std::nullopt;
}

asio::awaitable<Result<>> Fleet::start_machine(EntryPtr entry, std::optional<Blank> blank, DiskOf disk,
                                               std::string note) {
  enter(*entry, Phase::starting, note);
  const auto begin = std::chrono::steady_clock::now();
  Result<> up = Error{Error::Kind::unavailable, "there is no template"};
  if (blank) {
    const auto of = blank->made_of;
    up = co_await entry->machine.power_on_from(*std::move(blank), disk);
    if (!up) log::warning("sprite '{}' boots: {}", entry->record.name, log::one_line(up.error()));
    if (!up && up.error().kind == Error::Kind::corrupt) co_await templates_.remove(of, up.error());
  }
  const bool went_on = up.has_value();
  if (!up) up = co_await boot(entry);
  if (up) {
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
    log::info("sprite '{}' {} in {:.2f} s", entry->record.name, went_on ? "went on from its template" : "booted",
              took.count());
    enter(*entry, Phase::running, note);
    auto ignored = [self = shared_from_this()](std::exception_ptr) {};
    asio::co_spawn(host_.executor(), prepare_for_next(kind_of(entry->record)), ignored);
  } else {
    enter(*entry, Phase::stopped, "did not start: " + up.error().what);
  }
  co_return up;
}

asio::awaitable<Result<>> Fleet::boot(EntryPtr entry) {
  auto up = co_await entry->machine.power_on();
  if (up || up.error().kind != Error::Kind::no_space) co_return up;
  const bool gave_up = co_await blanks_.give_up();
  if (gave_up) up = co_await entry->machine.power_on();
  co_return up;
}

asio::awaitable<void> Fleet::prepare_for_next(TemplateKind kind) {
  co_await pause_for(users_first);
  auto of = co_await templates_.find(kind);
  if (!of) {
    co_await templates_.make_soon(kind);
    of = co_await templates_.find(kind);
  }
  if (of) co_await blanks_.keep_ready(of);
}

}  // namespace sprite
