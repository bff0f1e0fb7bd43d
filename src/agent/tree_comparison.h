#pragma once
/// What is different between two trees of files: two checkpoints, or one and the disk as it is.
#include <atomic>
#include <memory>
#include <vector>

#include "base/file.h"
#include "wire/types.h"

namespace sprite::agent {

/// Walks both trees side by side, a part at a time. Equal without a closer look: what has the same inode number, size,
/// and times of the last change; else type, owner, mode, extended attributes and content decide (times do not). A tree
/// that is changed meanwhile is compared as each part of it is met.
class TreeComparison {
 public:
  /// `keeps` is held until this is destroyed. Set `stopped` to end a walk early. Errors: as system_error.
  static Result<std::unique_ptr<TreeComparison>> begin(const Path& first, const Path& second,
                                                       std::shared_ptr<const std::atomic<bool>> stopped,
                                                       std::shared_ptr<void> keeps = nullptr);

  /// Goes on, and gives the next differences, sorted by path within a folder: about as many as are worth a message.
  /// Errors: unavailable (stopped), as system_error.
  Result<std::vector<wire::Difference>> next();
  bool done() const { return levels_.empty(); }

 private:
  enum class Side { both, first, second };
  struct Name {
    std::string text;
    Side side;
  };
  /// A folder that is being walked; the sides that do not have it are empty.
  struct Level {
    Fd first, second;
    std::string path;  ///< ends with '/'
    std::vector<Name> names;
    std::size_t at = 0;
  };

  TreeComparison(std::shared_ptr<const std::atomic<bool>> stopped, std::shared_ptr<void> keeps)
      : keeps_(std::move(keeps)), stopped_(std::move(stopped)) {}
  Result<> enter(Fd first, Fd second, std::string path);
  Result<> visit(const Level& level, const Name& name);
  Result<> visit_both(const Level& level, const std::string& name);
  void tell(const char* change, const std::string& path);

  std::shared_ptr<void> keeps_;  // first: what the levels have open goes before it
  std::shared_ptr<const std::atomic<bool>> stopped_;
  std::vector<Level> levels_;
  std::vector<wire::Difference> found_;
};

}  // namespace sprite::agent
