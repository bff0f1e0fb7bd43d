#include "image/ext4.h"

extern "C" {  // neither header says so for all it declares
#include <et/com_err.h>
#include <ext2fs/ext2fs.h>
}
#include <sys/stat.h>
#include <unistd.h>

#include "base/process.h"

namespace sprite::image {
namespace {

using Kind = TarEntry::Kind;

/// Features are all named, so that the host's mke2fs.conf has no say. The journal is small, because a sprite's disk
/// keeps every block that was ever written and a journal is written all over.
std::vector<std::string> mke2fs_command(const Path& program, const Path& image, const Ext4Options& options) {
  return {"env",
          "MKE2FS_CONFIG=/dev/null",
          "E2FSPROGS_FAKE_TIME=" + std::to_string(options.timestamp_s),
          program.string(),
          "-q",
          "-F",
          "-b",
          "4096",
          "-I",
          "256",
          "-i",
          "16384",
          "-m",
          "1",
          "-J",
          "size=64",
          "-O",
          "none,has_journal,ext_attr,dir_index,filetype,extent,64bit,flex_bg,sparse_super,large_file,huge_file,"
          "dir_nlink,extra_isize,metadata_csum",
          "-U",
          options.uuid,
          "-L",
          options.label,
          "-E",
          "hash_seed=" + options.uuid +
              ",root_owner=0:0,nodiscard,lazy_itable_init=0,lazy_journal_init=1,"
              "assume_storage_prezeroed=1",
          image.string()};
}

/// Fills a file system. Each function's error is libext2fs's own code, 0 for success.
class Populator {
 public:
  Populator(ext2_filsys fs, const TarFile& tree, std::int64_t latest) : fs_(fs), tree_(tree), latest_(latest) {
    inodes_[""] = EXT2_ROOT_INO;
  }

  Result<> run() {
    for (const TarEntry& entry : tree_.entries()) TRY(add(entry));
    for (const TarEntry* each : directories_)  // last: entries made inside may have touched them
      TRY(checked(*each, set_attributes(*each, inodes_.at(each->path))));
    return {};
  }

 private:
  Result<> add(const TarEntry& entry) {
    if (entry.kind == Kind::hardlink) return checked(entry, add_link(entry));
    if (entry.kind == Kind::directory) directories_.push_back(&entry);
    if (entry.path.empty()) return {};
    const std::size_t slash = entry.path.rfind('/');
    const std::string folder = slash == std::string::npos ? "" : entry.path.substr(0, slash);
    const std::string name = slash == std::string::npos ? entry.path : entry.path.substr(slash + 1);
    const auto parent = inodes_.find(folder);
    if (parent == inodes_.end())
      return Error{Error::Kind::corrupt, "the archive has '" + entry.path + "' before its directory", "", {}};
    ext2_ino_t inode = 0;
    TRY(checked(entry, create(entry, parent->second, name, inode)));
    inodes_[entry.path] = inode;
    if (entry.kind == Kind::file) TRY(write_content(entry, inode));
    if (entry.kind != Kind::directory) TRY(checked(entry, set_attributes(entry, inode)));
    return checked(entry, set_xattrs(entry, inode));
  }

  static Result<> checked(const TarEntry& entry, errcode_t code) {
    if (code == 0) return {};
    const bool full = code == EXT2_ET_BLOCK_ALLOC_FAIL || code == EXT2_ET_INODE_ALLOC_FAIL || code == ENOSPC;
    return Error{full ? Error::Kind::no_space : Error::Kind::unavailable,
                 "cannot write '/" + entry.path + "' to the disk image",
                 "",
                 {error_message(code)}};
  }

  /// Calls `link` again with a larger directory if that was full.
  template <class F>
  errcode_t with_room(ext2_ino_t directory, F&& link) {
    errcode_t code = link();
    if (code != EXT2_ET_DIR_NO_SPACE) return code;
    code = ext2fs_expand_dir(fs_, directory);
    return code != 0 ? code : link();
  }

