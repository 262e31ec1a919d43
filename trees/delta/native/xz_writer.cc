// Writes .xz streams whose blocks are compressed at the same time. liblzma can do that itself, but only with
// threads of its own. Format: xz-file-format.txt of XZ Utils.
#include <lzma.h>

#include <algorithm>

#include "codec.h"

namespace trees::delta {

namespace {

constexpr uint64_t MIN_DICTIONARY = 4096;
// What a decoder allocates for each block at a time; stock's parts take half of it.
constexpr uint64_t MAX_DICTIONARY = 64 << 20;
constexpr uint32_t LONGEST_MATCH = 273;
constexpr size_t INPUT_CHUNK = 1 << 20;
constexpr size_t OUTPUT_CHUNK = 1 << 20;

void check_lzma(lzma_ret result, const char *what) {
  if (result == LZMA_MEM_ERROR)
    throw std::bad_alloc();
  if (result != LZMA_OK && result != LZMA_STREAM_END)
    throw Failure("INTERNAL", std::string(what) + " failed with " + std::to_string(result));
}

struct LzmaEnd {
  lzma_stream stream = LZMA_STREAM_INIT;
  ~LzmaEnd() { lzma_end(&stream); }
};

struct IndexEnd {
  void operator()(lzma_index *index) const { lzma_index_end(index, nullptr); }
};

uint32_t preset_of(XzEffort effort) {
  return effort == XzEffort::Quick ? 1 : 9;
}

struct Block {
  Bytes bytes; // header, content, padding and check
  lzma_vli unpadded = 0;
  lzma_vli content = 0;
};

class BlockWriter {
public:
  BlockWriter(uint64_t size, const XzOptions &options) {
    if (lzma_lzma_preset(&lzma_, preset_of(options.effort)))
      throw Failure("INTERNAL", "liblzma lacks a preset");
    lzma_.dict_size = static_cast<uint32_t>(std::clamp(size, MIN_DICTIONARY, MAX_DICTIONARY));
    if (options.effort == XzEffort::Zeros) {
      lzma_.nice_len = LONGEST_MATCH;
      lzma_.lc = 4;
      lzma_.pb = 0;
    }
    size_t count = 0;
    if (options.x86)
      filters_[count++] = {LZMA_FILTER_X86, nullptr};
    filters_[count++] = {LZMA_FILTER_LZMA2, &lzma_};
    filters_[count] = {LZMA_VLI_UNKNOWN, nullptr};
  }

  Block run(const Rope &rope, uint64_t offset, uint64_t size, const Job &job, const Consumed &consumed) {
    lzma_block block{};
    block.version = 1;
    block.check = LZMA_CHECK_CRC64;
    block.compressed_size = LZMA_VLI_UNKNOWN;
    block.uncompressed_size = LZMA_VLI_UNKNOWN;
    block.filters = filters_;
    check_lzma(lzma_block_header_size(&block), "an xz block header");
    out_.bytes.resize(block.header_size);
    check_lzma(lzma_block_header_encode(&block, out_.bytes.data()), "an xz block header");
    LzmaEnd lzma;
    check_lzma(lzma_block_encoder(&lzma.stream, &block), "the xz encoder");
    rope.slice(offset, size, [&](View piece) {
      for (size_t at = 0; at < piece.size; at += INPUT_CHUNK) {
        job.check();
        View input(piece.data + at, std::min(INPUT_CHUNK, piece.size - at));
        step(lzma.stream, input, LZMA_RUN);
        if (consumed)
          consumed(input.size);
      }
    });
    step(lzma.stream, View(), LZMA_FINISH);
    out_.unpadded = lzma_block_unpadded_size(&block);
    out_.content = size;
    return std::move(out_);
  }

private:
  void step(lzma_stream &stream, View input, lzma_action action) {
    stream.next_in = input.data;
    stream.avail_in = input.size;
    lzma_ret result;
    do {
      size_t before = out_.bytes.size();
      out_.bytes.resize(before + OUTPUT_CHUNK);
      stream.next_out = out_.bytes.data() + before;
      stream.avail_out = OUTPUT_CHUNK;
      result = lzma_code(&stream, action);
      check_lzma(result, "the xz encoder");
      out_.bytes.resize(before + OUTPUT_CHUNK - stream.avail_out);
    } while (action == LZMA_FINISH ? result != LZMA_STREAM_END : stream.avail_in > 0);
  }

  lzma_options_lzma lzma_;
  lzma_filter filters_[3];
  Block out_;
};

} // namespace

Bytes xz_stream(const Rope &rope, const XzOptions &options, Crew &crew, const Job &job,
                const Consumed &consumed) {
  uint64_t size = rope.size(), count = std::max<uint64_t>(1, (size + options.block - 1) / options.block);
  uint64_t even = (size + count - 1) / count;
  std::vector<Block> blocks(count);
  crew.each(count, [&](size_t i) {
    uint64_t start = std::min(even * i, size), length = std::min(even, size - start);
    blocks[i] = BlockWriter(length, options).run(rope, start, length, job, consumed);
  });

  lzma_stream_flags flags{};
  flags.check = LZMA_CHECK_CRC64;
  Bytes out(LZMA_STREAM_HEADER_SIZE);
  check_lzma(lzma_stream_header_encode(&flags, out.data()), "an xz header");
  std::unique_ptr<lzma_index, IndexEnd> index(lzma_index_init(nullptr));
  if (index == nullptr)
    throw std::bad_alloc();
  for (Block &block : blocks) {
    check_lzma(lzma_index_append(index.get(), nullptr, block.unpadded, block.content), "an xz index");
    out.insert(out.end(), block.bytes.begin(), block.bytes.end());
    block.bytes = Bytes();
  }
  size_t end = out.size(), used = 0;
  flags.backward_size = lzma_index_size(index.get());
  out.resize(end + flags.backward_size + LZMA_STREAM_HEADER_SIZE);
  check_lzma(lzma_index_buffer_encode(index.get(), out.data() + end, &used, flags.backward_size),
             "an xz index");
  check_lzma(lzma_stream_footer_encode(&flags, out.data() + end + used), "an xz footer");
  return out;
}

} // namespace trees::delta
