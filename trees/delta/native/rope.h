// Bytes in three pieces, so that a large body need not be copied to get something before it.
#pragma once

#include <algorithm>

#include "blob.h"

namespace trees::delta {

struct Rope {
  Bytes head;
  Blob body;
  Bytes tail;

  uint64_t size() const { return head.size() + body.size() + tail.size(); }

  // Calls `use(View)` for the pieces of [offset, offset + size).
  template <typename Use> void slice(uint64_t offset, uint64_t size, Use use) const {
    for (View piece : {View(head), body.view(), View(tail)}) {
      if (offset >= piece.size) {
        offset -= piece.size;
        continue;
      }
      uint64_t count = std::min<uint64_t>(size, piece.size - offset);
      if (count > 0)
        use(View(piece.data + offset, count));
      size -= count;
      offset = 0;
    }
  }
  template <typename Use> void each(Use use) const { slice(0, size(), use); }
};

} // namespace trees::delta
