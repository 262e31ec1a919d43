// Random access to the static delta inside a bundle (zstd seekable) or a plain inline delta.
#pragma once

#include <optional>

#include "blob.h"
#include "seekable.h"

namespace trees::delta {

struct StoredRange {
  uint64_t offset;
  uint64_t size;
};

class Source {
public:
  // `temporary` is where large decompressed stretches may be spilled. The file's SHA-256 is checked before
  // anything else is done with it.
  Source(const std::string &path, std::string temporary, const std::optional<Checksum> &sha256,
         const Job &job);

  uint64_t file_size() const { return file_size_; }
  // Bytes of the static delta.
  uint64_t size() const { return size_; }
  // Empty for plain deltas.
  const std::vector<Frame> &frames() const { return frames_; }
  // Where in the file [start, end) of the static delta is stored: whole frames of a bundle.
  StoredRange stored(uint64_t start, uint64_t end) const;

  // A stretch of the static delta. Safe to call from several threads.
  struct Stretch {
    std::shared_ptr<Blob> blob;
    size_t offset = 0;
    size_t size = 0;
    View view() const { return {blob->data() + offset, size}; }
  };
  Stretch read(uint64_t offset, uint64_t size, const Job &job) const;

private:
  void verify(const Checksum &sha256, const Job &job) const;
  void load_frames(const Job &job);
  Blob decode_at_once(const Frame &frame) const;
  void decode(const Frame &frame, SpillBuffer &out, const Job &job) const;

  std::string path_;
  std::string temporary_;
  Fd fd_;
  uint64_t file_size_ = 0;
  uint64_t size_ = 0;
  std::vector<Frame> frames_;
  // The last frame, which holds the superblock's tail and is read again and again.
  std::shared_ptr<Blob> tail_;
};

} // namespace trees::delta
