// Parts in the .xz format: compressed, or filtered and stored for a zstd frame around them to compress.
#pragma once

#include <optional>

#include "codec.h"

namespace trees::delta {

enum class XzEffort : uint8_t {
  Stored, // filtered, but not compressed
  Quick,  // preset 1
  Full,   // preset 9: one level above what stock ostree uses, with the same effort
  // For patches, which are mostly zeros: our own encoder of LZMA.
  QuickPatches,
  Patches,
  BestPatches,
};

enum class XzFilter : uint8_t { None, X86, Delta };

// How the bytes of a block are filtered, and modelled if they are compressed.
struct XzModel {
  XzFilter filter = XzFilter::None;
  uint16_t distance = 0; // of Delta
  // Bits of the preceding byte, and of the position, that what a literal is likely to be depends on; bits of
  // the position for everything else.
  uint8_t literal_context = 3;
  uint8_t literal_position = 0;
  uint8_t position = 2;
};

// Bytes that are compressed on their own, several such blocks at once.
struct XzBlock {
  uint64_t size;
  XzEffort effort;
  XzModel model;
};

// One .xz stream of the blocks, which cover the rope, each with a dictionary that spans it. CRC64, but for
// stored blocks: what is around them has a checksum, what is in them too.
Bytes xz_stream(const Rope &rope, const std::vector<XzBlock> &blocks, Crew &crew, const Job &job,
                const Consumed &consumed = {});

// Appends blocks of the same size, at most `largest`, for `size` bytes.
void append_even_blocks(std::vector<XzBlock> &blocks, uint64_t size, uint64_t largest, XzEffort effort,
                        const XzModel &model);

// The decompressed bytes of one xz stream, as stock parts have them; at most `limit` bytes. Throws
// BUNDLE_CORRUPT.
Blob decode_xz(View compressed, uint64_t limit, const std::string &temporary, const Job &job);

// LZMA2: how chunks that are not compressed begin (the first of a block, others), the length of that, how
// much a chunk holds, and what ends them; what comes after the last block.
constexpr uint8_t FIRST_STORED_CHUNK = 1, STORED_CHUNK = 2, END_OF_CHUNKS = 0, END_OF_BLOCKS = 0;
constexpr size_t CHUNK_HEADER = 3;
constexpr size_t MAX_STORED_CHUNK = 64 << 10;

// The bytes of a stream whose blocks are all stored, moved together and unfiltered in place. Of anything else
// none, and the stream is as it was.
std::optional<View> unpack_stored_xz(uint8_t *stream, size_t size);

} // namespace trees::delta
