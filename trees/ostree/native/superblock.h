// The superblock of a static delta (formats: libostree's ostree-repo-static-delta-private.h).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "glib-ptr.h"
#include "values.h"

struct DeltaPart {
  guint32 version;
  std::string checksum;
  guint64 size;
  guint64 uncompressed_size;
  std::vector<ObjectName> objects;
};

struct DeltaFallback {
  ObjectName object;
  guint64 size;
};

struct Superblock {
  std::optional<std::string> from;
  std::string to;
  guint64 timestamp;
  Ref<GVariant> commit;
  // Null when the delta carries none.
  Ref<GVariant> detached;
  bool inline_parts;
  std::vector<DeltaPart> parts;
  std::vector<DeltaFallback> fallbacks;
};

// Reads the superblock at `path`: a file, or a directory that holds one. Throws GlibError (invalid-data) for
// anything that is not a whole superblock.
Superblock ReadSuperblock(const std::string &path);
