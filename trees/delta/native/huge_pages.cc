#include "huge_pages.h"

#include <sys/mman.h>

#include <cstdlib>

namespace trees::delta {

namespace {

constexpr size_t HUGE_PAGE = 2 << 20;
// What is smaller would waste too much of its last page.
constexpr size_t MIN_SIZE = 4 * HUGE_PAGE;

void *allocate(void *, size_t size) {
  if (size < MIN_SIZE)
    return std::malloc(size);
  if (size > SIZE_MAX - HUGE_PAGE)
    return nullptr;
  size_t rounded = (size + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
  void *memory = std::aligned_alloc(HUGE_PAGE, rounded);
  // A kernel without them refuses, and nothing is lost.
  if (memory != nullptr)
    ::madvise(memory, rounded, MADV_HUGEPAGE);
  return memory;
}

void *allocate_many(void *, size_t count, size_t size) {
  size_t total;
  return __builtin_mul_overflow(count, size, &total) ? nullptr : allocate(nullptr, total);
}

void release(void *, void *memory) {
  std::free(memory);
}

} // namespace

const lzma_allocator *huge_pages_for_lzma() {
  static const lzma_allocator allocator{allocate_many, release, nullptr};
  return &allocator;
}

ZSTD_customMem huge_pages_for_zstd() {
  return {allocate, release, nullptr};
}

} // namespace trees::delta
