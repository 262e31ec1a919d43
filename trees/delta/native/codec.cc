#include "codec.h"

#include <lzma.h>
#include <zstd.h>

#include <algorithm>

namespace trees::delta {

namespace {

// The largest window that `zstd -d` decodes without being told to (ZSTD_WINDOWLOG_LIMIT_DEFAULT).
constexpr unsigned MAX_WINDOW_LOG = 27;
constexpr size_t OUTPUT_CHUNK = 1 << 20;
// Cancelling is noticed between stretches of input of this size.
constexpr size_t INPUT_CHUNK = 1 << 20;
constexpr uint64_t MIN_DICTIONARY = 4096;
constexpr uint64_t MAX_DICTIONARY = 192 << 20;
// A decoder for the largest dictionary, and then some.
constexpr uint64_t MAX_XZ_MEMORY = 256 << 20;
// An index of one block, which is what there is, takes a few hundred bytes.
constexpr uint64_t MAX_XZ_INDEX = 16 << 20;
// Content above this goes through an unlinked file.
constexpr size_t MEMORY_LIMIT = 40 << 20;

void check_zstd(size_t result, const char *what) {
  if (ZSTD_isError(result))
    throw Failure("INTERNAL", std::string(what) + ": " + ZSTD_getErrorName(result));
}

struct CCtxFree {
  void operator()(ZSTD_CCtx *context) const { ZSTD_freeCCtx(context); }
};

struct LzmaEnd {
  lzma_stream stream = LZMA_STREAM_INIT;
  ~LzmaEnd() { lzma_end(&stream); }
};

} // namespace

Sha256::Sha256() : context_(EVP_MD_CTX_new()) {
  // Looked up once: EVP_sha256() would look for the implementation each time, which costs more than a small
  // object.
  static const EVP_MD *const algorithm = EVP_MD_fetch(nullptr, "SHA256", nullptr);
  if (context_ == nullptr || algorithm == nullptr ||
      EVP_DigestInit_ex(context_.get(), algorithm, nullptr) != 1)
    throw Failure("INTERNAL", "cannot start SHA-256");
}

void Sha256::update(View bytes) {
  EVP_DigestUpdate(context_.get(), bytes.data, bytes.size);
}

Checksum Sha256::finish() {
  Checksum checksum;
  EVP_DigestFinal_ex(context_.get(), checksum.bytes.data(), nullptr);
  return checksum;
}

Checksum Sha256::of(View bytes) {
  Sha256 hash;
  hash.update(bytes);
  return hash.finish();
}

Bytes zstd_frame(const Rope &rope, uint64_t offset, uint64_t size, int level, const Job &job) {
  std::unique_ptr<ZSTD_CCtx, CCtxFree> context(ZSTD_createCCtx());
  if (context == nullptr)
    throw std::bad_alloc();
  check_zstd(ZSTD_CCtx_setParameter(context.get(), ZSTD_c_compressionLevel, level), "zstd level");
  check_zstd(ZSTD_CCtx_setParameter(context.get(), ZSTD_c_checksumFlag, 1), "zstd checksum");
  check_zstd(ZSTD_CCtx_setPledgedSrcSize(context.get(), size), "zstd size");
  unsigned window = 10;
  while (window < MAX_WINDOW_LOG && (uint64_t{1} << window) < size)
    window++;
  check_zstd(ZSTD_CCtx_setParameter(context.get(), ZSTD_c_windowLog, static_cast<int>(window)),
             "zstd window");

  Bytes out;
  Bytes chunk(OUTPUT_CHUNK);
  auto step = [&](View input, ZSTD_EndDirective mode) {
    ZSTD_inBuffer in{input.data, input.size, 0};
    size_t left;
    do {
      ZSTD_outBuffer target{chunk.data(), chunk.size(), 0};
      left = ZSTD_compressStream2(context.get(), &target, &in, mode);
      check_zstd(left, "zstd");
      out.insert(out.end(), chunk.data(), chunk.data() + target.pos);
    } while (mode == ZSTD_e_end ? left != 0 : in.pos < in.size);
  };
  rope.slice(offset, size, [&](View piece) {
    for (size_t at = 0; at < piece.size; at += INPUT_CHUNK) {
      job.check();
      step(View(piece.data + at, std::min(INPUT_CHUNK, piece.size - at)), ZSTD_e_continue);
    }
  });
  step(View(), ZSTD_e_end);
  return out;
}

Bytes xz_stream(const Rope &rope, bool x86, const Job &job) {
  lzma_options_lzma options;
  if (lzma_lzma_preset(&options, 9 | LZMA_PRESET_EXTREME))
    throw Failure("INTERNAL", "liblzma lacks preset 9e");
  options.dict_size = static_cast<uint32_t>(std::clamp(rope.size(), MIN_DICTIONARY, MAX_DICTIONARY));
  lzma_filter filters[3];
  size_t count = 0;
  if (x86)
    filters[count++] = {LZMA_FILTER_X86, nullptr};
  filters[count++] = {LZMA_FILTER_LZMA2, &options};
  filters[count] = {LZMA_VLI_UNKNOWN, nullptr};
  LzmaEnd lzma;
  if (lzma_stream_encoder(&lzma.stream, filters, LZMA_CHECK_CRC64) != LZMA_OK)
    throw Failure("INTERNAL", "cannot start the xz encoder");

  Bytes out;
  Bytes chunk(OUTPUT_CHUNK);
  auto step = [&](View input, lzma_action action) {
    lzma.stream.next_in = input.data;
    lzma.stream.avail_in = input.size;
    lzma_ret result;
    do {
      lzma.stream.next_out = chunk.data();
      lzma.stream.avail_out = chunk.size();
      result = lzma_code(&lzma.stream, action);
      if (result != LZMA_OK && result != LZMA_STREAM_END)
        throw Failure("INTERNAL", "xz encoder failed with " + std::to_string(result));
      out.insert(out.end(), chunk.data(), lzma.stream.next_out);
    } while (action == LZMA_FINISH ? result != LZMA_STREAM_END : lzma.stream.avail_in > 0);
  };
  rope.each([&](View piece) {
    for (size_t at = 0; at < piece.size; at += INPUT_CHUNK) {
      job.check();
      step(View(piece.data + at, std::min(INPUT_CHUNK, piece.size - at)), LZMA_RUN);
    }
  });
  step(View(), LZMA_FINISH);
  return out;
}

namespace {

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

} // namespace

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
