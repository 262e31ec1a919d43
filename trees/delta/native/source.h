// The static delta inside a bundle (zstd seekable) or a plain inline delta: which frames it lies in, and
// random access to it for reading the superblock. The parts are read by the pipeline.
#pragma once

#include <optional>

#include "blob.h"
#include "seekable.h"

namespace trees::delta {

struct StoredRange {
  uint64_t offset;
  uint64_t size;
};

// Code of the failure when only the tail of a bundle is known and more of it is needed; `bytes` in the
// details says how many bytes at the end.
constexpr const char *TAIL_SHORT = "TAIL_SHORT";

// Frames and parts up to this are decompressed in memory at once, larger ones through a file.
constexpr size_t MEMORY_LIMIT = 40 << 20;

class Source {
public:
  // A file that is there as a whole. `temporary` is where large decompressed stretches may be spilled. With
  // `remember` the bytes that are read are kept, for `same_as_read`.
  Source(const std::string &path, std::string temporary, bool remember, const Job &job);
  // A file of which only the last bytes are known.
  Source(uint64_t file_size, Bytes tail, std::string temporary, const Job &job);

  uint64_t file_size() const { return file_size_; }
  // Bytes of the static delta.
  uint64_t size() const { return size_; }
  // Empty for plain deltas.
  const std::vector<Frame> &frames() const { return frames_; }
  // First frame that holds `position` of the static delta.
  size_t frame_at(uint64_t position) const;
  // Where in the file [start, end) of the static delta is stored: whole frames of a bundle.
  StoredRange stored(uint64_t start, uint64_t end) const;
  // Descriptor of the file; -1 if only its tail is known.
  int fd() const { return fd_.get(); }
  const std::string &path() const { return path_; }
  const std::string &temporary() const { return temporary_; }

  // A stretch of the static delta.
  struct Stretch {
    std::shared_ptr<Blob> blob;
    size_t offset = 0;
    size_t size = 0;
    View view() const { return {blob->data() + offset, size}; }
  };
  Stretch read(uint64_t offset, uint64_t size, const Job &job) const;

  // Whether `bytes` at `offset` of the file are what was read there before, as far as something was.
  bool same_as_read(uint64_t offset, View bytes) const;

private:
  void load_frames(const Job &job);
  void fetch(uint64_t offset, void *target, size_t size) const;
  Blob decode_at_once(const Frame &frame) const;
  void decode(const Frame &frame, SpillBuffer &out, const Job &job) const;

  std::string path_;
  std::string temporary_;
  Fd fd_;
  bool remember_ = false;
  uint64_t file_size_ = 0;
  uint64_t size_ = 0;
  std::vector<Frame> frames_;
  // The last frame, which holds the superblock's tail and is read again and again.
  std::shared_ptr<Blob> last_;
  mutable std::map<uint64_t, Bytes> read_;
  mutable uint64_t remembered_ = 0;
};

// Throws BUNDLE_CORRUPT unless so many compressed bytes can give that many.
void check_frame(const Frame &frame);
// Decompresses a whole frame into `target`, which takes `frame.raw_size` bytes.
void decode_frame(View compressed, const Frame &frame, uint8_t *target);

// Decompresses a frame that comes piece by piece.
class FrameDecoder {
public:
  FrameDecoder();
  FrameDecoder(const FrameDecoder &) = delete;
  FrameDecoder &operator=(const FrameDecoder &) = delete;
  ~FrameDecoder();
  void begin(const Frame &frame);
  void add(View compressed, SpillBuffer &out);
  // The same for a frame that goes to `target`, which takes `frame.raw_size` bytes and is the same in every
  // call: takes no memory for a window of its own.
  void begin(const Frame &frame, uint8_t *target);
  void add(View compressed);
  void end() const;

private:
  void *context_;
  Frame frame_{};
  Bytes output_;
  uint8_t *target_ = nullptr;
  uint64_t produced_ = 0;
  size_t left_ = 1;
};

} // namespace trees::delta
