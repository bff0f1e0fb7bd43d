#pragma once
/// Small image directories for tests.
#include <fcntl.h>
#include <unistd.h>

#include "image/manifest.h"
#include "support/temporary_directory.h"

namespace sprite::test {

inline void write_text(const Path& path, const std::string& text) {
  if (!write_file_atomically(path, text, 0644)) die("cannot write a test's file");
}

/// A sparse file of `size_bytes` with `text` at `offset`.
inline void write_sparse(const Path& path, std::uint64_t size_bytes, std::uint64_t offset, const std::string& text) {
  auto fd = open_file(path, O_RDWR | O_CREAT | O_TRUNC, 0644);
  if (!fd || ::ftruncate(fd->get(), static_cast<off_t>(size_bytes)) != 0) die("cannot make a test's file");
  if (!pwrite_all(fd->get(), as_bytes(text), offset)) die("cannot write a test's file");
}

/// An image directory whose digest depends on `content`.
inline image::Manifest make_image(const Path& directory, const std::string& name, const std::string& content) {
  std::filesystem::create_directories(directory);
  write_text(directory / image::kernel_file, "kernel " + content);
  write_text(directory / image::initramfs_file, "initramfs " + content);
  write_sparse(directory / image::rootfs_file, 1 * GiB, 700 * MiB, "rootfs " + content);
  image::Manifest manifest;
  manifest.name = name;
  manifest.created = "2026-01-02T03:04:05.000Z";
  manifest.architecture = "x86_64";
  manifest.suite = "bookworm";
  manifest.kernel_release = "6.1.0-1-cloud-amd64";
  manifest.kernel_arguments = "console=ttyS0";
  manifest.agent_version = "0.1.0";
  manifest.disk_bytes = 1 * GiB;
  manifest.packages = {{"bash", "5.2"}};
  for (const char* file : {image::kernel_file, image::initramfs_file, image::rootfs_file}) {
    auto described = image::describe_file(directory, file);
    if (!described) die("cannot describe a test's file");
    manifest.files.push_back(*described);
  }
  manifest.digest = image::digest_of(manifest.files, manifest.kernel_arguments);
  write_text(directory / image::manifest_file, image::to_json(manifest));
  return manifest;
}

}  // namespace sprite::test
