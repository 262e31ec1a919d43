// Writes .xz streams whose blocks are compressed at the same time. liblzma can do that itself, but only with
// threads of its own. Format: xz-file-format.txt of XZ Utils.
#include <lzma.h>

#include <algorithm>

#include "codec.h"
#include "framing.h"

namespace trees::delta {

namespace {

constexpr uint64_t MIN_DICTIONARY = 4096;
// What a decoder allocates for each block at a time; stock's parts take half of it.
constexpr uint64_t MAX_DICTIONARY = 64 << 20;
constexpr uint32_t LONGEST_MATCH = 273;
constexpr size_t INPUT_CHUNK = 1 << 20;
constexpr size_t OUTPUT_CHUNK = 1 << 20;
// LZMA2: how chunks that are not compressed begin, the first and others, how long they are, and the end.
constexpr uint8_t FIRST_STORED_CHUNK = 1, STORED_CHUNK = 2, END_OF_CHUNKS = 0;
constexpr size_t MAX_STORED_CHUNK = 64 << 10;
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

// What the branch filter makes of something. liblzma's filters are only to be had with LZMA2 after them, so
// that is undone again.
Bytes x86_filtered(const Bytes &content) {
  lzma_options_lzma lzma;
  if (lzma_lzma_preset(&lzma, 0))
    throw Failure("INTERNAL", "liblzma lacks a preset");
  lzma_filter chain[] = {{LZMA_FILTER_X86, nullptr}, {LZMA_FILTER_LZMA2, &lzma}, {LZMA_VLI_UNKNOWN, nullptr}};
  Bytes packed(lzma_stream_buffer_bound(content.size())), filtered(content.size());
  size_t packed_size = 0, read = 0, written = 0;
  check_lzma(lzma_raw_buffer_encode(chain, nullptr, content.data(), content.size(), packed.data(),
                                    &packed_size, packed.size()),
             "the x86 filter");
  check_lzma(lzma_raw_buffer_decode(chain + 1, nullptr, packed.data(), &read, packed_size, filtered.data(),
                                    &written, filtered.size()),
             "the x86 filter");
  return filtered;
}

uint64_t trial_size(const Bytes &content, const Job &job) {
  CompressionTrial trial(job);
  trial.append(View(content));
  return trial.finish();
}

void append_stored(Bytes &out, const Bytes &content) {
  for (size_t at = 0; at < content.size(); at += MAX_STORED_CHUNK) {
    size_t size = std::min(MAX_STORED_CHUNK, content.size() - at);
    out.push_back(at == 0 ? FIRST_STORED_CHUNK : STORED_CHUNK);
    out.push_back(static_cast<uint8_t>((size - 1) >> 8));
    out.push_back(static_cast<uint8_t>(size - 1));
    append(out, content.data() + at, size);
  }
  out.push_back(END_OF_CHUNKS);
}

// A block that is as long as its content, and decoded as quickly as that is copied and filtered.
Block stored_block(const Rope &rope, uint64_t offset, uint64_t size, bool x86, const Job &job) {
  job.check();
  Bytes content;
  content.reserve(size);
  rope.slice(offset, size, [&](View piece) { append(content, piece.data, piece.size); });
  uint64_t check = lzma_crc64(content.data(), content.size(), 0);
  bool filter = false;
  if (x86) {
    Bytes filtered = x86_filtered(content);
    // Code gains some 4 % by the filter; data and small libraries, which are much alike, lose.
    filter = trial_size(filtered, job) < trial_size(content, job) / 100 * 99;
    if (filter)
      content = std::move(filtered);
  }

  lzma_options_lzma lzma;
  if (lzma_lzma_preset(&lzma, 0))
    throw Failure("INTERNAL", "liblzma lacks a preset");
  lzma.dict_size = MIN_DICTIONARY;
  lzma_filter chain[] = {{LZMA_FILTER_X86, nullptr}, {LZMA_FILTER_LZMA2, &lzma}, {LZMA_VLI_UNKNOWN, nullptr}};
  lzma_block header{};
  header.version = 1;
  header.check = LZMA_CHECK_CRC64;
  header.compressed_size = LZMA_VLI_UNKNOWN;
  header.uncompressed_size = LZMA_VLI_UNKNOWN;
  header.filters = filter ? chain : chain + 1;
  check_lzma(lzma_block_header_size(&header), "an xz block header");
  Block block;
  block.bytes.resize(header.header_size);
  check_lzma(lzma_block_header_encode(&header, block.bytes.data()), "an xz block header");
  append_stored(block.bytes, content);
  block.unpadded = block.bytes.size() + sizeof check;
  block.content = size;
  pad(block.bytes, block.bytes.size(), BLOCK_ALIGNMENT);
  for (unsigned byte = 0; byte < sizeof check; byte++)
    block.bytes.push_back(static_cast<uint8_t>(check >> (8 * byte)));
  return block;
}

} // namespace

Bytes xz_stream(const Rope &rope, const XzOptions &options, Crew &crew, const Job &job,
                const Consumed &consumed) {
  uint64_t size = rope.size(), count = std::max<uint64_t>(1, (size + options.block - 1) / options.block);
  uint64_t even = (size + count - 1) / count;
  std::vector<Block> blocks(count);
  crew.each(count, [&](size_t i) {
    uint64_t start = std::min(even * i, size), length = std::min(even, size - start);
    blocks[i] = i < options.compressed_blocks
                    ? BlockWriter(length, options).run(rope, start, length, job, consumed)
                    : stored_block(rope, start, length, options.x86, job);
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
