#include "blob.h"

#include <sys/mman.h>

#include <utility>

namespace trees::delta {

namespace {
// How much a spilled buffer collects before each write.
constexpr size_t WRITE_SIZE = 1 << 20;
constexpr size_t PAGE = 4096;
} // namespace

Blob &Blob::operator=(Blob &&other) noexcept {
  if (this != &other) {
    unmap();
    bytes_ = std::move(other.bytes_);
    mapping_ = other.mapping_;
    mapped_ = other.mapped_;
    other.mapping_ = nullptr;
    other.mapped_ = 0;
  }
  return *this;
}

Blob Blob::map(int fd, uint64_t size) {
  Blob blob;
  if (size == 0)
    return blob;
  void *mapping = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd, 0);
  if (mapping == MAP_FAILED)
    throw_errno("cannot map a file of " + std::to_string(size) + " bytes");
  blob.mapping_ = mapping;
  blob.mapped_ = size;
  return blob;
}

void Blob::release_before(size_t offset) const {
  if (mapping_ != nullptr)
    ::madvise(mapping_, offset / PAGE * PAGE, MADV_DONTNEED);
}

void Blob::unmap() {
  if (mapping_ != nullptr)
    ::munmap(mapping_, mapped_);
  mapping_ = nullptr;
  mapped_ = 0;
}

Buffer &Buffer::operator=(Buffer &&other) noexcept {
  if (this != &other) {
    release();
    memory_ = std::exchange(other.memory_, nullptr);
    size_ = std::exchange(other.size_, 0);
    capacity_ = std::exchange(other.capacity_, 0);
  }
  return *this;
}

void Buffer::resize(size_t size) {
  if (size > capacity_) {
    release();
    // Not from the heap, where what was freed stays with the process.
    void *memory =
        ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED)
      throw std::bad_alloc();
    // All of it will be written to, and matches of a decompressor lie all over it. A kernel without huge
    // pages refuses, and nothing is lost.
    ::madvise(memory, size, MADV_HUGEPAGE);
    memory_ = memory;
    capacity_ = size;
  }
  size_ = size;
}

void Buffer::release() {
  if (memory_ != nullptr)
    ::munmap(memory_, capacity_);
  memory_ = nullptr;
  size_ = capacity_ = 0;
}

void SpillBuffer::append(const void *data, size_t size) {
  auto *bytes = static_cast<const uint8_t *>(data);
  if (!file_ && bytes_.size() + size > limit_) {
    file_ = open_temporary(directory_);
    flush();
  }
  if (file_ && size >= WRITE_SIZE) {
    flush();
    write_all(file_.get(), bytes, size);
    written_ += size;
    return;
  }
  bytes_.insert(bytes_.end(), bytes, bytes + size);
  if (file_ && bytes_.size() >= WRITE_SIZE)
    flush();
}

void SpillBuffer::flush() {
  write_all(file_.get(), bytes_.data(), bytes_.size());
  written_ += bytes_.size();
  bytes_.clear();
}

Blob SpillBuffer::finish() {
  if (!file_)
    return Blob(std::move(bytes_));
  flush();
  return Blob::map(file_.get(), written_);
}

} // namespace trees::delta
