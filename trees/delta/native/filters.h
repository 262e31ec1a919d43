// Reversible filters that make content compress better, as .xz has them; here for content that is stored in
// .xz blocks without being compressed.
#pragma once

#include "support.h"

namespace trees::delta {

// Makes the relative targets of x86 calls and jumps absolute, so that calls of the same function look alike;
// the bytes of a whole block at once.
void x86_filter(uint8_t *bytes, size_t size);
void x86_unfilter(uint8_t *bytes, size_t size);

// Replaces each byte by its difference to the one `distance` bytes before it.
void delta_filter(uint8_t *bytes, size_t size, size_t distance);
void delta_unfilter(uint8_t *bytes, size_t size, size_t distance);

} // namespace trees::delta
