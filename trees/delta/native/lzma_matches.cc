#include "lzma_matches.h"

#include <algorithm>
#include <bit>

#include "byte_scan.h"

namespace trees::delta {

namespace {

constexpr size_t PAIRS = 1 << 16;
constexpr unsigned MIN_ROOT_BITS = 8, MAX_ROOT_BITS = 17;
constexpr size_t ROOT_KEY = 3;
// What is found of a place at most.
constexpr size_t MAX_FOUND = 48;

// More zeros than these make no difference.
constexpr size_t MAX_ZEROS = 64;

size_t pair_at(const uint8_t *text) {
  return static_cast<size_t>(text[0]) << 8 | text[1];
}

size_t root_hash(const uint8_t *text, unsigned bits) {
  uint32_t value = static_cast<uint32_t>(text[0]) | static_cast<uint32_t>(text[1]) << 8 |
                   static_cast<uint32_t>(text[2]) << 16;
  return value * 0x9e3779b1U >> (32 - bits);
}

} // namespace

LzmaMatches::LzmaMatches(View text, const LzmaEffort &effort) : text_(text), effort_(effort), pairs_(PAIRS) {
  size_t count = count_nonzero(text);
  places_.reserve(count);
  first_son_.reserve(count);
  size_t sons = 0;
  for (size_t i = 0;; i++) {
    size_t begin = i;
    i = skip_zeros(text, i);
    if (i == text.size)
      break;
    places_.push_back(static_cast<uint32_t>(i));
    first_son_.push_back(static_cast<uint32_t>(sons));
    sons += 2 * trees_of(i - begin);
  }
  sons_.resize(sons);
  root_bits_ = std::clamp(static_cast<unsigned>(std::bit_width(count)), MIN_ROOT_BITS, MAX_ROOT_BITS);
  roots_.resize(trees_of(MAX_ZEROS) << root_bits_);
}

std::span<const LzmaMatch> LzmaMatches::at(size_t place) {
  while (next_ < places_.size() && places_[next_] <= place) {
    next_++;
    find();
    auto begin = static_cast<uint32_t>(matches_.size());
    matches_.insert(matches_.end(), found_.begin(), found_.end());
    known_.push_back({places_[next_ - 1], begin, static_cast<uint32_t>(matches_.size())});
  }
  while (known_[asked_].place < place)
    asked_++;
  const Known &known = known_[asked_];
  return {matches_.data() + known.begin, matches_.data() + known.end};
}

void LzmaMatches::forget(size_t before) {
  asked_ = 0;
  size_t gone = 0;
  while (gone < known_.size() && known_[gone].place < before)
    gone++;
  if (gone == 0)
    return;
  uint32_t matches = known_[gone - 1].end;
  known_.erase(known_.begin(), known_.begin() + static_cast<ptrdiff_t>(gone));
  matches_.erase(matches_.begin(), matches_.begin() + matches);
  for (Known &known : known_) {
    known.begin -= matches;
    known.end -= matches;
  }
}

// In how many trees a place is that comes after so many zeros.
size_t LzmaMatches::trees_of(size_t zeros) const {
  auto bits = static_cast<unsigned>(63 - __builtin_clzll(std::min(zeros, MAX_ZEROS) | 1));
  return 1 + bits / effort_.spread;
}

// Place numbers count from one: zero is none.
uint32_t LzmaMatches::zeros_before(size_t number) const {
  return number == 1 ? places_[0] : places_[number - 1] - places_[number - 2] - 1;
}

void LzmaMatches::find() {
  found_.clear();
  size_t place = places_[next_ - 1];
  if (text_.size - place < ROOT_KEY)
    return;
  uint32_t &pair = pairs_[pair_at(text_.data + place)];
  if (pair != 0) {
    size_t limit = std::min<size_t>(LZMA_MAX_MATCH, text_.size - place);
    consider(pair, static_cast<uint32_t>(common_prefix(View(text_.data + place, limit),
                                                       View(text_.data + places_[pair - 1], limit))));
  }
  pair = static_cast<uint32_t>(next_);
  for (size_t tree = trees_of(zeros_before(next_)); tree-- > 0;)
    search(tree);
  std::sort(found_.begin(), found_.end(),
            [](const LzmaMatch &a, const LzmaMatch &b) { return a.distance < b.distance; });
}

// Finds matches in one of the trees and puts the place at its root.
void LzmaMatches::search(size_t tree) {
  size_t number = next_, place = places_[number - 1];
  auto limit = static_cast<uint32_t>(std::min<size_t>(LZMA_MAX_MATCH, text_.size - place));
  const uint8_t *text = text_.data + place;
  auto sons_of = [&](size_t node) { return &sons_[first_son_[node - 1] + 2 * tree]; };
  uint32_t *smaller = sons_of(number), *larger = smaller + 1;
  uint32_t &root = roots_[tree << root_bits_ | root_hash(text, root_bits_)];
  uint32_t node = root;
  root = static_cast<uint32_t>(number);
  uint32_t smaller_length = 0, larger_length = 0;
  for (unsigned depth = effort_.depth; node != 0 && depth > 0; depth--) {
    const uint8_t *other = text_.data + places_[node - 1];
    uint32_t length = std::min(smaller_length, larger_length);
    length += static_cast<uint32_t>(
        common_prefix(View(text + length, limit - length), View(other + length, limit - length)));
    consider(node, length);
    uint32_t *sons = sons_of(node);
    if (length == limit) {
      *smaller = sons[0];
      *larger = sons[1];
      return;
    }
    if (other[length] < text[length]) {
      *smaller = node;
      smaller = &sons[1];
      node = *smaller;
      smaller_length = length;
    } else {
      *larger = node;
      larger = &sons[0];
      node = *larger;
      larger_length = length;
    }
  }
  *smaller = *larger = 0;
}

void LzmaMatches::consider(size_t number, uint32_t length) {
  if (length < LZMA_MIN_MATCH || found_.size() == MAX_FOUND)
    return;
  uint32_t before = std::min(zeros_before(next_), zeros_before(number));
  auto distance = places_[next_ - 1] - places_[number - 1] - 1;
  for (const LzmaMatch &match : found_)
    if (match.length >= length && match.before >= before && match.distance <= distance)
      return;
  found_.push_back({distance, static_cast<uint16_t>(length), before});
}

} // namespace trees::delta
