#include "agent/activity.h"

#include <algorithm>
#include <charconv>

#include "base/text.h"
#include "wire/activity.h"

namespace sprite::agent {
namespace {

using namespace std::chrono_literals;

constexpr auto every = 2s;
constexpr auto too_short = 500ms;  // a shorter time says little about how busy programs are
constexpr std::uint64_t processor_share = 20;
constexpr std::uint64_t busy_disk_bytes_per_s = 128 * KiB;

std::uint64_t number_of(std::string_view text) {
  std::uint64_t number = 0;
  (void)std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

}  // namespace

Consumption parse_consumption(const std::string& cpu_stat, const std::string& io_stat) {
  Consumption consumption;
  constexpr std::string_view usage = "usage_usec ", read = "rbytes=", written = "wbytes=";
  for (const std::string& line : split(cpu_stat, '\n'))
    if (line.starts_with(usage)) consumption.processor_us = number_of(std::string_view(line).substr(usage.size()));
  for (const std::string& line : split(io_stat, '\n'))
    for (const std::string& word : split(line, ' '))
      if (word.starts_with(read) || word.starts_with(written))
        consumption.disk_bytes += number_of(std::string_view(word).substr(read.size()));
  return consumption;
}

std::string work_between(const Consumption& before, const Consumption& after, std::chrono::microseconds time) {
  // A container that was started anew begins with nothing.
  const auto more = [](std::uint64_t from, std::uint64_t to) { return to > from ? to - from : 0; };
  const auto us = static_cast<std::uint64_t>(std::max<std::int64_t>(time.count(), 1));
  if (more(before.processor_us, after.processor_us) * processor_share >= us) return "programs use the processor";
  if (more(before.disk_bytes, after.disk_bytes) >= busy_disk_bytes_per_s * us / 1'000'000)
    return "programs use the disk";
  return {};
}

ActivityMeter::ActivityMeter(asio::any_io_executor executor, const Sessions& sessions, Tasks& tasks, Path group)
    : timer_(executor),
      sessions_(sessions),
      tasks_(tasks),
      group_(std::move(group)),
      sampled_(std::chrono::steady_clock::now()),
      worked_(sampled_) {}

void ActivityMeter::start() {
  sample();
  timer_.expires_after(every);
  timer_.async_wait([this](boost::system::error_code stopped) {
    if (!stopped) start();
  });
}

void ActivityMeter::sample() {
  const auto now = std::chrono::steady_clock::now();
  if (consumption_ && now - sampled_ < too_short) return;
  const auto text_of = [](const Result<std::string>& file) { return file ? *file : std::string(); };
  const Consumption present = parse_consumption(text_of(read_file(group_ / "cpu.stat", 16 * KiB)),
                                                text_of(read_file(group_ / "io.stat", 64 * KiB)));
  if (consumption_) {
    std::string work =
        work_between(*consumption_, present, std::chrono::duration_cast<std::chrono::microseconds>(now - sampled_));
    if (!work.empty()) {
      work_ = std::move(work);
      worked_ = now;
    }
  }
  consumption_ = present;
  sampled_ = now;
}

wire::Activity ActivityMeter::look() {
  sample();
  const auto now = std::chrono::system_clock::now();
  if (const auto task = tasks_.last(now)) return {0, wire::activity_of(*task)};
  wire::Activity activity{std::chrono::duration<double>(std::chrono::steady_clock::now() - worked_).count(), work_};
  for (const auto& session : sessions_.running()) {
    const double idle_s = std::max(0.0, std::chrono::duration<double>(now - session->last_activity()).count());
    if (idle_s >= activity.idle_s) continue;
    activity.idle_s = idle_s;
    activity.reason = "session " + session->id() + " reads or writes";
  }
  return activity;
}

}  // namespace sprite::agent
