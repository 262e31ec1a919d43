// Builds one delta part: tables of modes and xattrs, payload, operations.
// Format: libostree's OSTREE_STATIC_DELTA_PART_PAYLOAD_FORMAT_V0, `(a(uuu)aa(ayay)ayay)` after a compression
// byte.
#pragma once

#include "elf_sections.h"
#include "repo.h"
#include "rope.h"

namespace trees::delta {

enum class Op : uint8_t {
  OpenSpliceClose = 'S',
  Open = 'o',
  Write = 'w',
  SetReadSource = 'r',
  UnsetReadSource = 'R',
  Close = 'c',
  Bspatch = 'B',
};

constexpr uint8_t COMPRESSION_NONE = 0;
constexpr uint8_t COMPRESSION_XZ = 'x';

struct PartObject {
  OstreeObjectType type;
  Checksum checksum;
};

// A stretch of a new file: copied from the source object or taken from the payload.
struct CopyRange {
  bool from_source;
  uint64_t offset; // in the source, or in the new file
  uint64_t size;
};

// A stretch of the payload that holds content of one kind, up to `end`.
struct PayloadStretch {
  Content kind;
  uint64_t end;
};

// A piece of the payload.
struct Stored {
  uint64_t offset;
  uint64_t size;
};

class PartBuilder {
public:
  PartBuilder(std::string temporary_directory, size_t memory_limit)
      : payload_(std::move(temporary_directory), memory_limit) {}

  void metadata(OstreeObjectType type, const Checksum &checksum, View content);
  void symlink(const Checksum &checksum, const FileMeta &meta);
  void file(const Checksum &checksum, const FileMeta &meta, View content);
  // `patch` appends the patch stream to the payload, through the function it is given.
  template <typename Patch>
  void patched(const Checksum &checksum, const FileMeta &meta, const Checksum &source, Patch patch) {
    begin_patched(source);
    open(checksum, meta);
    uint64_t start = payload_.size();
    patch([this](const void *data, size_t size) { payload_.append(data, size); });
    end_patched(start);
  }
  void copied(const Checksum &checksum, const FileMeta &meta, const Checksum &source,
              const std::vector<CopyRange> &ranges, View content);

  // Puts something into the payload before the files that consist of it. What is of one kind comes together.
  Stored store(Content kind, View bytes);
  void assembled(const Checksum &checksum, const FileMeta &meta, const std::vector<Stored> &pieces);

  // What was put there by `store`, from the start of the payload.
  const std::vector<PayloadStretch> &stretches() const { return stretches_; }
  const std::vector<PartObject> &objects() const { return objects_; }
  uint64_t unpacked_size() const { return unpacked_; }
  // The serialised part without the compression byte; the builder is empty afterwards.
  Rope finish();

private:
  void object(OstreeObjectType type, const Checksum &checksum, uint64_t unpacked);
  void mode_and_xattrs(const FileMeta &meta);
  void open(const Checksum &checksum, const FileMeta &meta);
  void begin_patched(const Checksum &source);
  void end_patched(uint64_t start);
  void op(Op code) { ops_.push_back(static_cast<uint8_t>(code)); }
  void number(uint64_t value);

  std::vector<PartObject> objects_;
  uint64_t unpacked_ = 0;
  std::vector<std::array<uint32_t, 3>> modes_;
  std::map<std::array<uint32_t, 3>, uint64_t> mode_index_;
  std::vector<Bytes> xattrs_;
  std::map<std::string, uint64_t> xattr_index_;
  SpillBuffer payload_;
  std::vector<PayloadStretch> stretches_;
  Bytes ops_;
};

} // namespace trees::delta
