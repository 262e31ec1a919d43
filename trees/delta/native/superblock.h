// The static delta's superblock, read and validated before anything in it is used.
// Format: libostree's OSTREE_STATIC_DELTA_SUPERBLOCK_FORMAT.
#pragma once

#include <optional>

#include "part.h"
#include "source.h"

namespace trees::delta {

constexpr const char *ENDIANNESS_KEY = "ostree.endianness";
constexpr char HOST_ENDIANNESS = G_BYTE_ORDER == G_LITTLE_ENDIAN ? 'l' : 'B';
// Ours: the name of the encoding, for people.
constexpr const char *ENCODING_KEY = "trees.encoding";

// `deltas/…/TARGET`, the key of something in the superblock's metadata.
std::string delta_key(const std::optional<Checksum> &from, const Checksum &to, const std::string &target);

struct PartHeader {
  Checksum checksum;
  uint64_t size;     // of the part as stored, compression byte included
  uint64_t unpacked; // bytes of the objects it writes
  std::vector<PartObject> objects;
};

// An element of the superblock's metadata array.
struct EntrySpan {
  uint64_t start;
  uint64_t end;
};

struct Superblock {
  std::optional<Checksum> from;
  Checksum to;
  VariantPtr commit;
  Bytes commit_bytes;
  VariantPtr detached; // null if there is none
  std::string encoding;
  std::vector<PartHeader> parts;
  // Where the entry of each part lies.
  std::vector<EntrySpan> entries;
  uint64_t objects = 0;
  uint64_t writes = 0;
};

Superblock read_superblock(const Source &source, const Job &job);

struct Entry {
  std::string_view key;
  View value;
  std::string_view type;
};
// Takes a `{sv}` apart; throws BUNDLE_CORRUPT.
Entry parse_entry(View bytes);

} // namespace trees::delta
