#include "vm/qemu_logs.h"

#include <unistd.h>

#include <algorithm>
#include <iterator>
#include <set>
#include <utility>

#include "base/directory.h"
#include "base/text.h"
#include "vm/domain_xml.h"

namespace sprite::vm {

std::vector<std::string> last_words(const Path& log_directory, const std::string& domain) {
  constexpr std::size_t most = 3;
  std::vector<std::string> words;
  const auto text = read_file(log_directory / (domain + ".log"));
  if (!text) return words;
  for (const std::string& line : split(*text, '\n')) {
    if (line.find("starting up libvirt version") != std::string::npos) words.clear();
    const auto at = line.find("qemu-system-x86_64: ");
    if (at != std::string::npos) words.push_back(trim(line.substr(at)));
  }
  if (words.size() > most) words.erase(words.begin(), words.end() - most);
  return words;
}

bool tell_of_error(const std::vector<std::string>& words) {
  return std::ranges::any_of(words, [](const std::string& line) {
    return line.find(": warning: ") == std::string::npos && line.find("terminating on signal") == std::string::npos;
  });
}

Path QemuLogs::file_of(const std::string& domain_id) const { return directory_ / (domain_name(domain_id) + ".log"); }

std::vector<std::string> QemuLogs::last_words_of(const std::string& domain_id) const {
  return last_words(directory_, domain_name(domain_id));
}

void QemuLogs::remove_but_of(const std::vector<std::string>& domain_ids) const {
  if (owner_ == Owner::system) return;
  std::set<Path> wanted;
  for (const std::string& id : domain_ids) wanted.insert(file_of(id));
  for (const Path& log : entries_of(directory_))
    if (!wanted.contains(log)) ::unlink(log.c_str());
}

void QemuLogs::note_ended(const std::string& domain_id) {
  if (owner_ == Owner::us) ended_.with([&](auto& ended) { ended.push_back(domain_id); });
}

void QemuLogs::remove_of_ended(const std::function<bool(const std::string&)>& is_forgotten) {
  auto ended = ended_.with([](auto& list) { return std::exchange(list, {}); });
  std::erase_if(ended, [&](const std::string& id) {
    if (!is_forgotten(id)) return false;
    ::unlink(file_of(id).c_str());
    return true;
  });
  ended_.with([&](auto& list) { std::ranges::move(ended, std::back_inserter(list)); });
}

}  // namespace sprite::vm
