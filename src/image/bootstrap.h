#pragma once
/// Debian packages to a tar archive, through mmdebstrap and the host's own apt sources.
#include <map>

#include "image/recipe.h"
#include "image/tar.h"

namespace sprite::image {

/// Where packages come from: apt source lines and apt settings (proxies and the like).
struct PackageSource {
  std::vector<std::string> lines{};
  std::vector<std::string> settings{};
};

/// `mirror` if not empty; else the host's own Debian sources of that suite; else the recipe's. Errors: unavailable.
Result<PackageSource> choose_source(const Recipe& recipe, const std::string& mirror);

/// What to make of the packages: a working system, or only their files (no maintainer script runs).
enum class Contents { system, files };

struct BootstrapRequest {
  std::string suite{};
  Contents contents = Contents::system;
  std::vector<std::string> packages{}, exclude{};
  std::vector<std::string> sources{};  ///< For the system's own sources.list.
  std::string customize{};             ///< See RootfsRecipe.
  std::int64_t timestamp_s = 0;
};

/// Writes the tree as a tar archive. Works as root and as an ordinary user (with
/// subordinate ids, else by fakechroot). Minutes on a slow network. Errors: not_found (mmdebstrap is not installed),
/// no_space, unavailable (with apt's own words).
Result<> bootstrap(const BootstrapRequest& request, const PackageSource& source, const Path& output);

/// Name and version of each package in a tree that bootstrap() made. Errors: not_found, unavailable.
Result<std::map<std::string, std::string>> read_packages(const TarFile& tree);

}  // namespace sprite::image
