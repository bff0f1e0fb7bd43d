#include "image/elf.h"

#include <elf.h>

#include <optional>

namespace sprite::image {
namespace {

Error not_elf(const char* why) { return Error{Error::Kind::invalid, "not a 64-bit little-endian ELF file", "", {why}}; }

template <class T>
std::optional<T> at(ByteView elf, std::uint64_t offset) {
  if (offset > elf.size() || elf.size() - offset < sizeof(T)) return std::nullopt;
  T value;
  std::memcpy(&value, elf.data() + offset, sizeof value);
  return value;
}

std::string text_at(ByteView elf, std::uint64_t offset) {
  if (offset >= elf.size()) return {};
  const std::string_view rest = as_text(elf.subspan(offset));
  return std::string(rest.substr(0, rest.find('\0')));
}

ByteView slice(ByteView elf, std::uint64_t offset, std::uint64_t size) {
  if (offset > elf.size()) return {};
  return elf.subspan(offset, std::min<std::uint64_t>(size, elf.size() - offset));
}

Result<Elf64_Ehdr> read_header(ByteView elf) {
  const auto header = at<Elf64_Ehdr>(elf, 0);
  if (!header || std::memcmp(header->e_ident, ELFMAG, SELFMAG) != 0) return not_elf("it has no ELF header");
  if (header->e_ident[EI_CLASS] != ELFCLASS64 || header->e_ident[EI_DATA] != ELFDATA2LSB)
    return not_elf("another word size or byte order");
  return *header;
}

Result<std::vector<Elf64_Phdr>> read_segments(ByteView elf) {
  TRY_LET(const Elf64_Ehdr header, read_header(elf));
  std::vector<Elf64_Phdr> segments;
  for (std::uint64_t i = 0; i < header.e_phnum; ++i) {
    const auto segment = at<Elf64_Phdr>(elf, header.e_phoff + i * sizeof(Elf64_Phdr));
    if (!segment) return not_elf("its program headers are cut off");
    segments.push_back(*segment);
  }
  return segments;
}

/// Where the byte loaded at `address` lies in the file.
std::uint64_t file_offset(const std::vector<Elf64_Phdr>& segments, std::uint64_t address) {
  for (const Elf64_Phdr& each : segments)
    if (each.p_type == PT_LOAD && address >= each.p_vaddr && address - each.p_vaddr < each.p_filesz)
      return each.p_offset + (address - each.p_vaddr);
  return UINT64_MAX;
}

}  // namespace

Result<Linkage> read_linkage(ByteView elf) {
  TRY_LET(const std::vector<Elf64_Phdr> segments, read_segments(elf));
  Linkage linkage;
  std::vector<std::uint64_t> names;
  std::uint64_t strings = 0;
  for (const Elf64_Phdr& each : segments) {
    if (each.p_type == PT_INTERP) linkage.interpreter = text_at(elf, each.p_offset);
    if (each.p_type != PT_DYNAMIC) continue;
    for (std::uint64_t offset = 0; offset + sizeof(Elf64_Dyn) <= each.p_filesz; offset += sizeof(Elf64_Dyn)) {
      const auto entry = at<Elf64_Dyn>(elf, each.p_offset + offset);
      if (!entry || entry->d_tag == DT_NULL) break;
      if (entry->d_tag == DT_NEEDED) names.push_back(entry->d_un.d_val);
      if (entry->d_tag == DT_STRTAB) strings = file_offset(segments, entry->d_un.d_ptr);
    }
  }
  for (const std::uint64_t name : names) linkage.needed.push_back(text_at(elf, strings + name));
  return linkage;
}

Result<std::multimap<std::string, std::string>> read_module_info(ByteView elf) {
  TRY_LET(const Elf64_Ehdr header, read_header(elf));
  const auto section = [&](std::uint64_t i) { return at<Elf64_Shdr>(elf, header.e_shoff + i * sizeof(Elf64_Shdr)); };
  const auto names = section(header.e_shstrndx);
  if (!names) return not_elf("its section headers are cut off");
  std::multimap<std::string, std::string> info;
  for (std::uint64_t i = 0; i < header.e_shnum; ++i) {
    const auto each = section(i);
    if (!each || text_at(elf, names->sh_offset + each->sh_name) != ".modinfo") continue;
    std::string_view rest = as_text(slice(elf, each->sh_offset, each->sh_size));
    while (!rest.empty()) {
      const std::string_view entry = rest.substr(0, rest.find('\0'));
      if (const std::size_t equals = entry.find('='); equals != std::string_view::npos)
        info.emplace(entry.substr(0, equals), entry.substr(equals + 1));
      rest.remove_prefix(std::min(rest.size(), entry.size() + 1));
    }
  }
  return info;
}

Result<bool> has_pvh_entry(ByteView elf) {
  constexpr std::uint32_t phys32_entry = 18;  // XEN_ELFNOTE_PHYS32_ENTRY
  TRY_LET(const std::vector<Elf64_Phdr> segments, read_segments(elf));
  for (const Elf64_Phdr& each : segments) {
    if (each.p_type != PT_NOTE) continue;
    const ByteView notes = slice(elf, each.p_offset, each.p_filesz);
    const auto padded = [](std::uint64_t size) { return (size + 3) / 4 * 4; };
    std::uint64_t offset = 0;
    while (const auto note = at<Elf64_Nhdr>(notes, offset)) {
      if (note->n_type == phys32_entry && text_at(notes, offset + sizeof *note) == "Xen") return true;
      offset += sizeof *note + padded(note->n_namesz) + padded(note->n_descsz);
    }
  }
  return false;
}

Result<> strip_program(Bytes& elf) {
  TRY_LET(Elf64_Ehdr header, read_header(elf));
  TRY_LET(const std::vector<Elf64_Phdr> segments, read_segments(elf));
  std::uint64_t end = header.e_phoff + segments.size() * sizeof(Elf64_Phdr);
  for (const Elf64_Phdr& each : segments) end = std::max(end, each.p_offset + each.p_filesz);
  if (end > elf.size()) return not_elf("its segments are cut off");
  elf.resize(end);
  header.e_shoff = 0;
  header.e_shnum = header.e_shstrndx = 0;
  std::memcpy(elf.data(), &header, sizeof header);
  return {};
}

}  // namespace sprite::image
