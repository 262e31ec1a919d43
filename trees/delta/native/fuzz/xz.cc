// Feeds streams to the decoder of parts that are stored as xz.
#include "../xz.h"

using namespace trees;
using namespace trees::delta;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static Job job;
  // Its own copy, so that reading beyond the end is found.
  Bytes stream(data, data + size);
  try {
    decode_xz(View(stream), 64 << 20, "/tmp", job);
  } catch (const Failure &) {
    // Refusing is right; anything else is a finding.
  }
  return 0;
}
