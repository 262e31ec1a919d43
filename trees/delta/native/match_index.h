// Long matches of arbitrary bytes within a source, by a hash table of its stretches.
#pragma once

#include "blob.h"
#include "crew.h"
#include "support.h"

namespace trees::delta {

class MatchIndex {
public:
  // Bytes that a match has at least.
  static constexpr size_t KEY = 8;

  // Takes at most `memory` bytes, whatever the source's size: of a large source only every second, fourth…
  // position is in the index. What is in it does not depend on the number of threads.
  MatchIndex(View source, uint64_t memory, Crew &crew);
  MatchIndex(const MatchIndex &) = delete;
  MatchIndex &operator=(const MatchIndex &) = delete;
  static uint64_t memory_for(uint64_t source_size, uint64_t limit);

  struct Match {
    size_t position;
    size_t length;
  };
  // The longest match with the start of `text` of those the index knows, or one of length 0.
  Match longest(View text) const;

private:
  static constexpr unsigned WAYS = 8;
  static constexpr unsigned TAG_BITS = 6;

  static uint64_t hash(const uint8_t *text) {
    uint64_t value;
    std::memcpy(&value, text, KEY);
    return GUINT64_FROM_LE(value) * 0x9e3779b97f4a7c15ULL;
  }
  size_t bucket(uint64_t hash) const { return hash >> shift_; }
  uint32_t tag(uint64_t hash) const {
    return static_cast<uint32_t>(hash >> (shift_ - TAG_BITS)) & ((1U << TAG_BITS) - 1);
  }
  void fill(uint64_t first_bucket, uint64_t end_bucket);

  View source_;
  unsigned shift_ = 0;
  size_t step_ = 1;
  Buffer table_;
  uint32_t *entries_ = nullptr; // in it
};

} // namespace trees::delta
