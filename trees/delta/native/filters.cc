#include "filters.h"

namespace trees::delta {

namespace {

// A call or jump: its code and four bytes of distance.
constexpr size_t INSTRUCTION = 5;

bool is_branch(uint8_t byte) {
  return (byte & 0xfe) == 0xe8;
}

// The first place from `at` on that is_branch, or one that is not before `end`.
size_t next_branch(const uint8_t *bytes, size_t at, size_t end) {
  constexpr uint64_t ONES = 0x0101010101010101;
  for (; at + 8 <= end; at += 8) {
    uint64_t word;
    std::memcpy(&word, bytes + at, 8);
    word = (GUINT64_FROM_LE(word) & (ONES * 0xfe)) ^ (ONES * 0xe8);
    // The lowest byte that is zero has its highest bit set here; higher ones may be wrong.
    uint64_t zeros = (word - ONES) & ~word & (ONES * 0x80);
    if (zeros != 0)
      return at + static_cast<size_t>(__builtin_ctzll(zeros)) / 8;
  }
  while (at < end && !is_branch(bytes[at]))
    at++;
  return at;
}

// Only distances below 16 MB, to either side, are filtered: this is their highest byte.
bool is_sign(uint8_t byte) {
  return byte == 0 || byte == 0xff;
}

// What looked like an instruction and was left alone, of the last bytes: an instruction that begins within
// its distance may be none. Bit n stands for the place n bytes back.
class Doubts {
public:
  // Of the place `at`. Places come in ascending order.
  void move(size_t at) {
    size_t distance = at - last_;
    last_ = at;
    seen_ = distance > NEAR ? 0 : (seen_ << distance) & MASK;
    plausible_ = distance > NEAR ? 0 : (plausible_ << distance) & MASK;
  }
  void add(bool plausible) {
    seen_ |= 1;
    plausible_ |= plausible ? 1 : 0;
  }
  void clear() { seen_ = plausible_ = 0; }
  // At most one, and that one no plausible one.
  bool small() const { return (seen_ & (seen_ - 1)) == 0 && plausible_ == 0; }
  // How far back the only one is; 0: there is none.
  unsigned distance() const { return seen_ == 0 ? 0 : static_cast<unsigned>(__builtin_ctz(seen_)); }

private:
  static constexpr size_t NEAR = 3;
  static constexpr unsigned MASK = 0xe;
  size_t last_ = 0;
  unsigned seen_ = 0;
  unsigned plausible_ = 0;
};

// The algorithm is what the x86 filter of the .xz format does, which is 7-Zip's BCJ.
template <bool ENCODE> void convert(uint8_t *bytes, size_t size) {
  if (size < INSTRUCTION)
    return;
  size_t end = size - INSTRUCTION + 1;
  Doubts doubts;
  for (size_t at = 0; (at = next_branch(bytes, at, end)) < end;) {
    doubts.move(at);
    uint8_t *field = bytes + at + 1;
    bool plausible = is_sign(field[3]);
    if (!plausible || !doubts.small()) {
      doubts.add(plausible);
      at++;
      continue;
    }
    at += INSTRUCTION;
    uint32_t value, result;
    std::memcpy(&value, field, sizeof value);
    value = GUINT32_FROM_LE(value);
    for (;;) {
      auto place = static_cast<uint32_t>(at);
      result = ENCODE ? value + place : value - place;
      unsigned back = doubts.distance();
      if (back == 0)
        break;
      // The byte that decided about the doubtful place must not become one that decides otherwise.
      unsigned kept = 32 - back * 8;
      if (!is_sign(static_cast<uint8_t>(result >> (kept - 8))))
        break;
      value = result ^ ((uint32_t{1} << kept) - 1);
    }
    result = (result & 0xffffff) | ((result >> 24 & 1) != 0 ? 0xff000000 : 0);
    result = GUINT32_TO_LE(result);
    std::memcpy(field, &result, sizeof result);
    doubts.clear();
  }
}

} // namespace

void x86_filter(uint8_t *bytes, size_t size) {
  convert<true>(bytes, size);
}

void x86_unfilter(uint8_t *bytes, size_t size) {
  convert<false>(bytes, size);
}

void delta_filter(uint8_t *bytes, size_t size, size_t distance) {
  for (size_t i = size; i > distance; i--)
    bytes[i - 1] = static_cast<uint8_t>(bytes[i - 1] - bytes[i - 1 - distance]);
}

void delta_unfilter(uint8_t *bytes, size_t size, size_t distance) {
  for (size_t i = distance; i < size; i++)
    bytes[i] = static_cast<uint8_t>(bytes[i] + bytes[i - distance]);
}

} // namespace trees::delta
