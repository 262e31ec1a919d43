// Reads .xz streams. Format: xz-file-format.txt of XZ Utils.
#include <lzma.h>

#include <algorithm>

#include "filters.h"
#include "framing.h"
#include "xz.h"

namespace trees::delta {

namespace {

// A decoder for the largest dictionary, and then some.
constexpr uint64_t MAX_XZ_MEMORY = 256 << 20;
// An index of the few blocks there are takes some hundred bytes.
constexpr uint64_t MAX_XZ_INDEX = 16 << 20;
// Content above this goes through an unlinked file.
constexpr size_t MEMORY_LIMIT = 40 << 20;
constexpr size_t OUTPUT_CHUNK = 1 << 20;
constexpr size_t BLOCK_ALIGNMENT = 4;

struct LzmaEnd {
  lzma_stream stream = LZMA_STREAM_INIT;
  ~LzmaEnd() { lzma_end(&stream); }
};

// The size that a stream's own index promises: known before anything is decompressed.
uint64_t xz_size(View stream) {
  lzma_stream_flags flags;
  if (stream.size < 2 * LZMA_STREAM_HEADER_SIZE ||
      lzma_stream_footer_decode(&flags, stream.end() - LZMA_STREAM_HEADER_SIZE) != LZMA_OK ||
      flags.backward_size > stream.size - 2 * LZMA_STREAM_HEADER_SIZE)
    corrupt("a part is not an xz stream");
  lzma_index *raw = nullptr;
  uint64_t memory = MAX_XZ_INDEX;
  size_t position = 0;
  const uint8_t *start = stream.end() - LZMA_STREAM_HEADER_SIZE - flags.backward_size;
  if (lzma_index_buffer_decode(&raw, &memory, nullptr, start, &position, flags.backward_size) != LZMA_OK)
    corrupt("the index of an xz part is damaged");
  uint64_t size = lzma_index_uncompressed_size(raw);
  lzma_index_end(raw, nullptr);
  return size;
}

// The header of a block, and what it says about filters.
class BlockHeader {
public:
  BlockHeader(View stream, size_t at) {
    block_.version = 1;
    block_.check = LZMA_CHECK_NONE;
    block_.filters = filters_;
    filters_[0].id = LZMA_VLI_UNKNOWN;
    if (at >= stream.size || stream.data[at] == 0)
      return;
    block_.header_size = lzma_block_header_size_decode(stream.data[at]);
    sound_ = block_.header_size <= stream.size - at &&
             lzma_block_header_decode(&block_, nullptr, stream.data + at) == LZMA_OK;
  }
  BlockHeader(const BlockHeader &) = delete;
  BlockHeader &operator=(const BlockHeader &) = delete;
  ~BlockHeader() {
    for (const lzma_filter *filter = filters_; sound_ && filter->id != LZMA_VLI_UNKNOWN; filter++)
      free(filter->options);
  }

  bool sound() const { return sound_; }
  size_t size() const { return block_.header_size; }

