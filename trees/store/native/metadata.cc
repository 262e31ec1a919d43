#include "metadata.h"

#include <sys/stat.h>

namespace trees::store {

namespace {

constexpr size_t kLongestName = 255;

// Bytes of a framing offset in a container of that size.
size_t offset_size(uint64_t size) {
  return size <= 0xff ? 1 : size <= 0xffff ? 2 : size <= 0xffffffff ? 4 : 8;
}

uint64_t read_offset(View bytes, size_t at, size_t width) {
  uint64_t value = 0;
  for (size_t i = 0; i < width; i++)
    value |= static_cast<uint64_t>(bytes.data[at + i]) << 8 * i;
  return value;
}

[[noreturn]] void malformed() {
  throw Malformed("it is not in the form that OSTree writes");
}

// The parts that framing offsets cut a tuple into whose members have no alignment. `Count` offsets, in
// reverse order.
template <size_t Count> std::array<View, Count + 1> split_tuple(View bytes) {
  const size_t width = offset_size(bytes.size);
  if (bytes.size < Count * width)
    malformed();
  const size_t end = bytes.size - Count * width;
  std::array<View, Count + 1> parts;
  size_t start = 0;
  for (size_t i = 0; i < Count; i++) {
    const uint64_t next = read_offset(bytes, bytes.size - (i + 1) * width, width);
    if (next < start || next > end)
      malformed();
    parts[i] = bytes.part(start, next);
    start = next;
  }
  parts[Count] = bytes.part(start, end);
  return parts;
}

// Calls `visit` for each element of an array whose elements have a size of their own and no alignment.
template <typename Visit> void each_element(View bytes, Visit visit) {
  if (bytes.size == 0)
    return;
  const size_t width = offset_size(bytes.size);
  const uint64_t table = read_offset(bytes, bytes.size - width, width);
  if (table > bytes.size - width || (bytes.size - table) % width != 0)
    malformed();
  uint64_t start = 0;
  for (size_t at = table; at < bytes.size; at += width) {
    const uint64_t end = read_offset(bytes, at, width);
    if (end < start || end > table)
      malformed();
    visit(bytes.part(start, end));
    start = end;
  }
}

Checksum checksum_of(View bytes) {
  if (bytes.size != 32)
    throw Malformed("a checksum in it does not have 32 bytes");
  return Checksum::from_bytes(bytes.data);
}

// Length of the UTF-8 sequence at the start; 0 if there is none (also for overlong forms and surrogates).
size_t utf8_length(std::string_view text) {
  const auto at = [text](size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0; };
  const auto follows = [at](size_t i) { return (at(i) & 0xc0) == 0x80; };
  const unsigned first = at(0);
  if (first < 0x80)
    return 1;
  if (first >= 0xc2 && first <= 0xdf)
    return follows(1) ? 2 : 0;
  if (first >= 0xe0 && first <= 0xef) {
    if ((first == 0xe0 && at(1) < 0xa0) || (first == 0xed && at(1) > 0x9f))
      return 0;
    return follows(1) && follows(2) ? 3 : 0;
  }
  if (first >= 0xf0 && first <= 0xf4) {
    if ((first == 0xf0 && at(1) < 0x90) || (first == 0xf4 && at(1) > 0x8f))
      return 0;
    return follows(1) && follows(2) && follows(3) ? 4 : 0;
  }
  return 0;
}

bool is_utf8(std::string_view text) {
  while (!text.empty()) {
    const size_t length = utf8_length(text);
    if (length == 0)
      return false;
    text.remove_prefix(length);
  }
  return true;
}

std::string_view name_of(View bytes) {
  std::string_view text = bytes.text();
  if (text.empty() || text.back() != '\0')
    malformed();
  text.remove_suffix(1);
  const auto refuse = [text](const char *why) { throw Malformed(why, std::string(text)); };
  if (text.empty())
    refuse("an entry has an empty name");
  if (text == "." || text == "..")
    refuse("an entry is named as the directory itself or its parent");
  if (text.find('/') != std::string_view::npos)
    refuse("the name of an entry has a slash in it");
  if (text.find('\0') != std::string_view::npos)
    refuse("the name of an entry has a NUL in it");
  if (text.size() > kLongestName)
    refuse("the name of an entry is longer than 255 bytes");
  if (!is_utf8(text))
    refuse("the name of an entry is not UTF-8");
  return text;
}

template <typename Entry> void check_order(const std::vector<Entry> &entries) {
  for (size_t i = 1; i < entries.size(); i++) {
    if (entries[i - 1].name == entries[i].name)
      throw Malformed("the name is there twice", std::string(entries[i].name));
    if (entries[i - 1].name > entries[i].name)
      throw Malformed("the entries are not sorted", std::string(entries[i].name));
  }
}

void check_disjoint(const DirTree &tree) {
  auto dir = tree.dirs.begin();
  for (const FileEntry &file : tree.files) {
    while (dir != tree.dirs.end() && dir->name < file.name)
      ++dir;
    if (dir != tree.dirs.end() && dir->name == file.name)
      throw Malformed("the name is there twice", std::string(file.name));
  }
}

uint32_t big_endian(const uint8_t *bytes) {
  return static_cast<uint32_t>(bytes[0]) << 24 | static_cast<uint32_t>(bytes[1]) << 16 |
         static_cast<uint32_t>(bytes[2]) << 8 | bytes[3];
}

DirMeta parse_owned(View bytes) {
  if (bytes.size < 12)
    malformed();
  DirMeta meta;
  meta.uid = big_endian(bytes.data);
  meta.gid = big_endian(bytes.data + 4);
  meta.mode = big_endian(bytes.data + 8);
  // chown(2) takes this for "leave it".
  if (meta.uid == UINT32_MAX || meta.gid == UINT32_MAX)
    throw Malformed("its owner or group is 4294967295, which is nobody");
  if ((meta.mode & ~static_cast<uint32_t>(S_IFMT | 07777)) != 0)
    throw Malformed("its mode has bits that have no meaning");
  each_element(bytes.part(12, bytes.size), [&meta](View element) {
    const auto [name, value] = split_tuple<1>(element);
    std::string_view text = name.text();
    if (text.size() < 2 || text.find('\0') != text.size() - 1)
      throw Malformed("the name of an extended attribute is empty or has a NUL in it");
    text.remove_suffix(1);
    if (const auto why = refused_xattr(text))
      throw Malformed(*why);
    meta.xattrs.push_back({std::string(text), Bytes(value.data, value.data + value.size)});
  });
  return meta;
}

void append(Bytes &out, std::string_view text) {
  out.insert(out.end(), text.begin(), text.end());
  out.push_back(0);
}

void append(Bytes &out, const Checksum &checksum) {
  out.insert(out.end(), checksum.bytes.begin(), checksum.bytes.end());
}

// Appends framing offsets to a container that starts at `start`. The offsets are from there.
void append_offsets(Bytes &out, size_t start, const std::vector<uint64_t> &offsets) {
  const uint64_t body = out.size() - start;
  size_t width = 1;
  while (offset_size(body + offsets.size() * width) > width)
    width *= 2;
  for (const uint64_t offset : offsets)
    for (size_t i = 0; i < width; i++)
      out.push_back(static_cast<uint8_t>(offset >> 8 * i));
}

template <typename Entry, typename Write>
void append_array(Bytes &out, const std::vector<Entry> &entries, Write write) {
  if (entries.empty())
    return;
  const size_t start = out.size();
  std::vector<uint64_t> ends;
  ends.reserve(entries.size());
  for (const Entry &entry : entries) {
    const size_t element = out.size();
    append(out, entry.name);
    const uint64_t name_end = out.size() - element;
    write(element, name_end, entry);
    ends.push_back(out.size() - start);
  }
  append_offsets(out, start, ends);
}

} // namespace

DirTree parse_dirtree(View bytes) {
  const auto [files, dirs] = split_tuple<1>(bytes);
  DirTree tree;
  each_element(files, [&tree](View element) {
    const auto [name, checksum] = split_tuple<1>(element);
    tree.files.push_back({name_of(name), checksum_of(checksum)});
  });
  each_element(dirs, [&tree](View element) {
    const auto [name, subtree, meta] = split_tuple<2>(element);
    tree.dirs.push_back({name_of(name), checksum_of(subtree), checksum_of(meta)});
  });
  check_order(tree.files);
  check_order(tree.dirs);
  check_disjoint(tree);
  return tree;
}

DirMeta parse_dirmeta(View bytes) {
  DirMeta meta = parse_owned(bytes);
  if (!S_ISDIR(meta.mode))
    throw Malformed("its mode is not that of a directory");
  return meta;
}

FileMeta parse_filemeta(View bytes) {
  return parse_owned(bytes);
}

Root parse_commit(View bytes) {
  // Offsets of the six members that have a size of their own and are not the last; the timestamp has none.
  constexpr size_t kOffsets = 6;
  const size_t width = offset_size(bytes.size);
  if (bytes.size < kOffsets * width)
    malformed();
  const size_t end = bytes.size - kOffsets * width;
  const uint64_t tree_end = read_offset(bytes, end, width);
  const uint64_t body_end = read_offset(bytes, end + width, width);
  if (tree_end > end || body_end > end)
    malformed();
  const uint64_t tree_start = (body_end + 7) / 8 * 8 + 8;
  if (tree_start > tree_end)
    malformed();
  return {checksum_of(bytes.part(tree_start, tree_end)), checksum_of(bytes.part(tree_end, end))};
}

Bytes serialize_dirtree(const DirTree &tree) {
  Bytes out;
  append_array(out, tree.files, [&out](size_t element, uint64_t name_end, const FileEntry &file) {
    append(out, file.checksum);
    append_offsets(out, element, {name_end});
  });
  const uint64_t files_end = out.size();
  append_array(out, tree.dirs, [&out](size_t element, uint64_t name_end, const DirEntry &dir) {
    append(out, dir.tree);
    append(out, dir.meta);
    append_offsets(out, element, {name_end + 32, name_end});
  });
  append_offsets(out, 0, {files_end});
  return out;
}

std::optional<std::string> refused_xattr(std::string_view name) {
  // They would tell the overlay that a container's root is to hide or redirect what is below.
  if (name.starts_with("trusted.overlay.") || name.starts_with("user.overlay."))
    return "the extended attribute " + quoted(name) + " is overlayfs's own";
  if (name == "user.ostreemeta")
    return "the extended attribute " + quoted(name) + " is OSTree's own";
  return std::nullopt;
}

} // namespace trees::store
