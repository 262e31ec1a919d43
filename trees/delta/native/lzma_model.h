// The model of LZMA: what is likely to come next, what coding it costs, and the range coder that codes it.
// Format: the LZMA specification of the LZMA SDK (lzma-specification.txt).
#pragma once

#include <array>

#include "support.h"

namespace trees::delta {

constexpr uint32_t LZMA_MIN_MATCH = 2;
constexpr uint32_t LZMA_MAX_MATCH = 273;
constexpr unsigned LZMA_REPS = 4;

// Writes bits so that likely ones take little room.
class RangeCoder {
public:
  void bit(uint16_t &probability, unsigned bit);
  void direct(uint32_t value, unsigned bits);
  // What was coded; the coder is as new afterwards.
  Bytes finish();
  // Bytes that `finish` would return.
  size_t size() const { return out_.size() + pending_ + 4; }

private:
  void shift_low();

  Bytes out_;
  uint64_t low_ = 0;
  uint32_t range_ = UINT32_MAX;
  uint64_t pending_ = 1;
  uint8_t cache_ = 0;
};

// Prices are in sixteenths of a bit.
using Price = uint32_t;
constexpr Price PRICE_OF_BIT = 16;

// One thing to code. A literal has length 1 and no distance; distances are those of the format: less by one.
struct LzmaSymbol {
  enum Kind : uint8_t { Literal, ShortRep, Rep, Match };
  Kind kind;
  uint8_t rep;
  uint16_t length;
  uint32_t distance;
};

// What the next symbol depends on, but for the bytes before it.
struct LzmaState {
  uint8_t state = 0;
  std::array<uint32_t, LZMA_REPS> reps{};

  // After a symbol.
  LzmaState after(const LzmaSymbol &symbol) const;
  bool after_match() const { return state >= 7; }
};

class LzmaModel {
public:
  LzmaModel(unsigned literal_context, unsigned literal_position, unsigned position);

  // Codes a symbol that begins at `at` of the text.
  void code(RangeCoder &coder, const LzmaState &state, const LzmaSymbol &symbol, View text, size_t at);
  // Has the prices below follow what was coded.
  void refresh_prices();

  Price literal(const LzmaState &state, View text, size_t at) const;
  Price short_rep(const LzmaState &state, size_t at) const;
  // Without their lengths.
  Price rep(const LzmaState &state, unsigned rep, size_t at) const;
  Price match(const LzmaState &state, size_t at) const;
  Price rep_length(uint32_t length, size_t at) const {
    return rep_lengths_.prices[at & position_mask_][length - LZMA_MIN_MATCH];
  }
  Price match_length(uint32_t length, size_t at) const {
    return match_lengths_.prices[at & position_mask_][length - LZMA_MIN_MATCH];
  }
  Price distance(uint32_t distance, uint32_t length) const;

private:
  static constexpr unsigned STATES = 12;
  static constexpr unsigned POSITIONS = 16;
  static constexpr unsigned LENGTHS = LZMA_MAX_MATCH - LZMA_MIN_MATCH + 1;
  static constexpr unsigned LENGTH_CLASSES = 4;
  static constexpr unsigned SLOTS = 64;
  static constexpr unsigned NEAR_DISTANCES = 128;
  static constexpr unsigned ALIGN_BITS = 4;
  static constexpr unsigned LITERAL_SIZE = 0x300;
  using Probability = uint16_t;

  struct Lengths {
    Probability choice, choice2;
    std::array<std::array<Probability, 8>, POSITIONS> low, middle;
    std::array<Probability, 256> high;
    std::array<std::array<Price, LENGTHS>, POSITIONS> prices;
  };

  size_t literal_base(View text, size_t at) const;
  void code_literal(RangeCoder &coder, const LzmaState &state, View text, size_t at);
  void code_length(RangeCoder &coder, Lengths &lengths, uint32_t length, size_t at);
  void code_distance(RangeCoder &coder, uint32_t distance, uint32_t length);
  void refresh(Lengths &lengths) const;

  unsigned literal_context_;
  size_t literal_mask_;
  size_t position_mask_;
  std::array<std::array<Probability, POSITIONS>, STATES> is_match_, is_rep0_long_;
  std::array<Probability, STATES> is_rep_, is_rep0_, is_rep1_, is_rep2_;
  std::array<std::array<Probability, SLOTS>, LENGTH_CLASSES> slots_;
  std::array<Probability, NEAR_DISTANCES> near_;
  std::array<Probability, 1 << ALIGN_BITS> align_;
  Lengths match_lengths_, rep_lengths_;
  std::vector<Probability> literals_;

  std::array<std::array<Price, SLOTS>, LENGTH_CLASSES> slot_prices_;
  std::array<std::array<Price, NEAR_DISTANCES>, LENGTH_CLASSES> near_prices_;
  std::array<Price, 1 << ALIGN_BITS> align_prices_;
};

} // namespace trees::delta
