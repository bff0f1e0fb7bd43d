#pragma once
/// What QEMUs wrote: libvirt keeps a file for every domain that ever ran.
#include <functional>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/locked.h"

namespace sprite::vm {

/// The end of what the QEMU of that domain wrote, for a person: its last lines, or nothing.
std::vector<std::string> last_words(const Path& log_directory, const std::string& domain);

/// Whether such words tell of an error: a QEMU that is told to end says so, too, and one that is killed says nothing.
bool tell_of_error(const std::vector<std::string>& words);

/// The last words are in the reason that is told of an end, so a file goes with its domain; unless libvirt is the
/// system's, whose files are not ours. For any thread.
class QemuLogs {
 public:
  enum class Owner { us, system };

  QemuLogs(Path directory, Owner owner) : directory_(std::move(directory)), owner_(owner) {}

  std::vector<std::string> last_words_of(const std::string& domain_id) const;
  /// Removes all files but those of these domains.
  void remove_but_of(const std::vector<std::string>& domain_ids) const;
  /// Notes a domain that ended; libvirt may still write that it did.
  void note_ended(const std::string& domain_id);
  /// Removes the files of those that ended and that libvirt does not know any more.
  void remove_of_ended(const std::function<bool(const std::string& domain_id)>& is_forgotten);

 private:
  Path file_of(const std::string& domain_id) const;

  Path directory_;
  Owner owner_;
  Locked<std::vector<std::string>> ended_;
};

}  // namespace sprite::vm
