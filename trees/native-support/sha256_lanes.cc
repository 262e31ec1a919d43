// For SHA256_CTX, whose state can be set: what the lanes began is finished by OpenSSL.
#define OPENSSL_SUPPRESS_DEPRECATED
#include "sha256_lanes.h"

#include <openssl/sha.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#endif

namespace trees {

namespace {

constexpr size_t BLOCK = 64;
constexpr std::array<uint32_t, 8> START = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                           0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};

#if defined(__x86_64__)

constexpr uint32_t ROUND_CONSTANTS[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

#define NAME avx512
#define LANES 16
#define TARGET __attribute__((target("avx512f,avx512bw")))

namespace avx512 {

typedef uint32_t Vector __attribute__((vector_size(64)));

// Where the other half of a stretch of 2 * `distance` words is exchanged between two vectors.
struct Exchange {
  alignas(64) uint32_t first[16];
  alignas(64) uint32_t second[16];
};

constexpr Exchange exchange(uint32_t distance) {
  Exchange result{};
  for (uint32_t i = 0; i < 16; i++) {
    result.first[i] = (i & distance) == 0 ? i : 16 + i - distance;
    result.second[i] = (i & distance) == 0 ? i + distance : 16 + i;
  }
  return result;
}

TARGET inline void load(Vector *words, const uint8_t *const *blocks) {
  static constexpr Exchange exchanges[] = {exchange(8), exchange(4), exchange(2), exchange(1)};
  alignas(64) static constexpr uint32_t ORDER[16] = {
      0x00010203, 0x04050607, 0x08090a0b, 0x0c0d0e0f, 0x00010203, 0x04050607, 0x08090a0b, 0x0c0d0e0f,
      0x00010203, 0x04050607, 0x08090a0b, 0x0c0d0e0f, 0x00010203, 0x04050607, 0x08090a0b, 0x0c0d0e0f};
  const __m512i big_endian = _mm512_load_si512(ORDER);
  __m512i rows[16];
  for (size_t lane = 0; lane < 16; lane++)
    rows[lane] = _mm512_shuffle_epi8(_mm512_loadu_si512(blocks[lane]), big_endian);
  for (size_t step = 0, distance = 8; distance > 0; step++, distance /= 2) {
    const __m512i first = _mm512_load_si512(exchanges[step].first);
    const __m512i second = _mm512_load_si512(exchanges[step].second);
    for (size_t i = 0; i < 16; i++)
      if ((i & distance) == 0) {
        const __m512i upper = rows[i], lower = rows[i + distance];
        rows[i] = _mm512_permutex2var_epi32(upper, first, lower);
        rows[i + distance] = _mm512_permutex2var_epi32(upper, second, lower);
      }
  }
  for (size_t i = 0; i < 16; i++)
    words[i] = reinterpret_cast<Vector>(rows[i]);
}

} // namespace avx512

#include "sha256_rounds.h"
#undef NAME
#undef LANES
#undef TARGET

#define NAME avx2
#define LANES 8
#define TARGET __attribute__((target("avx2")))

namespace avx2 {

typedef uint32_t Vector __attribute__((vector_size(32)));

TARGET inline void load(Vector *words, const uint8_t *const *blocks) {
  const __m256i big_endian =
      _mm256_broadcastsi128_si256(_mm_setr_epi8(3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12));
  for (size_t half = 0; half < 2; half++) {
    __m256i rows[8], pairs[8], fours[8];
    for (size_t lane = 0; lane < 8; lane++)
      rows[lane] = _mm256_shuffle_epi8(
          _mm256_loadu_si256(reinterpret_cast<const __m256i *>(blocks[lane] + 32 * half)), big_endian);
    for (size_t i = 0; i < 8; i += 2) {
      pairs[i] = _mm256_unpacklo_epi32(rows[i], rows[i + 1]);
      pairs[i + 1] = _mm256_unpackhi_epi32(rows[i], rows[i + 1]);
    }
    for (size_t i = 0; i < 8; i += 4)
      for (size_t j = 0; j < 2; j++) {
        fours[i + 2 * j] = _mm256_unpacklo_epi64(pairs[i + j], pairs[i + j + 2]);
        fours[i + 2 * j + 1] = _mm256_unpackhi_epi64(pairs[i + j], pairs[i + j + 2]);
      }
    for (size_t i = 0; i < 4; i++) {
      words[8 * half + i] = reinterpret_cast<Vector>(_mm256_permute2x128_si256(fours[i], fours[i + 4], 0x20));
      words[8 * half + i + 4] =
          reinterpret_cast<Vector>(_mm256_permute2x128_si256(fours[i], fours[i + 4], 0x31));
    }
  }
}

} // namespace avx2

#include "sha256_rounds.h"
#undef NAME
#undef LANES
#undef TARGET

bool has_sha_instructions() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  return __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (b >> 29 & 1) != 0;
}

#endif

// A message as stretches of whole blocks: what lies in one of its pieces as it is there, a block that begins
// in one piece and ends in another from a copy, the end with the padding.
class Stretches {
public:
  void begin(const HashedMessage &message) {
    left_ = message.head;
    next_ = message.body.begin();
    end_ = message.body.end();
    total_ = message.head.size;
    for (const View &piece : message.body)
      total_ += piece.size;
    padded_ = false;
    advance();
  }

