#pragma once
/// Users and groups as the files of the inner container name them. The C library's own look-up needs shared libraries
/// of the container's version, which a static program does not have.
#include <sys/types.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sprite::agent {

struct User {
  std::string name = "root";
  uid_t uid = 0;
  gid_t gid = 0;
  std::string home = "/root";
  std::string shell = "/bin/sh";
  std::vector<gid_t> groups{};  ///< The supplementary ones.
};

/// The user called `name` in the text of /etc/passwd and /etc/group.
std::optional<User> find_user(std::string_view passwd, std::string_view group, std::string_view name);
/// The same by number.
std::optional<User> find_user(std::string_view passwd, std::string_view group, uid_t uid);

}  // namespace sprite::agent
