// OSTree's metadata objects, read from and written to their serialized form (GVariant specification 0.8).
// Everything is checked: bytes that are not the one normal form of an honest object are refused.
#pragma once

#include <optional>

#include "support.h"

namespace trees::store {

struct FileEntry {
  std::string_view name;
  Checksum checksum;
};

struct DirEntry {
  std::string_view name;
  Checksum tree;
  Checksum meta;
};

// A directory's entries, each list sorted bytewise and no name twice in both together. The names point into
// the bytes that were parsed.
struct DirTree {
  std::vector<FileEntry> files;
  std::vector<DirEntry> dirs;
};

// `name` has no terminating NUL.
struct Xattr {
  std::string name;
  Bytes value;
};

struct DirMeta {
  uint32_t uid = 0;
  uint32_t gid = 0;
  uint32_t mode = 0;
  std::vector<Xattr> xattrs;
};

// Owner, mode and extended attributes of a file in a bare-user repository (its `user.ostreemeta`).
using FileMeta = DirMeta;

struct Root {
  Checksum tree;
  Checksum meta;
};

// Why bytes are not what they should be. The caller adds which object or path it is about.
class Malformed : public std::runtime_error {
public:
  explicit Malformed(const std::string &why, std::string entry_name = "")
      : std::runtime_error(why), name(std::move(entry_name)) {}

  // The entry it is about, if it is about one.
  std::string name;
};

// `(a(say)a(sayay))`. Throws Malformed.
DirTree parse_dirtree(View bytes);
// `(uuua(ayay))` with numbers in big endian. Throws Malformed.
DirMeta parse_dirmeta(View bytes);
FileMeta parse_filemeta(View bytes);
// The root of a commit, `(a{sv}aya(say)sstayay)`. Throws Malformed.
Root parse_commit(View bytes);

// Entries have to be sorted.
Bytes serialize_dirtree(const DirTree &tree);

// Why an attribute may not come with a tree; nothing if it may.
std::optional<std::string> refused_xattr(std::string_view name);

} // namespace trees::store
