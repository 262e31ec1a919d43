// What a decompressed delta part consists of: (a(uuu) modes, aa(ayay) xattrs, ay payload, ay operations). All
// of it may be hostile.
#pragma once

#include "support.h"

namespace trees::delta {

constexpr size_t MODE_SIZE = 12; // (uuu)

struct PartTables {
  View modes;
  VariantPtr xattrs;
  View payload;
  View operations;
};

// Views into `part`. Throws where the framing is damaged.
PartTables split_part(View part);

// Reads the operations, one byte or variable-length number after the other.
class Cursor {
public:
  explicit Cursor(View bytes) : at_(bytes.data), end_(bytes.end()) {}
  bool empty() const { return at_ == end_; }
  uint8_t byte() {
    if (empty())
      corrupt("the operations of a part end in the middle of one");
    return *at_++;
  }
  uint64_t number() {
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      uint8_t next = byte();
      value |= static_cast<uint64_t>(next & 0x7f) << shift;
      if ((next & 0x80) == 0)
        return value;
    }
    corrupt("a number in the operations of a part is too long");
  }

private:
  const uint8_t *at_;
  const uint8_t *end_;
};

} // namespace trees::delta
