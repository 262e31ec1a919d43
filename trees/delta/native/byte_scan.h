// Looks at bytes eight at a time.
#pragma once

#include <algorithm>

#include "support.h"

namespace trees::delta {

constexpr size_t WORD = 8;

inline uint64_t load_word(const uint8_t *bytes) {
  uint64_t word;
  std::memcpy(&word, bytes, WORD);
  return GUINT64_FROM_LE(word);
}

// Of a word that is not zero: how many of its first bytes are.
inline unsigned zeros_before(uint64_t word) {
  return static_cast<unsigned>(__builtin_ctzll(word)) / 8;
}

// Bytes that are not zero. Without the instruction for that, which not every processor has, counting bits is
// slow.
inline uint64_t count_nonzero(uint64_t word) {
  constexpr uint64_t LOW = 0x7f7f7f7f7f7f7f7f, ONES = 0x0101010101010101;
  uint64_t high_bits = (((word & LOW) + LOW) | word) & ~LOW;
  return (high_bits >> 7) * ONES >> 56;
}

inline uint64_t count_nonzero(View bytes) {
  uint64_t count = 0;
  size_t at = 0;
  for (; at + WORD <= bytes.size; at += WORD)
    count += count_nonzero(load_word(bytes.data + at));
  for (; at < bytes.size; at++)
    count += bytes.data[at] != 0 ? 1 : 0;
  return count;
}

// Where the first byte is that is not zero, from `at` on; the size if there is none.
inline size_t skip_zeros(View bytes, size_t at) {
  for (; at + WORD <= bytes.size; at += WORD)
    if (uint64_t word = load_word(bytes.data + at); word != 0)
      return at + zeros_before(word);
  while (at < bytes.size && bytes.data[at] == 0)
    at++;
  return at;
}

// How many bytes both begin with.
inline size_t common_prefix(View a, View b) {
  size_t limit = std::min(a.size, b.size), length = 0;
  for (; length + WORD <= limit; length += WORD)
    if (uint64_t wrong = load_word(a.data + length) ^ load_word(b.data + length); wrong != 0)
      return length + zeros_before(wrong);
  while (length < limit && a.data[length] == b.data[length])
    length++;
  return length;
}

} // namespace trees::delta