  bool done() const { return current_.size == 0; }
  View current() const { return current_; }
  // `bytes`: whole blocks.
  void advance(size_t bytes) {
    current_ = current_.part(bytes, current_.size);
    if (current_.size == 0)
      advance();
  }

private:
  void advance() {
    current_ = View();
    skip_empty();
    if (const size_t whole = left_.size / BLOCK * BLOCK; whole > 0) {
      current_ = left_.part(0, whole);
      left_ = left_.part(whole, left_.size);
    } else if (!padded_) {
      join();
    }
  }

  void join() {
    size_t filled = 0;
    for (; filled < BLOCK && left_.size > 0; skip_empty()) {
      const size_t count = std::min(BLOCK - filled, left_.size);
      std::memcpy(joint_.data() + filled, left_.data, count);
      left_ = left_.part(count, left_.size);
      filled += count;
    }
    if (filled < BLOCK)
      filled = pad(filled);
    current_ = View(joint_.data(), filled);
  }

  // Returns how long it is then.
  size_t pad(size_t filled) {
    padded_ = true;
    const size_t size = filled < BLOCK - LENGTH ? BLOCK : 2 * BLOCK;
    joint_[filled] = 0x80;
    std::memset(joint_.data() + filled + 1, 0, size - filled - 1);
    for (size_t i = 0; i < LENGTH; i++)
      joint_[size - 1 - i] = static_cast<uint8_t>(total_ * 8 >> 8 * i);
    return size;
  }

  void skip_empty() {
    while (left_.size == 0 && next_ != end_)
      left_ = *next_++;
  }

  // Of the number of bits at the end.
  static constexpr size_t LENGTH = 8;

  View current_;
  View left_;
  std::span<const View>::iterator next_;
  std::span<const View>::iterator end_;
  uint64_t total_ = 0;
  bool padded_ = false;
  std::array<uint8_t, 2 * BLOCK> joint_;
};

uint64_t size_of(const HashedMessage &message) {
  uint64_t size = 0;
  for (const View &piece : message.body)
    size += piece.size;
  return size;
}

Checksum to_checksum(const std::array<uint32_t, 8> &words) {
  Checksum checksum;
  for (size_t i = 0; i < 8; i++)
    for (size_t byte = 0; byte < 4; byte++)
      checksum.bytes[4 * i + byte] = static_cast<uint8_t>(words[i] >> (24 - 8 * byte));
  return checksum;
}

Checksum finish(std::array<uint32_t, 8> words, Stretches &stretches) {
  SHA256_CTX context;
  SHA256_Init(&context);
  std::copy(words.begin(), words.end(), context.h);
  for (; !stretches.done(); stretches.advance(stretches.current().size))
    SHA256_Update(&context, stretches.current().data, stretches.current().size);
  std::copy_n(context.h, words.size(), words.begin());
  return to_checksum(words);
}

#if defined(__x86_64__)

using Compress = void (*)(uint32_t *, const uint8_t *const *, const size_t *, size_t);

// Works off messages in `width` lanes until so few are left that OpenSSL is faster with one after the other.
class Machine {
public:
  Machine(Compress compress, size_t width, size_t few) : compress_(compress), width_(width), few_(few) {}