  // What to undo; none if that is not known here.
  std::optional<XzModel> model() const {
    if (filters_[0].id == LZMA_FILTER_LZMA2)
      return XzModel{};
    if (filters_[1].id != LZMA_FILTER_LZMA2)
      return std::nullopt;
    if (filters_[0].id == LZMA_FILTER_X86 && filters_[0].options == nullptr)
      return XzModel{.filter = XzFilter::X86};
    if (filters_[0].id == LZMA_FILTER_DELTA)
      return XzModel{.filter = XzFilter::Delta,
                     .distance = static_cast<uint16_t>(
                         static_cast<const lzma_options_delta *>(filters_[0].options)->dist)};
    return std::nullopt;
  }

private:
  lzma_block block_{};
  lzma_filter filters_[LZMA_FILTERS_MAX + 1]{};
  bool sound_ = false;
};

// Calls `use(View)` for what the chunks of a block hold. Returns where the block ends; 0 if it is not stored.
template <typename Use> size_t each_chunk(View stream, size_t at, Use use) {
  while (at < stream.size && stream.data[at] != END_OF_CHUNKS) {
    if (stream.data[at] > STORED_CHUNK || stream.size - at < CHUNK_HEADER)
      return 0;
    size_t size = (static_cast<size_t>(stream.data[at + 1]) << 8 | stream.data[at + 2]) + 1;
    at += CHUNK_HEADER;
    if (size > stream.size - at)
      return 0;
    use(View(stream.data + at, size));
    at += size;
  }
  if (at == stream.size)
    return 0;
  return at + 1;
}

// Bytes in the blocks; none if they are not stored, or not in a way that is known here.
std::optional<size_t> stored_size(View stream) {
  lzma_stream_flags flags;
  if (stream.size < 2 * LZMA_STREAM_HEADER_SIZE ||
      lzma_stream_header_decode(&flags, stream.data) != LZMA_OK || flags.check != LZMA_CHECK_NONE)
    return std::nullopt;
  size_t total = 0, at = LZMA_STREAM_HEADER_SIZE;
  while (at < stream.size && stream.data[at] != END_OF_BLOCKS) {
    BlockHeader header(stream, at);
    if (!header.sound() || !header.model())
      return std::nullopt;
    at = each_chunk(stream, at + header.size(), [&](View chunk) { total += chunk.size; });
    if (at == 0)
      return std::nullopt;
    at = align_up(at, BLOCK_ALIGNMENT);
  }
  if (at >= stream.size)
    return std::nullopt;
  return total;
}

} // namespace

std::optional<View> unpack_stored_xz(uint8_t *stream, size_t size) {
  View input(stream, size);
  std::optional<size_t> total = stored_size(input);
  if (!total || *total != xz_size(input))
    return std::nullopt;
  // What was read is overwritten: the output is never ahead of it.
  uint8_t *out = stream;
  for (size_t at = LZMA_STREAM_HEADER_SIZE; input.data[at] != END_OF_BLOCKS;) {
    BlockHeader header(input, at);
    XzModel model = *header.model();
    uint8_t *start = out;
    at = align_up(each_chunk(input, at + header.size(),
                             [&](View chunk) {
                               std::memmove(out, chunk.data, chunk.size);
                               out += chunk.size;
                             }),
                  BLOCK_ALIGNMENT);
    auto length = static_cast<size_t>(out - start);
    if (model.filter == XzFilter::X86)
      x86_unfilter(start, length);
    else if (model.filter == XzFilter::Delta)
      delta_unfilter(start, length, model.distance);
  }
  return View(stream, *total);
}

Blob decode_xz(View compressed, uint64_t limit, const std::string &temporary, const Job &job) {
  uint64_t size = xz_size(compressed);
  if (size > limit)
    corrupt("a part decompresses to " + std::to_string(size) + " bytes, more than its objects can need");
  LzmaEnd lzma;
  if (lzma_stream_decoder(&lzma.stream, MAX_XZ_MEMORY, 0) != LZMA_OK)
    throw Failure("INTERNAL", "cannot start the xz decoder");
  // All of it in memory, or a piece at a time through a file.
  bool in_memory = size <= MEMORY_LIMIT;
  Bytes whole(in_memory ? size : 0), chunk(in_memory ? 0 : OUTPUT_CHUNK);
  SpillBuffer spilled(temporary, 0);
  uint64_t produced = 0;
  lzma.stream.next_in = compressed.data;
  lzma.stream.avail_in = compressed.size;
  uint8_t end; // a valid address for an output of nothing
  for (lzma_ret result = LZMA_OK; result != LZMA_STREAM_END;) {
    job.check();
    uint64_t room = std::min<uint64_t>(OUTPUT_CHUNK, size - produced);
    uint8_t *target = room == 0 ? &end : in_memory ? whole.data() + produced : chunk.data();
    lzma.stream.next_out = target;
    lzma.stream.avail_out = room;
    result = lzma_code(&lzma.stream, LZMA_FINISH);
    if (result != LZMA_OK && result != LZMA_STREAM_END)
      corrupt("a part does not decompress: xz error " + std::to_string(result));
    size_t count = room - lzma.stream.avail_out;
    if (!in_memory && count > 0)
      spilled.append(target, count);
    produced += count;
  }
  if (lzma.stream.avail_in > 0 || produced != size)
    corrupt("an xz part is not as long as it says");
  return in_memory ? Blob(std::move(whole)) : spilled.finish();
}

} // namespace trees::delta
