// Which stretch of an old file each stretch of a new one is taken from, so that what is left costs least.
#pragma once

#include <optional>

#include "bsdiff.h"

namespace trees::delta {

// A stretch of the new file, and the offsets (of places in the old file from those in the new one) of what it
// lies between, where that is known.
struct Stretch {
  View old;
  View fresh;
  uint64_t start;
  uint64_t end;
  std::optional<int64_t> before;
  std::optional<int64_t> after;
};

// From `start` on, up to the next proposal, the new file resembles the old one at this offset.
struct Proposal {
  uint64_t start;
  int64_t offset;
};

// Decides which of the proposals, which are in order, are followed, and from where to where, so that the
// patch is small once it is compressed. Returns segments that cover the stretch. Takes time for each byte of
// it, and memory for each proposal and segment.
std::vector<Segment> align(const Stretch &stretch, const std::vector<Proposal> &proposals, const Job &job);

} // namespace trees::delta
