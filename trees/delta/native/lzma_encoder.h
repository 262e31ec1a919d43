// LZMA2 of data that is mostly zeros, as patches are: several times faster than liblzma at its best, and no
// larger.
#pragma once

#include "codec.h"
#include "lzma_parse.h"

namespace trees::delta {

struct LzmaOptions {
  unsigned literal_context;
  unsigned literal_position;
  unsigned position;
  LzmaEffort effort;
};

// The chunks of LZMA2 and their end; the dictionary has to span the text, which has at least one byte.
Bytes lzma2_chunks(View text, const LzmaOptions &options, const Job &job, const Consumed &consumed = {});

} // namespace trees::delta