  void run(std::span<HashedMessage *> messages) {
    auto next = messages.begin();
    for (size_t lane = 0; lane < width_; lane++)
      take(lane, next, messages.end());
    while (active() > few_) {
      step();
      for (size_t lane = 0; lane < width_; lane++)
        if (messages_[lane] != nullptr && stretches_[lane].done()) {
          messages_[lane]->checksum = to_checksum(words(lane));
          take(lane, next, messages.end());
        }
    }
    for (size_t lane = 0; lane < width_; lane++)
      if (messages_[lane] != nullptr)
        messages_[lane]->checksum = finish(words(lane), stretches_[lane]);
  }

private:
  using Position = std::span<HashedMessage *>::iterator;

  void take(size_t lane, Position &next, Position end) {
    messages_[lane] = next == end ? nullptr : *next++;
    if (messages_[lane] == nullptr)
      return;
    stretches_[lane].begin(*messages_[lane]);
    for (size_t i = 0; i < START.size(); i++)
      state_[i * width_ + lane] = START[i];
  }

  size_t active() const {
    return static_cast<size_t>(std::count_if(
        messages_.begin(), messages_.end(), [](const HashedMessage *message) { return message != nullptr; }));
  }

  // As many blocks as all that work have.
  void step() {
    static const uint8_t nothing[BLOCK] = {};
    std::array<const uint8_t *, MAX_LANES> blocks;
    std::array<size_t, MAX_LANES> strides;
    blocks.fill(nothing);
    strides.fill(0);
    size_t count = SIZE_MAX;
    for (size_t lane = 0; lane < width_; lane++)
      if (messages_[lane] != nullptr) {
        blocks[lane] = stretches_[lane].current().data;
        strides[lane] = BLOCK;
        count = std::min(count, stretches_[lane].current().size / BLOCK);
      }
    compress_(state_.data(), blocks.data(), strides.data(), count);
    for (size_t lane = 0; lane < width_; lane++)
      if (messages_[lane] != nullptr)
        stretches_[lane].advance(count * BLOCK);
  }

  std::array<uint32_t, 8> words(size_t lane) const {
    std::array<uint32_t, 8> result;
    for (size_t i = 0; i < result.size(); i++)
      result[i] = state_[i * width_ + lane];
    return result;
  }

  Compress compress_;
  size_t width_;
  size_t few_;
  alignas(64) std::array<uint32_t, 8 * MAX_LANES> state_{};
  std::array<HashedMessage *, MAX_LANES> messages_{};
  std::array<Stretches, MAX_LANES> stretches_;
};

#endif

} // namespace

bool can_use(Lanes lanes) {
  switch (lanes) {
#if defined(__x86_64__)
  case Lanes::Avx512:
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw");
  case Lanes::Avx2:
    return __builtin_cpu_supports("avx2");
#endif
  case Lanes::One:
    return true;
  default:
    return false;
  }
}

Lanes best_lanes() {
#if defined(__x86_64__)
  static const Lanes best = has_sha_instructions()   ? Lanes::One
                            : can_use(Lanes::Avx512) ? Lanes::Avx512
                            : can_use(Lanes::Avx2)   ? Lanes::Avx2
                                                     : Lanes::One;
  return best;
#else
  return Lanes::One;
#endif
}

void sha256_many(std::span<HashedMessage> messages, Lanes lanes) {
#if defined(__x86_64__)
  if (lanes != Lanes::One) {
    std::vector<std::pair<uint64_t, HashedMessage *>> sized;
    sized.reserve(messages.size());
    for (HashedMessage &message : messages)
      sized.emplace_back(size_of(message), &message);
    // The longest first: what is left at the end is short, then, or would have been alone anyway.
    std::stable_sort(sized.begin(), sized.end(),
                     [](const auto &a, const auto &b) { return a.first > b.first; });
    std::vector<HashedMessage *> sorted;
    sorted.reserve(messages.size());
    for (const auto &[size, message] : sized)
      sorted.push_back(message);
    if (lanes == Lanes::Avx512)
      return Machine(avx512::compress, 16, 2).run(sorted);
    return Machine(avx2::compress, 8, 3).run(sorted);
  }
#endif
  Stretches stretches;
  for (HashedMessage &message : messages) {
    stretches.begin(message);
    message.checksum = finish(START, stretches);
  }
}

} // namespace trees
