#include "codec.h"

#include <lzma.h>
#include <zstd.h>

#include <algorithm>

namespace trees::delta {

namespace {

// The largest window that `zstd -d` decodes without being told to (ZSTD_WINDOWLOG_LIMIT_DEFAULT).
constexpr int MAX_WINDOW_LOG = 27;
// What one thread compresses of a split frame, and the share of the window before it (1 is none, 9 all of it)
// that it looks for matches in.
constexpr int SPLIT_JOB = 6 << 20;
constexpr int SPLIT_OVERLAP_LOG = 7;
constexpr unsigned MAX_WORKERS = 64;
constexpr size_t OUTPUT_CHUNK = 1 << 20;
constexpr int TRIAL_LEVEL = 1;
constexpr size_t TRIAL_CHUNK = 16 << 10;
// Cancelling is noticed between stretches of input of this size.
constexpr size_t INPUT_CHUNK = 1 << 20;
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

void Meter::consumed(uint64_t bytes) {
  std::lock_guard lock(mutex_);
  consumed_ += bytes;
  if (input_ == 0)
    return;
  auto share = static_cast<uint64_t>(static_cast<double>(consumed_) / static_cast<double>(input_) *
                                     static_cast<double>(total_));
  share = std::min(share, total_);
  if (share > reported_) {
    job_.done += share - reported_;
    reported_ = share;
  }
}

void Meter::finish() {
  std::lock_guard lock(mutex_);
  job_.done += total_ - reported_;
  reported_ = total_;
}

Bytes zstd_frame(const Rope &rope, uint64_t offset, uint64_t size, const ZstdOptions &options, const Job &job,
                 const Consumed &consumed) {
  std::unique_ptr<ZSTD_CCtx, CCtxFree> context(ZSTD_createCCtx());
  if (context == nullptr)
    throw std::bad_alloc();
  auto set = [&](ZSTD_cParameter parameter, int value, const char *what) {
    check_zstd(ZSTD_CCtx_setParameter(context.get(), parameter, value), what);
  };
  set(ZSTD_c_compressionLevel, options.level, "zstd level");
  set(ZSTD_c_checksumFlag, 1, "zstd checksum");
  check_zstd(ZSTD_CCtx_setPledgedSrcSize(context.get(), size), "zstd size");
  int window = 10;
  while (window < MAX_WINDOW_LOG && (uint64_t{1} << window) < size)
    window++;
  set(ZSTD_c_windowLog, window, "zstd window");
  if (options.split && size > 2 * SPLIT_JOB) {
    set(ZSTD_c_nbWorkers, static_cast<int>(std::min(options.threads, MAX_WORKERS)), "zstd threads");
    set(ZSTD_c_jobSize, SPLIT_JOB, "zstd job");
    set(ZSTD_c_overlapLog, SPLIT_OVERLAP_LOG, "zstd overlap");
  }

  Bytes out;
  Bytes chunk(OUTPUT_CHUNK);
  auto step = [&](View input, ZSTD_EndDirective mode) {
    ZSTD_inBuffer in{input.data, input.size, 0};
    size_t left;
    do {
      job.check();
      ZSTD_outBuffer target{chunk.data(), chunk.size(), 0};
      left = ZSTD_compressStream2(context.get(), &target, &in, mode);
      check_zstd(left, "zstd");
      out.insert(out.end(), chunk.data(), chunk.data() + target.pos);
    } while (mode == ZSTD_e_end ? left != 0 : in.pos < in.size);
    if (consumed)
      consumed(input.size);
  };
  rope.slice(offset, size, [&](View piece) {
    for (size_t at = 0; at < piece.size; at += INPUT_CHUNK)
      step(View(piece.data + at, std::min(INPUT_CHUNK, piece.size - at)), ZSTD_e_continue);
  });
  step(View(), ZSTD_e_end);
  return out;
}

CompressionTrial::CompressionTrial(const Job &job) : job_(job), context_(ZSTD_createCCtx()) {
  if (context_ == nullptr)
    throw std::bad_alloc();
  check_zstd(ZSTD_CCtx_setParameter(context_.get(), ZSTD_c_compressionLevel, TRIAL_LEVEL), "zstd level");
}

void CompressionTrial::step(View bytes, ZSTD_EndDirective mode) {
  // Only counted.
  std::array<uint8_t, TRIAL_CHUNK> chunk;
  ZSTD_inBuffer in{bytes.data, bytes.size, 0};
  size_t left;
  do {
    ZSTD_outBuffer target{chunk.data(), chunk.size(), 0};
    left = ZSTD_compressStream2(context_.get(), &target, &in, mode);
    check_zstd(left, "zstd");
    size_ += target.pos;
  } while (mode == ZSTD_e_end ? left != 0 : in.pos < in.size);
}

void CompressionTrial::append(View bytes) {
  for (size_t at = 0; at < bytes.size; at += INPUT_CHUNK) {
    job_.check();
    step(View(bytes.data + at, std::min(INPUT_CHUNK, bytes.size - at)), ZSTD_e_continue);
  }
}

uint64_t CompressionTrial::finish() {
  step(View(), ZSTD_e_end);
  return size_;
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
