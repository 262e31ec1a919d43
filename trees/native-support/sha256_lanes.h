// SHA-256 of many messages at once, one in each lane of the vector registers. Where the CPU has no
// instructions for SHA-256 that is several times faster than one message after the other, which no library of
// Debian's offers for messages of any length.
#pragma once

#include <span>

#include "bytes.h"
#include "checksum.h"

namespace trees {

// A message: `head` and then the pieces of `body`.
struct HashedMessage {
  View head;
  std::span<const View> body;
  Checksum checksum; // the result
};

// Of the widest vectors.
constexpr size_t MAX_LANES = 16;

enum class Lanes { One, Avx2, Avx512 };

// What is fastest on this CPU. `One`: nothing is gained by collecting messages.
Lanes best_lanes();
// Whether this CPU can do that.
bool can_use(Lanes lanes);

// Fills in the checksums.
void sha256_many(std::span<HashedMessage> messages, Lanes lanes = best_lanes());

} // namespace trees
