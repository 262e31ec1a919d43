// Writes a bundle: the superblock's entries frame by frame, then its tail, then the seek table.
#pragma once

#include <optional>

#include "codec.h"
#include "part.h"
#include "repo.h"
#include "seekable.h"

namespace trees::delta {

// A part ready to be written: its entry in the superblock's metadata, compressed.
struct EncodedPart {
  std::vector<PartObject> objects;
  uint64_t unpacked = 0;  // bytes of the objects
  uint64_t part_size = 0; // bytes of the part as libostree sees it, compression byte included
  Checksum part_checksum;
  uint64_t entry_end = 0; // end of the entry, relative to the start of `raw`
  // Either compressed frames, or (for the part that goes into the tail) the entry's raw bytes.
  struct RawFrame {
    Bytes bytes;
    uint64_t raw_size;
  };
  std::vector<RawFrame> frames;
  Bytes raw;
};

struct BundleSpec {
  std::optional<Checksum> from;
  Checksum to;
  VariantPtr commit;
  VariantPtr detached; // may be null
  const char *encoding;
  int level;
};

struct BundleStats {
  uint64_t size = 0;
  // Bytes at the end of the file that hold the superblock's tail and the seek table.
  uint64_t tail = 0;
  uint64_t raw_size = 0;
  uint64_t writes = 0;
  uint64_t parts = 0;
  uint64_t objects = 0;
  Checksum sha256;
};

// How to compress a part's frames.
struct FrameOptions {
  int level;
  bool keep_raw; // compress nothing: the part goes into the tail
  // Where frames after the first one start, in the part and in ascending order.
  std::vector<uint64_t> cuts;
};

// Puts `part` (with the compression byte in front) into its metadata entry and compresses it.
EncodedPart encode_part(Rope part, const std::string &key, const FrameOptions &options, Crew &crew,
                        const Job &job, const Consumed &consumed);

class BundleWriter {
public:
  BundleWriter(int fd, const BundleSpec &spec) : fd_(fd), spec_(spec) {}
  // Parts in order; only the last one may be raw.
  void add(EncodedPart part);
  BundleStats finish(const Job &job);

private:
  void frame(const Bytes &bytes, uint64_t raw_size);
  Bytes tail();

  int fd_;
  const BundleSpec &spec_;
  Sha256 hash_;
  std::vector<Frame> frames_;
  uint64_t offset_ = 0;
  uint64_t raw_offset_ = 0;
  std::vector<uint64_t> entry_ends_;
  Bytes raw_part_;
  struct Header {
    Checksum checksum;
    uint64_t size;
    uint64_t unpacked;
    std::vector<PartObject> objects;
  };
  std::vector<Header> headers_;
  BundleStats stats_;
};

} // namespace trees::delta
