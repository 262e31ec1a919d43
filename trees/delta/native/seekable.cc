#include "seekable.h"

#include "framing.h"

namespace trees::delta {

namespace {
constexpr uint32_t SKIPPABLE_MAGIC = 0x184D2A5E;
constexpr uint32_t SEEKABLE_MAGIC = 0x8F92EAB1;
constexpr size_t SKIPPABLE_HEADER = 8;
constexpr uint8_t CHECKSUM_FLAG = 0x80;
constexpr uint8_t RESERVED_BITS = 0x7c;
} // namespace

Bytes seek_table(const std::vector<Frame> &frames) {
  Bytes table;
  append_offset(table, SKIPPABLE_MAGIC, 4);
  append_offset(table, frames.size() * 8 + SEEK_FOOTER_SIZE, 4);
  for (const Frame &frame : frames) {
    if (frame.size > UINT32_MAX || frame.raw_size > UINT32_MAX)
      throw Failure("INTERNAL", "a frame is too large");
    append_offset(table, frame.size, 4);
    append_offset(table, frame.raw_size, 4);
  }
  append_offset(table, frames.size(), 4);
  table.push_back(0);
  append_offset(table, SEEKABLE_MAGIC, 4);
  return table;
}

uint64_t seek_table_size(View footer) {
  if (footer.size < SEEK_FOOTER_SIZE)
    return 0;
  const uint8_t *start = footer.end() - SEEK_FOOTER_SIZE;
  if (read_offset(start + 5, 4) != SEEKABLE_MAGIC)
    return 0;
  uint64_t entry = (start[4] & CHECKSUM_FLAG) != 0 ? 12 : 8;
  return SKIPPABLE_HEADER + read_offset(start, 4) * entry + SEEK_FOOTER_SIZE;
}

std::vector<Frame> parse_seek_table(View table, uint64_t file_size) {
  if (seek_table_size(table) != table.size || table.size > file_size)
    corrupt("the seek table is damaged");
  uint8_t descriptor = table.end()[-5];
  if ((descriptor & RESERVED_BITS) != 0)
    corrupt("the seek table is of an unknown kind");
  if (read_offset(table.data, 4) != SKIPPABLE_MAGIC ||
      read_offset(table.data + 4, 4) != table.size - SKIPPABLE_HEADER)
    corrupt("the seek table is damaged");
  size_t entry = (descriptor & CHECKSUM_FLAG) != 0 ? 12 : 8;
  std::vector<Frame> frames;
  uint64_t offset = 0, raw_offset = 0;
  const uint8_t *position = table.data + SKIPPABLE_HEADER;
  for (uint64_t count = read_offset(table.end() - SEEK_FOOTER_SIZE, 4); count > 0;
       count--, position += entry) {
    Frame frame{offset, read_offset(position, 4), raw_offset, read_offset(position + 4, 4)};
    frames.push_back(frame);
    offset += frame.size;
    raw_offset += frame.raw_size;
  }
  if (offset != file_size - table.size)
    corrupt("the seek table does not match the file's size");
  return frames;
}

} // namespace trees::delta
