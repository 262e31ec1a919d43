#include "codec.h"

#include <algorithm>

#include "huge_pages.h"

namespace trees::delta {

namespace {

// The largest window that `zstd -d` decodes without being told to (ZSTD_WINDOWLOG_LIMIT_DEFAULT).
constexpr int MAX_WINDOW_LOG = 27;
constexpr size_t OUTPUT_CHUNK = 1 << 20;
constexpr int TRIAL_LEVEL = 1;
constexpr size_t TRIAL_CHUNK = 16 << 10;
// Cancelling is noticed between stretches of input of this size.
constexpr size_t INPUT_CHUNK = 1 << 20;

void check_zstd(size_t result, const char *what) {
  if (ZSTD_isError(result))
    throw Failure("INTERNAL", std::string(what) + ": " + ZSTD_getErrorName(result));
}

struct CCtxFree {
  void operator()(ZSTD_CCtx *context) const { ZSTD_freeCCtx(context); }
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

Bytes zstd_frame(const Rope &rope, uint64_t offset, uint64_t size, int level, const Job &job,
                 const Consumed &consumed) {
  std::unique_ptr<ZSTD_CCtx, CCtxFree> context(ZSTD_createCCtx_advanced(huge_pages_for_zstd()));
  if (context == nullptr)
    throw std::bad_alloc();
  auto set = [&](ZSTD_cParameter parameter, int value, const char *what) {
    check_zstd(ZSTD_CCtx_setParameter(context.get(), parameter, value), what);
  };
  set(ZSTD_c_compressionLevel, level, "zstd level");
  set(ZSTD_c_checksumFlag, 1, "zstd checksum");
  check_zstd(ZSTD_CCtx_setPledgedSrcSize(context.get(), size), "zstd size");
  int window = 10;
  while (window < MAX_WINDOW_LOG && (uint64_t{1} << window) < size)
    window++;
  set(ZSTD_c_windowLog, window, "zstd window");

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

} // namespace trees::delta
