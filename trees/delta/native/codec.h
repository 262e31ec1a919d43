// Compression: zstd frames for the bundle; SHA-256.
#pragma once

#include <openssl/evp.h>
#include <zstd.h>

#include <functional>
#include <mutex>

#include "crew.h"
#include "rope.h"

namespace trees::delta {

class Sha256 {
public:
  Sha256();
  void update(View bytes);
  Checksum finish();
  static Checksum of(View bytes);

private:
  struct Free {
    void operator()(EVP_MD_CTX *context) const { EVP_MD_CTX_free(context); }
  };
  std::unique_ptr<EVP_MD_CTX, Free> context_;
};

// Told how many bytes of the input were dealt with.
using Consumed = std::function<void(uint64_t)>;

// Reports a stretch of work to a job: never more than `total` of the `input` bytes it takes.
class Meter {
public:
  Meter(Job &job, uint64_t input, uint64_t total) : job_(job), input_(input), total_(total) {}
  // May be called from several threads.
  void consumed(uint64_t bytes);
  void finish();

private:
  Job &job_;
  uint64_t input_;
  uint64_t total_;
  std::mutex mutex_;
  uint64_t consumed_ = 0;
  uint64_t reported_ = 0;
};

// One zstd frame with content size and checksum.
Bytes zstd_frame(const Rope &rope, uint64_t offset, uint64_t size, int level, const Job &job,
                 const Consumed &consumed = {});

// How much something compresses, as far as ranking alternatives goes.
class CompressionTrial {
public:
  explicit CompressionTrial(const Job &job);
  void append(View bytes);
  uint64_t finish();

private:
  void step(View bytes, ZSTD_EndDirective mode);
  struct Free {
    void operator()(ZSTD_CCtx *context) const { ZSTD_freeCCtx(context); }
  };
  const Job &job_;
  std::unique_ptr<ZSTD_CCtx, Free> context_;
  uint64_t size_ = 0;
};

} // namespace trees::delta
