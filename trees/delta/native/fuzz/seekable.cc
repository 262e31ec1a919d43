// Parses seek tables. What is accepted must tile the file, and writing it again must give the same bytes.
#include <cstdlib>

#include "../framing.h"
#include "../seekable.h"

using namespace trees;
using namespace trees::delta;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  // The first four bytes are how much of the file lies before the table.
  if (size < 4 + SEEK_FOOTER_SIZE)
    return 0;
  uint64_t before = read_offset(data, 4);
  // Its own copy, so that reading beyond the end is found.
  Bytes table(data + 4, data + size);
  View footer(table.data() + table.size() - SEEK_FOOTER_SIZE, SEEK_FOOTER_SIZE);
  if (seek_table_size(footer) != table.size())
    return 0;
  std::vector<Frame> frames;
  try {
    frames = parse_seek_table(View(table), before + table.size());
  } catch (const Failure &) {
    return 0;
  }
  uint64_t offset = 0, raw_offset = 0;
  for (const Frame &frame : frames) {
    if (frame.offset != offset || frame.raw_offset != raw_offset)
      abort();
    offset += frame.size;
    raw_offset += frame.raw_size;
  }
  if (offset != before)
    abort();
  bool checksums = (footer.data[4] & 0x80) != 0;
  if (!checksums && (footer.data[4] & 3) == 0 && seek_table(frames) != table)
    abort();
  return 0;
}
