#include "suffix_array.h"

#include <algorithm>

#include "match_index.h"

namespace trees::delta {

namespace {

constexpr size_t PAIRS = 1 << 16;

size_t pair_at(const uint8_t *bytes) {
  return static_cast<size_t>(bytes[0]) << 8 | bytes[1];
}

} // namespace

SuffixArray::SuffixArray(View source) : source_(source), order_(source.size), buckets_(PAIRS + 1) {
  if (source.size > INT32_MAX)
    throw Failure("INTERNAL", "a source is too large for a suffix array");
  if (source.size > 0 && divsufsort(source.data, order_.data(), static_cast<saidx_t>(source.size)) != 0)
    throw std::bad_alloc();
  std::vector<saidx_t> counts(PAIRS, 0);
  for (size_t i = 0; i + 1 < source.size; i++)
    counts[pair_at(source.data + i)]++;
  saidx_t before = 0;
  for (size_t pair = 0; pair < PAIRS; pair++) {
    // The suffix that is one byte long sorts before all others that begin with it.
    if (source.size > 0 && pair == static_cast<size_t>(source.data[source.size - 1]) << 8)
      before++;
    buckets_[pair] = before;
    before += counts[pair];
  }
  buckets_[PAIRS] = before;
}

SuffixArray::Match SuffixArray::longest(View text) const {
  if (text.size < 2 || source_.size == 0)
    return {0, 0};
  size_t pair = pair_at(text.data);
  auto low = static_cast<size_t>(buckets_[pair]), high = static_cast<size_t>(buckets_[pair + 1]);
  Match best{0, 0};
  // Both ends share at least this much with the text, and so does everything between them.
  size_t low_shared = 0, high_shared = 0;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    auto position = static_cast<size_t>(order_[middle]);
    size_t known = std::min({low_shared, high_shared, text.size, source_.size - position});
    View suffix(source_.data + position + known, source_.size - position - known);
    size_t length = known + common_prefix(View(text.data + known, text.size - known), suffix);
    if (length > best.length)
      best = {position, length};
    if (length == text.size)
      return best;
    bool suffix_first =
        position + length == source_.size || source_.data[position + length] < text.data[length];
    if (suffix_first) {
      low = middle + 1;
      low_shared = length;
    } else {
      high = middle;
      high_shared = length;
    }
  }
  return best;
}

} // namespace trees::delta