  errcode_t create(const TarEntry& entry, ext2_ino_t parent, const std::string& name, ext2_ino_t& inode) {
    const int type = entry.kind == Kind::directory ? LINUX_S_IFDIR : LINUX_S_IFREG;
    if (const errcode_t code = ext2fs_new_inode(fs_, parent, type, nullptr, &inode); code != 0) return code;
    switch (entry.kind) {
      case Kind::directory: return with_room(parent, [&] { return ext2fs_mkdir(fs_, parent, inode, name.c_str()); });
      case Kind::symlink:
        return with_room(parent, [&] { return ext2fs_symlink(fs_, parent, inode, name.c_str(), entry.link.c_str()); });
      case Kind::character_device: return create_plain(entry, LINUX_S_IFCHR, EXT2_FT_CHRDEV, parent, name, inode);
      case Kind::block_device: return create_plain(entry, LINUX_S_IFBLK, EXT2_FT_BLKDEV, parent, name, inode);
      case Kind::fifo: return create_plain(entry, LINUX_S_IFIFO, EXT2_FT_FIFO, parent, name, inode);
      default: return create_plain(entry, LINUX_S_IFREG, EXT2_FT_REG_FILE, parent, name, inode);
    }
  }

  /// An inode with a name but without content: a file yet to be written, a device, a fifo.
  errcode_t create_plain(const TarEntry& entry, unsigned type, int name_type, ext2_ino_t parent,
                         const std::string& name, ext2_ino_t number) {
    const auto link = [&] { return ext2fs_link(fs_, parent, name.c_str(), number, name_type); };
    if (const errcode_t code = with_room(parent, link); code != 0) return code;
    ext2fs_inode_alloc_stats2(fs_, number, +1, 0);
    struct ext2_inode inode {};
    inode.i_mode = static_cast<__u16>(type | entry.mode);
    inode.i_links_count = 1;
    if (type == LINUX_S_IFCHR || type == LINUX_S_IFBLK) inode.i_block[0] = entry.major << 8 | (entry.minor & 0xff);
    if (type == LINUX_S_IFREG) {
      ext2_extent_handle_t extents = nullptr;
      inode.i_flags |= EXT4_EXTENTS_FL;
      if (const errcode_t code = ext2fs_extent_open2(fs_, number, &inode, &extents); code != 0) return code;
      ext2fs_extent_free(extents);
    }
    return ext2fs_write_new_inode(fs_, number, &inode);
  }

  Result<> write_content(const TarEntry& entry, ext2_ino_t inode) {
    if (entry.size == 0) return {};
    ext2_file_t file = nullptr;
    TRY(checked(entry, ext2fs_file_open(fs_, inode, EXT2_FILE_WRITE, &file)));
    auto written = copy_content(entry, file);
    const errcode_t closed = ext2fs_file_close(file);
    if (!written) return written;
    return checked(entry, closed);
  }

  Result<> copy_content(const TarEntry& entry, ext2_file_t file) {
    for (std::uint64_t at = 0; at < entry.size;) {
      const auto piece = MutableByteView(buffer_).first(std::min<std::uint64_t>(buffer_.size(), entry.size - at));
      TRY(tree_.read(entry, at, piece));
      unsigned written = 0;
      TRY(checked(entry, ext2fs_file_write(file, piece.data(), static_cast<unsigned>(piece.size()), &written)));
      at += written;
    }
    return {};
  }

  errcode_t add_link(const TarEntry& entry) {
    const auto target = inodes_.find(entry.link);
    const std::size_t slash = entry.path.rfind('/');
    const auto parent = inodes_.find(slash == std::string::npos ? "" : entry.path.substr(0, slash));
    if (target == inodes_.end() || parent == inodes_.end()) return EXT2_ET_FILE_NOT_FOUND;
    const std::string name = slash == std::string::npos ? entry.path : entry.path.substr(slash + 1);
    const auto link = [&] { return ext2fs_link(fs_, parent->second, name.c_str(), target->second, EXT2_FT_REG_FILE); };
    if (const errcode_t code = with_room(parent->second, link); code != 0) return code;
    struct ext2_inode inode {};
    if (const errcode_t code = ext2fs_read_inode(fs_, target->second, &inode); code != 0) return code;
    ++inode.i_links_count;
    inodes_[entry.path] = target->second;
    return ext2fs_write_inode(fs_, target->second, &inode);
  }

