// Writes .xz streams whose blocks are compressed at the same time. liblzma can do that itself, but only with
// threads of its own. Format: xz-file-format.txt of XZ Utils.
#include <lzma.h>

#include <algorithm>

#include "filters.h"
#include "framing.h"
#include "huge_pages.h"
#include "lzma_encoder.h"
#include "xz.h"

namespace trees::delta {

namespace {

constexpr uint64_t MIN_DICTIONARY = 4096;
// What a decoder allocates for each block at a time; stock's parts take half of it.
constexpr uint64_t MAX_DICTIONARY = 64 << 20;
constexpr LzmaEffort QUICK_PATCHES{6, 7, 1, 8, 400}, PATCHES{16, 2, 1, 192, 50},
    BEST_PATCHES{32, 1, 3, 273, 50};
// Of preset 1, three times as many earlier places looked at as it says: of patches that saves 3 % for no time
// to speak of.
constexpr uint32_t QUICK_DEPTH = 24;
constexpr size_t CHECK_SIZE = 8;
constexpr size_t INPUT_CHUNK = 1 << 20;
constexpr size_t OUTPUT_CHUNK = 1 << 20;
constexpr size_t BLOCK_ALIGNMENT = 4;

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

// The filters of a block, as liblzma wants them.
class Filters {
public:
  explicit Filters(const XzBlock &block) {
    if (lzma_lzma_preset(&lzma_, preset_of(block.effort)))
      throw Failure("INTERNAL", "liblzma lacks a preset");
    lzma_.dict_size = block.effort == XzEffort::Stored
                          ? MIN_DICTIONARY
                          : static_cast<uint32_t>(std::clamp(block.size, MIN_DICTIONARY, MAX_DICTIONARY));
    if (block.effort == XzEffort::Quick)
      lzma_.depth = QUICK_DEPTH;
    lzma_.lc = block.model.literal_context;
    lzma_.lp = block.model.literal_position;
    lzma_.pb = block.model.position;
    delta_.type = LZMA_DELTA_TYPE_BYTE;
    delta_.dist = block.model.distance;
    size_t count = 0;
    if (block.model.filter == XzFilter::X86)
      chain_[count++] = {LZMA_FILTER_X86, nullptr};
    else if (block.model.filter == XzFilter::Delta)
      chain_[count++] = {LZMA_FILTER_DELTA, &delta_};
    chain_[count++] = {LZMA_FILTER_LZMA2, &lzma_};
    chain_[count] = {LZMA_VLI_UNKNOWN, nullptr};
  }
  Filters(const Filters &) = delete;
  Filters &operator=(const Filters &) = delete;

  lzma_filter *chain() { return chain_; }

private:
  lzma_options_lzma lzma_;
  lzma_options_delta delta_{};
  lzma_filter chain_[3];
};

// Writes the header of a block, whose sizes it leaves to the index.
lzma_block begin_block(Bytes &out, Filters &filters, lzma_check check) {
  lzma_block block{};
  block.version = 1;
  block.check = check;
  block.compressed_size = LZMA_VLI_UNKNOWN;
  block.uncompressed_size = LZMA_VLI_UNKNOWN;
  block.filters = filters.chain();
  check_lzma(lzma_block_header_size(&block), "an xz block header");
  out.resize(block.header_size);
  check_lzma(lzma_block_header_encode(&block, out.data()), "an xz block header");
  return block;
}

class BlockWriter {
public:
  explicit BlockWriter(const XzBlock &block) : filters_(block) {}

