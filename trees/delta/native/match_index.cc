#include "match_index.h"

#include <algorithm>

#include "byte_scan.h"

namespace trees::delta {

namespace {

constexpr uint64_t MIN_ENTRIES = 1 << 10;
// A position is stored in what the tag leaves of 32 bits.
constexpr uint64_t MAX_ENTRIES = 1 << 25;
// The table is filled by so many independent slices, each of which looks at all of the source.
constexpr size_t SLICES = 2;

uint64_t entries_for(uint64_t source_size, uint64_t memory) {
  uint64_t limit = std::min(memory / sizeof(uint32_t), MAX_ENTRIES), entries = MIN_ENTRIES;
  while (entries < source_size && entries * 2 <= limit)
    entries *= 2;
  return entries;
}

} // namespace

uint64_t MatchIndex::memory_for(uint64_t source_size, uint64_t limit) {
  return entries_for(source_size, limit) * sizeof(uint32_t);
}

MatchIndex::MatchIndex(View source, uint64_t memory, Crew &crew) : source_(source) {
  uint64_t entries = entries_for(source.size, memory);
  while (source.size / step_ > entries)
    step_ *= 2;
  shift_ = 64 - static_cast<unsigned>(__builtin_ctzll(entries / WAYS));
  // In huge pages: lookups are random, and with small ones most would miss the TLB as well. A new buffer is
  // zero.
  table_.resize(entries * sizeof(uint32_t));
  entries_ = reinterpret_cast<uint32_t *>(table_.data());
  uint64_t buckets = entries / WAYS;
  size_t slices = table_.size() > (4 << 20) ? SLICES : 1;
  crew.each(slices, [&](size_t slice) { fill(buckets / slices * slice, buckets / slices * (slice + 1)); });
}

void MatchIndex::fill(uint64_t first_bucket, uint64_t end_bucket) {
  if (source_.size < KEY)
    return;
  uint64_t previous = 0;
  for (size_t at = 0, end = source_.size - KEY; at <= end; at += step_) {
    uint64_t value = hash(source_.data + at);
    size_t home = bucket(value);
    if (home < first_bucket || home >= end_bucket || value == previous)
      continue;
    previous = value;
    uint32_t *slot = &entries_[home * WAYS];
    // The latest first.
    for (unsigned way = WAYS - 1; way > 0; way--)
      slot[way] = slot[way - 1];
    slot[0] = tag(value) << (32 - TAG_BITS) | static_cast<uint32_t>(at / step_ + 1);
  }
}

MatchIndex::Match MatchIndex::longest(View text) const {
  Match best{0, 0};
  if (text.size < KEY)
    return best;
  uint64_t value = hash(text.data);
  const uint32_t *slot = &entries_[bucket(value) * WAYS];
  uint32_t wanted = tag(value) << (32 - TAG_BITS);
  for (unsigned way = 0; way < WAYS; way++) {
    uint32_t number = slot[way] ^ wanted;
    if (slot[way] == 0 || number > (UINT32_MAX >> TAG_BITS))
      continue;
    size_t position = (static_cast<size_t>(number) - 1) * step_;
    size_t length = common_prefix(text, View(source_.data + position, source_.size - position));
    if (length > best.length && length >= KEY)
      best = {position, length};
  }
  return best;
}

} // namespace trees::delta
