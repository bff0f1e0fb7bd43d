// Fleet: how a machine starts. From a template where there is one, else, or where that fails, by a boot; the reason is
// logged. What the next start can use is prepared behind.
#include <boost/asio/co_spawn.hpp>

#include "base/log.h"
#include "sprite/connect_channel.h"
#include "sprite/fleet.h"
#include "sprite/on_pool.h"
#include "wire/activity.h"

namespace sprite {
namespace {

using namespace std::chrono_literals;

constexpr auto users_first = 300ms;  // whoever made a sprite wants to use it, and a blank takes half a second of CPU

/// What a sprite is made of is missing (a layer, its image, memory_dir): not_found would say that the sprite is.
Error part_missing(Error error) {
  if (error.kind == Error::Kind::not_found) error.kind = Error::Kind::corrupt;
  return error;
}

/// Its memory is as it was, whatever hindered; only whoever wants the sprite more than its programs gives it up.
Error did_not_wake(const std::string& name, Error error) {
  if (error.hint.empty())
    error.hint = "`sprite wake " + name + "` again, or give its programs up: `sprite stop " + name +
                 "`, then `sprite start " + name + "`";
  return error;
}

Error does_not_answer(const std::string& name, Error error) {
  error.hint = "its programs are there: try again, or give them up: `sprite restart " + name + "`";
  return error;
}

}  // namespace

asio::awaitable<Result<>> Fleet::bring_up(EntryPtr entry) {
  CO_TRY(co_await bring_up_for_use(entry));
  co_return Result<>{};
}

asio::awaitable<Result<std::shared_ptr<void>>> Fleet::bring_up_for_use(EntryPtr entry) {
  if (entry->phase == Phase::destroyed) co_return no_such_sprite(entry->record.name);
  if (entry->damage) co_return *entry->damage;
  CO_TRY_LET(const bool is_up, co_await go_on(entry));
  if (is_up) co_return std::shared_ptr<void>();
  Turns::Turn turn = co_await starts_.take();
  const auto begin = std::chrono::steady_clock::now();
  auto started = co_await start_anew(entry);
  if (!started) co_return part_missing(std::move(started).error());
  const auto took = std::chrono::steady_clock::now() - begin;
  co_return std::make_shared<LimitedTurn>(host_.executor(), std::move(turn), limit_of_first_use(took));
}

/// In the machine that is there; false if there is none.
asio::awaitable<Result<bool>> Fleet::go_on(EntryPtr entry) {
  if (entry->phase == Phase::paused || !entry->machine.reachable()) {
    CO_TRY(co_await host_.hypervisor());  // else a silent agent would be told for its cause
  }
  if (entry->phase == Phase::paused) {
    auto resumed = co_await resume(entry);
    if (resumed) {
      CO_TRY(*std::move(resumed));
      co_return true;
    }
  }
  if (entry->machine.reachable()) co_return true;
  if (entry->lacks_disk) {
    auto serve = [entry] { return entry->machine.serve_disk(); };
    auto served = co_await on_pool(host_.pool(), serve);
    if (!served) co_return part_missing(std::move(served).error());
    entry->lacks_disk = false;
  }
  if (entry->machine.on()) {
    const auto state = co_await entry->machine.vm_state();
    const bool stands = state && *state == vm::State::paused;
    if (stands && entry->machine.has_memory()) {
      CO_TRY(co_await entry->machine.cut_power());  // it never ran since its memory was saved
    } else if (stands) {
      auto resumed = co_await resume(entry);
      if (resumed) {
        CO_TRY(*std::move(resumed));
        co_return true;
      }
    }
  }
  if (!entry->machine.on()) co_return false;
  auto adopted = co_await entry->machine.adopt();
  if (adopted) {
    enter(*entry, Phase::running);
    co_return true;
  }
  const bool ended = co_await entry->machine.has_ended();
  if (!ended) {
    Error error = std::move(adopted).error();
    error.hint = "run `sprite restart " + entry->record.name + "`";
    enter(*entry, Phase::running, "its agent does not answer: " + error.what);
    co_return error;
  }
  CO_TRY(co_await entry->machine.cut_power());  // what it left behind
  co_return false;
}

/// It has no machine. From its saved memory if it has one that can be used, else from a template, or by a boot.
asio::awaitable<Result<>> Fleet::start_anew(EntryPtr entry) {
  std::string note;
  if (entry->machine.has_memory()) {
    CO_TRY_LET(const Woken woken, co_await wake_from_disk(entry));
    if (woken.from == Woken::From::memory) co_return Result<>{};
    note = std::string(wire::booted_anew) + woken.why;
    log::warning("'{}' {}", entry->record.name, note);
  }
  enter(*entry, Phase::starting, note);
  std::optional<Blank> blank = co_await take_blank(entry);
  if (blank) {
    auto recorded = co_await record_machine(entry, *blank);
    if (!recorded) enter(*entry, Phase::stopped, "did not start: " + recorded.error().what);
    CO_TRY(std::move(recorded));
  }
  co_return co_await start_machine(entry, std::move(blank), DiskOf::sprite, note);
}

/// A VM that can go on from a template, and is the sprite's by its record, which is not saved yet; nothing where the
/// sprite has to boot.
asio::awaitable<std::optional<Blank>> Fleet::take_blank(EntryPtr entry) {
  const auto of = co_await templates_.find(kind_of(entry->record));
  if (!of) co_return std::nullopt;
  auto waiting = blanks_.take_waiting(of, BlankFor::start);
  if (!waiting) co_await make_room_for(entry);
  Result<Blank> blank = Error{};
  if (waiting) {
    blank = *std::move(waiting);
  } else {
    blank = co_await blanks_.take(of);
  }
  if (blank) {
    entry->record.vm_id = blank->vm_id;
    co_return *std::move(blank);
  }
  log::warning("sprite '{}' boots: {}", entry->record.name, log::one_line(blank.error()));
  if (blank.error().kind == Error::Kind::corrupt) co_await templates_.remove(of, blank.error());
  co_return std::nullopt;
}

/// A VM that waited may be dead by now; then another one is made, which can take any disk.
asio::awaitable<Result<>> Fleet::go_on_from(EntryPtr entry, Blank blank, DiskOf disk) {
  const auto of = blank.made_of;
  Result<> up = co_await entry->machine.power_on_from(std::move(blank), disk);
  if (!up && up.error().kind != Error::Kind::corrupt && !entry->machine.on()) {
    log::info("sprite '{}' takes another machine: {}", entry->record.name, log::one_line(up.error()));
    up = co_await go_on_from_new(entry, of);
  }
  if (!up) log::warning("sprite '{}' boots: {}", entry->record.name, log::one_line(up.error()));
  if (!up && up.error().kind == Error::Kind::corrupt) co_await templates_.remove(of, up.error());
  co_return up;
}

asio::awaitable<Result<>> Fleet::go_on_from_new(EntryPtr entry, std::shared_ptr<const Template> of) {
  co_await make_room_for(entry);
  CO_TRY_LET(Blank blank, co_await blanks_.make(of, BlankFor::wake));
  CO_TRY(co_await record_machine(entry, blank));
  co_return co_await entry->machine.power_on_from(std::move(blank), DiskOf::sprite);
}

asio::awaitable<Result<>> Fleet::start_machine(EntryPtr entry, std::optional<Blank> blank, DiskOf disk,
                                               std::string note) {
  enter(*entry, Phase::starting, note);
  const auto begin = std::chrono::steady_clock::now();
  Result<> up = Error{Error::Kind::unavailable, "there is no template"};
  if (blank) up = co_await go_on_from(entry, *std::move(blank), disk);
  const bool went_on = up.has_value();
  const bool may_boot = !entry->machine.on();  // else what went on is there still, perhaps on the template's disk
  if (!up && may_boot) up = co_await boot(entry);
  if (up) {
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
    log::info("sprite '{}' {} in {:.2f} s", entry->record.name, went_on ? "went on from its template" : "booted",
              took.count());
    enter(*entry, Phase::running, note);
    auto ignored = [self = shared_from_this()](std::exception_ptr) {};
    asio::co_spawn(host_.executor(), prepare_for_next(kind_of(entry->record), BlankFor::start), ignored);
  } else {
    enter(*entry, Phase::stopped, "did not start: " + up.error().what);
  }
  co_return up;
}

asio::awaitable<Result<>> Fleet::boot(EntryPtr entry) {
  co_await make_room_for(entry);
  co_return co_await entry->machine.power_on();
}

/// The VM that a sprite runs in is known before it does, whatever is killed in between.
asio::awaitable<Result<>> Fleet::save_record_of(EntryPtr entry) {
  auto save = [this, record = entry->record] { return save_record(host_.sprite_dir(record.id), record); };
  co_return co_await on_pool(host_.pool(), save);
}

/// That VM is the sprite's from now on. One that cannot be recorded is ended.
asio::awaitable<Result<>> Fleet::record_machine(EntryPtr entry, Blank& blank) {
  const auto before = std::exchange(entry->record.vm_id, blank.vm_id);
  auto saved = co_await save_record_of(entry);
  if (!saved) {
    entry->record.vm_id = before;
    co_await blanks_.discard(std::move(blank));
  }
  co_return saved;
}

asio::awaitable<Result<Woken>> Fleet::wake_from_disk(EntryPtr entry) {
  enter(*entry, Phase::waking);
  const auto begin = std::chrono::steady_clock::now();
  const auto of = co_await templates_.find(kind_of(entry->record));
  std::optional<Blank> blank = blanks_.take_waiting(of, BlankFor::wake);
  const bool had_blank = blank.has_value();
  Result<> recorded;
  if (blank) {
    recorded = co_await record_machine(entry, *blank);
  } else {
    co_await make_room_for(entry);
  }
  Result<Woken> woken = recorded ? Result<Woken>() : Result<Woken>(recorded.error());
  if (recorded) {
    woken = co_await entry->machine.wake(std::move(blank));
    if (!woken && had_blank && entry->machine.has_memory() && !entry->machine.on()) {
      log::info("sprite '{}' takes another machine: {}", entry->record.name, log::one_line(woken.error()));
      co_await make_room_for(entry);
      woken = co_await entry->machine.wake(std::nullopt);
    }
  }
  if (!woken && entry->machine.on() && !entry->machine.has_memory()) {
    woken = does_not_answer(entry->record.name, std::move(woken).error());
    co_await enter_as_it_stands(entry, woken.error());
  } else if (!woken && entry->machine.has_memory()) {
    woken = did_not_wake(entry->record.name, std::move(woken).error());
    enter(*entry, Phase::asleep, "did not wake: " + woken.error().what);
  } else if (!woken) {
    enter(*entry, Phase::stopped, "did not wake: " + woken.error().what);
  } else if (woken->from == Woken::From::memory) {
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
    log::info("sprite '{}' woke in {:.2f} s{}", entry->record.name, took.count(), had_blank ? ", in a blank" : "");
    enter(*entry, Phase::running);
    auto ignored = [self = shared_from_this()](std::exception_ptr) {};
    if (of) asio::co_spawn(host_.executor(), prepare_for_next(of->kind, BlankFor::wake), ignored);
  }
  co_return woken;
}

asio::awaitable<Result<wire::TemplateMade>> Fleet::make_template(std::string image) {
  const SpritesOptions& options = host_.options();
  CO_TRY_LET(const image::Image found, host_.images().find(image));
  wire::TemplateMade outcome{"off"};
  if (options.template_budget_bytes == 0) co_return outcome;
  TemplateKind kind{found.manifest.digest, options.default_memory_bytes, options.default_vcpus};
  CO_TRY_LET(const bool made, co_await templates_.make_unless_there(std::move(kind)));
  outcome.outcome = made ? "made" : "present";
  co_return outcome;
}

asio::awaitable<void> Fleet::prepare_for_next(TemplateKind kind, BlankFor what) {
  co_await pause_for(users_first);
  co_await starts_.until_one_is_free();
  auto of = co_await templates_.find(kind);
  if (!of) {
    co_await templates_.make_soon(kind);
    of = co_await templates_.find(kind);
  }
  if (!of) co_return;
  const auto ready = co_await blanks_.keep_ready(of, what);
  if (ready) co_return;
  log::warning("no machine is kept ready: {}", log::one_line(ready.error()));
  if (ready.error().kind == Error::Kind::corrupt) co_await templates_.remove(of, ready.error());
}

}  // namespace sprite