  Block run(const Rope &rope, uint64_t offset, uint64_t size, const Job &job, const Consumed &consumed) {
    lzma_block block = begin_block(out_.bytes, filters_, LZMA_CHECK_CRC64);
    LzmaEnd lzma;
    lzma.stream.allocator = huge_pages_for_lzma();
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

  Filters filters_;
  Block out_;
};

bool is_patches(XzEffort effort) {
  return effort == XzEffort::QuickPatches || effort == XzEffort::Patches || effort == XzEffort::BestPatches;
}

Bytes gather(const Rope &rope, uint64_t offset, uint64_t size, const Job &job) {
  Bytes content;
  content.reserve(size);
  rope.slice(offset, size, [&](View piece) {
    job.check();
    append(content, piece.data, piece.size);
  });
  return content;
}

Block patches_block(const Rope &rope, uint64_t offset, const XzBlock &options, const Job &job,
                    const Consumed &consumed) {
  Bytes content = gather(rope, offset, options.size, job);
  Filters filters(options);
  Block block;
  begin_block(block.bytes, filters, LZMA_CHECK_CRC64);
  Bytes chunks =
      lzma2_chunks(View(content),
                   {options.model.literal_context, options.model.literal_position, options.model.position,
                    options.effort == XzEffort::QuickPatches ? QUICK_PATCHES
                    : options.effort == XzEffort::Patches    ? PATCHES
                                                             : BEST_PATCHES},
                   job, consumed);
  append(block.bytes, chunks.data(), chunks.size());
  block.unpadded = block.bytes.size() + CHECK_SIZE;
  block.content = options.size;
  pad(block.bytes, block.bytes.size(), BLOCK_ALIGNMENT);
  append_offset(block.bytes, lzma_crc64(content.data(), content.size(), 0), CHECK_SIZE);
  return block;
}

// A block that is as long as its content, and unpacked as quickly as that is moved and filtered.
Block stored_block(const Rope &rope, uint64_t offset, const XzBlock &options, const Job &job,
                   const Consumed &consumed) {
  Bytes content = gather(rope, offset, options.size, job);
  if (options.model.filter == XzFilter::X86)
    x86_filter(content.data(), content.size());
  else if (options.model.filter == XzFilter::Delta)
    delta_filter(content.data(), content.size(), options.model.distance);

  Filters filters(options);
  Block block;
  block.bytes.reserve(LZMA_BLOCK_HEADER_SIZE_MAX + content.size() +
                      content.size() / MAX_STORED_CHUNK * CHUNK_HEADER + 2 * CHUNK_HEADER + BLOCK_ALIGNMENT);
  begin_block(block.bytes, filters, LZMA_CHECK_NONE);
  for (size_t at = 0; at < content.size(); at += MAX_STORED_CHUNK) {
    size_t size = std::min(MAX_STORED_CHUNK, content.size() - at);
    block.bytes.push_back(at == 0 ? FIRST_STORED_CHUNK : STORED_CHUNK);
    block.bytes.push_back(static_cast<uint8_t>((size - 1) >> 8));
    block.bytes.push_back(static_cast<uint8_t>(size - 1));
    append(block.bytes, content.data() + at, size);
  }
  block.bytes.push_back(END_OF_CHUNKS);
  block.unpadded = block.bytes.size();
  block.content = options.size;
  pad(block.bytes, block.bytes.size(), BLOCK_ALIGNMENT);
  if (consumed)
    consumed(options.size);
  return block;
}

} // namespace

Bytes xz_stream(const Rope &rope, const std::vector<XzBlock> &options, Crew &crew, const Job &job,
                const Consumed &consumed) {
  std::vector<uint64_t> starts, sizes;
  uint64_t end = 0;
  for (const XzBlock &block : options) {
    starts.push_back(end);
    sizes.push_back(block.size);
    end += block.size;
  }
  bool stored = options.front().effort == XzEffort::Stored;
  std::vector<Block> blocks(options.size());
  crew.each_by_size(sizes, [&](size_t i) {
    const XzBlock &block = options[i];
    blocks[i] = stored ? stored_block(rope, starts[i], block, job, consumed)
                : is_patches(block.effort)
                    ? patches_block(rope, starts[i], block, job, consumed)
                    : BlockWriter(block).run(rope, starts[i], block.size, job, consumed);
  });

  lzma_stream_flags flags{};
  flags.check = stored ? LZMA_CHECK_NONE : LZMA_CHECK_CRC64;
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
  size_t index_at = out.size(), used = 0;
  flags.backward_size = lzma_index_size(index.get());
  out.resize(index_at + flags.backward_size + LZMA_STREAM_HEADER_SIZE);
  check_lzma(lzma_index_buffer_encode(index.get(), out.data() + index_at, &used, flags.backward_size),
             "an xz index");
  check_lzma(lzma_stream_footer_encode(&flags, out.data() + index_at + used), "an xz footer");
  return out;
}

void append_even_blocks(std::vector<XzBlock> &blocks, uint64_t size, uint64_t largest, XzEffort effort,
                        const XzModel &model) {
  uint64_t count = std::max<uint64_t>(1, (size - 1) / largest + 1), even = (size - 1) / count + 1;
  for (uint64_t at = 0; at < size; at += even)
    blocks.push_back({std::min(even, size - at), effort, model});
}

} // namespace trees::delta