  errcode_t set_attributes(const TarEntry& entry, ext2_ino_t number) {
    struct ext2_inode_large inode {};
    auto* const plain = reinterpret_cast<struct ext2_inode*>(&inode);
    if (const errcode_t code = ext2fs_read_inode_full(fs_, number, plain, sizeof inode); code != 0) return code;
    inode.i_mode = static_cast<__u16>((inode.i_mode & LINUX_S_IFMT) | entry.mode);
    inode.i_uid = static_cast<__u16>(entry.uid);
    inode.i_gid = static_cast<__u16>(entry.gid);
    inode.osd2.linux2.l_i_uid_high = static_cast<__u16>(entry.uid >> 16);
    inode.osd2.linux2.l_i_gid_high = static_cast<__u16>(entry.gid >> 16);
    const auto time = static_cast<__u32>(std::min(entry.mtime, latest_));
    inode.i_mtime = inode.i_atime = time;
    inode.i_ctime = inode.i_crtime = static_cast<__u32>(latest_);
    inode.i_mtime_extra = inode.i_atime_extra = inode.i_ctime_extra = inode.i_crtime_extra = 0;
    return ext2fs_write_inode_full(fs_, number, plain, sizeof inode);
  }

  errcode_t set_xattrs(const TarEntry& entry, ext2_ino_t inode) {
    if (entry.xattrs.empty()) return 0;
    struct ext2_xattr_handle* handle = nullptr;
    if (const errcode_t code = ext2fs_xattrs_open(fs_, inode, &handle); code != 0) return code;
    errcode_t code = ext2fs_xattrs_read(handle);
    for (const auto& [name, value] : entry.xattrs)
      if (code == 0) code = ext2fs_xattr_set(handle, name.c_str(), value.data(), value.size());
    const errcode_t closed = ext2fs_xattrs_close(&handle);
    return code != 0 ? code : closed;
  }

  ext2_filsys fs_;
  const TarFile& tree_;
  const std::int64_t latest_;
  std::map<std::string, ext2_ino_t> inodes_;
  std::vector<const TarEntry*> directories_;
  Bytes buffer_ = Bytes(1 * MiB);
};

Result<> make_empty(const Path& image, const Ext4Options& options) {
  const auto program = find_program("mke2fs");  // not in every user's PATH
  if (!program) return Error{Error::Kind::not_found, "the program 'mke2fs' is not installed", "run `make deps`", {}};
  TRY_LET(const Fd fd, open_file(image, O_RDWR | O_CREAT | O_TRUNC, 0644));
  if (::ftruncate(fd.get(), static_cast<off_t>(options.size_bytes)) != 0)
    return system_error("cannot make the disk image '" + image.string() + "'");
  TRY_LET(const Finished made, run_process(mke2fs_command(*program, image, options)));
  if (made.exit_status != 0)
    return Error{Error::Kind::unavailable, "mke2fs failed", "", {made.err.empty() ? made.out : made.err}};
  return {};
}

Result<> library_error(const Path& image, errcode_t code) {
  if (code == 0) return {};
  return Error{code == ENOSPC ? Error::Kind::no_space : Error::Kind::unavailable,
               "cannot write the disk image '" + image.string() + "'",
               "",
               {error_message(code)}};
}

}  // namespace

Result<> make_ext4(const Path& image, const Ext4Options& options, const TarFile& tree) {
  initialize_ext2_error_table();
  ::unlink(image.c_str());  // never into a file that has another name elsewhere
  TRY(make_empty(image, options));
  ext2_filsys fs = nullptr;
  TRY(library_error(image, ext2fs_open(image.c_str(), EXT2_FLAG_RW | EXT2_FLAG_64BITS, 0, 0, unix_io_manager, &fs)));
  fs->now = options.timestamp_s;
  const errcode_t bitmaps = ext2fs_read_bitmaps(fs);
  auto filled = bitmaps == 0 ? Populator(fs, tree, options.timestamp_s).run() : library_error(image, bitmaps);
  const errcode_t closed = ext2fs_close_free(&fs);  // writes what is left, on failure too
  TRY(std::move(filled));
  return library_error(image, closed);
}

}  // namespace sprite::image
