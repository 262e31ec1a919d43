// Takes programs apart: the pieces cover them from start to end, whatever their headers say, and the filters
// give back what they were given.
#include <cstdlib>

#include "../elf_sections.h"
#include "../filters.h"

using namespace trees;
using namespace trees::delta;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  // Its own copy, so that reading beyond the end is found.
  Bytes program(data, data + size);
  uint64_t at = 0;
  for (const ContentPiece &piece : content_pieces(View(program))) {
    if (piece.offset != at || piece.size == 0)
      abort();
    at += piece.size;
  }
  if (at != size)
    abort();
  x86_filter(program.data(), size);
  x86_unfilter(program.data(), size);
  size_t distance = size == 0 ? 1 : 1 + data[0];
  delta_filter(program.data(), size, distance);
  delta_unfilter(program.data(), size, distance);
  if (program != Bytes(data, data + size))
    abort();
  return 0;
}
