#include "vm/one_thread.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"

namespace sprite::vm {
namespace {

constexpr unsigned long first_that_locks_code = 8'001'000;

/// With the size and time of QEMU, so that libvirt asks anew after an upgrade; and QEMU, as a word of the shell.
constexpr std::string_view script = R"sh(#!/bin/sh
# Written by sprite. Before 8.1 QEMU's threads overtake each other where a guest changes its own code.
# For the one of {} bytes of {}.
count=$#
before=
while [ "$count" -gt 0 ]; do
  word=$1
  shift
  [ "$before $word" = "-accel tcg" ] && word=tcg,thread=single
  set -- "$@" "$word"
  before=$word
  count=$((count - 1))
done
exec {} "$@"
)sh";

}  // namespace

bool needs_one_thread(Accelerator accelerator, unsigned long qemu) {
  return accelerator == Accelerator::emulation && qemu < first_that_locks_code;
}

Result<Path> one_thread_launcher(const Path& directory, const Path& emulator) {
  const Path launcher = directory / "qemu-one-thread";
  struct stat info {};
  if (::stat(emulator.c_str(), &info) != 0) return system_error("cannot look at '" + emulator.string() + "'");
  const std::string wanted = fmt::format(script, info.st_size, info.st_mtim.tv_sec, shell_word(emulator.string()));
  const auto present = read_file(launcher);
  const bool well = present && *present == wanted && ::access(launcher.c_str(), X_OK) == 0;
  if (!well) TRY(write_file_atomically(launcher, wanted, 0700));  // libvirt asks a changed one anew what it can do
  return launcher;
}

}  // namespace sprite::vm
