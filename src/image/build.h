#pragma once
/// Builds an image directory from a recipe, in stages that are done again only when what they depend on has changed.
#include <functional>
#include <string>

#include "image/manifest.h"

namespace sprite::image {

struct BuildRequest {
  Path recipe{};         ///< Folder with image.yaml.
  Path agent{};          ///< The static agent program.
  Path output{};         ///< The image directory to make or bring up to date; its "stages" folder is the cache.
  std::string mirror{};  ///< Overrides where packages come from.
  bool refresh = false;  ///< Fetch packages again although the recipe is the same: newer versions.
};

/// Told each step that takes time, as it begins: "unpacking 40 packages of bookworm".
using Progress = std::function<void(std::string_view step)>;

/// Makes the image. Files that others have hard links to are replaced, never written. Errors: invalid (recipe, agent),
/// not_found (a missing program), no_space, unavailable (network, other failures of the programs used).
Result<Manifest> build(const BuildRequest& request, const Progress& progress);

}  // namespace sprite::image
