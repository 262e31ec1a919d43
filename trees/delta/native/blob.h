// Immutable bytes in memory or mapped from a file, and a buffer that moves to a file when it grows.
#pragma once

#include "support.h"

namespace trees::delta {

class Blob {
public:
  Blob() = default;
  explicit Blob(Bytes bytes) : bytes_(std::move(bytes)) {}
  Blob(const Blob &) = delete;
  Blob &operator=(const Blob &) = delete;
  Blob(Blob &&other) noexcept { *this = std::move(other); }
  Blob &operator=(Blob &&other) noexcept;
  ~Blob() { unmap(); }

  // Maps the whole file read-only. The file must not shrink meanwhile.
  static Blob map(int fd, uint64_t size);

  const uint8_t *data() const {
    return mapping_ != nullptr ? static_cast<const uint8_t *>(mapping_) : bytes_.data();
  }
  size_t size() const { return mapping_ != nullptr ? mapped_ : bytes_.size(); }
  View view() const { return {data(), size()}; }
  // Whether it lies in a file.
  bool mapped() const { return mapping_ != nullptr; }
  // Tells the kernel that the pages before `offset` will not be used again soon.
  void release_before(size_t offset) const;

private:
  void unmap();
  Bytes bytes_;
  void *mapping_ = nullptr;
  size_t mapped_ = 0;
};

// Memory for large pieces of data that are used again and again, not cleared between.
class Buffer {
public:
  Buffer() = default;
  Buffer(const Buffer &) = delete;
  Buffer &operator=(const Buffer &) = delete;
  Buffer(Buffer &&other) noexcept { *this = std::move(other); }
  Buffer &operator=(Buffer &&other) noexcept;
  ~Buffer() { release(); }

  // The content is undefined afterwards, but zero if there was no buffer before.
  void resize(size_t size);
  uint8_t *data() { return static_cast<uint8_t *>(memory_); }
  size_t size() const { return size_; }
  size_t capacity() const { return capacity_; }
  View view() const { return {static_cast<const uint8_t *>(memory_), size_}; }

private:
  void release();
  void *memory_ = nullptr;
  size_t size_ = 0;
  size_t capacity_ = 0;
};

// Append-only; above `limit` bytes the content lives in an unlinked file in `directory`.
class SpillBuffer {
public:
  SpillBuffer(std::string directory, size_t limit) : directory_(std::move(directory)), limit_(limit) {}

  void append(const void *data, size_t size);
  uint64_t size() const { return file_ ? written_ + bytes_.size() : bytes_.size(); }
  // The content; the buffer is empty afterwards.
  Blob finish();

private:
  void flush();
  std::string directory_;
  size_t limit_;
  Bytes bytes_;
  Fd file_;
  uint64_t written_ = 0;
};

} // namespace trees::delta
