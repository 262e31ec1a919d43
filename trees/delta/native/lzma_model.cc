#include "lzma_model.h"

#include <cmath>

namespace trees::delta {

namespace {

constexpr unsigned PROBABILITY_BITS = 11;
constexpr uint16_t EVEN = 1 << (PROBABILITY_BITS - 1);
constexpr unsigned ADAPTION = 5;
constexpr uint32_t TOP = 1 << 24;
constexpr unsigned PRICE_STEP = 4;
// Distances below are coded with all their bits modelled; of larger ones, the bits in the middle are not.
constexpr unsigned FIRST_MODELLED_SLOT = 4;
constexpr unsigned FIRST_DIRECT_SLOT = 14;

constexpr size_t STEPS = (1 << PROBABILITY_BITS) >> PRICE_STEP;

const std::array<Price, STEPS> PRICES = [] {
  std::array<Price, STEPS> prices{};
  for (size_t i = 0; i < prices.size(); i++) {
    double probability = (static_cast<double>(i) + 0.5) / static_cast<double>(prices.size());
    prices[i] = static_cast<Price>(std::lround(-std::log2(probability) * PRICE_OF_BIT));
  }
  return prices;
}();

Price price(uint16_t probability, unsigned bit) {
  return PRICES[(bit != 0 ? (1U << PROBABILITY_BITS) - probability : probability) >> PRICE_STEP];
}

// Values of `bits` bits, the highest first; each bit depends on those before it.
template <typename Tree> void code_tree(RangeCoder &coder, Tree &tree, unsigned bits, uint32_t value) {
  uint32_t node = 1;
  for (unsigned i = bits; i-- > 0;) {
    unsigned bit = value >> i & 1;
    coder.bit(tree[node], bit);
    node = node << 1 | bit;
  }
}

template <typename Tree> Price tree_price(const Tree &tree, unsigned bits, uint32_t value) {
  Price sum = 0;
  for (uint32_t node = value | 1U << bits; node > 1; node >>= 1)
    sum += price(tree[node >> 1], node & 1);
  return sum;
}

// The same with the lowest bit first, `tree[offset]` being the first node.
template <typename Tree>
void code_reverse(RangeCoder &coder, Tree &tree, size_t offset, unsigned bits, uint32_t value) {
  uint32_t node = 1;
  for (unsigned i = 0; i < bits; i++) {
    unsigned bit = value >> i & 1;
    coder.bit(tree[offset + node - 1], bit);
    node = node << 1 | bit;
  }
}

template <typename Tree> Price reverse_price(const Tree &tree, size_t offset, unsigned bits, uint32_t value) {
  Price sum = 0;
  uint32_t node = 1;
  for (unsigned i = 0; i < bits; i++) {
    unsigned bit = value >> i & 1;
    sum += price(tree[offset + node - 1], bit);
    node = node << 1 | bit;
  }
  return sum;
}

unsigned slot_of(uint32_t distance) {
  if (distance < FIRST_MODELLED_SLOT)
    return distance;
  auto high = static_cast<unsigned>(31 - __builtin_clz(distance));
  return high << 1 | (distance >> (high - 1) & 1);
}

unsigned footer_bits(unsigned slot) {
  return (slot >> 1) - 1;
}

uint32_t slot_base(unsigned slot) {
  return (2U | (slot & 1)) << footer_bits(slot);
}

// Where the probabilities of the lower bits of a distance in `slot` begin.
size_t near_offset(unsigned slot) {
  return slot_base(slot) - slot;
}

unsigned length_class(uint32_t length) {
  return std::min(length - LZMA_MIN_MATCH, 3U);
}

template <typename Array> void make_even(Array &array) {
  array.fill(EVEN);
}

} // namespace

void RangeCoder::bit(uint16_t &probability, unsigned bit) {
  uint32_t bound = (range_ >> PROBABILITY_BITS) * probability;
  if (bit == 0) {
    range_ = bound;
    probability = static_cast<uint16_t>(probability + (((1U << PROBABILITY_BITS) - probability) >> ADAPTION));
  } else {
    low_ += bound;
    range_ -= bound;
    probability = static_cast<uint16_t>(probability - (probability >> ADAPTION));
  }
  while (range_ < TOP) {
    range_ <<= 8;
    shift_low();
  }
}

void RangeCoder::direct(uint32_t value, unsigned bits) {
  for (unsigned i = bits; i-- > 0;) {
    range_ >>= 1;
    if ((value >> i & 1) != 0)
      low_ += range_;
    while (range_ < TOP) {
      range_ <<= 8;
      shift_low();
    }
  }
}

void RangeCoder::shift_low() {
  if (low_ < 0xff000000 || low_ > UINT32_MAX) {
    auto carry = static_cast<uint8_t>(low_ >> 32);
    do {
      out_.push_back(static_cast<uint8_t>(cache_ + carry));
      cache_ = 0xff;
    } while (--pending_ != 0);
    cache_ = static_cast<uint8_t>(low_ >> 24);
  }
  pending_++;
  low_ = (low_ & 0x00ffffff) << 8;
}

Bytes RangeCoder::finish() {
  for (unsigned i = 0; i < 5; i++)
    shift_low();
  Bytes out = std::move(out_);
  *this = RangeCoder();
  return out;
}

LzmaState LzmaState::after(const LzmaSymbol &symbol) const {
  LzmaState next = *this;
  bool literal_before = state < 7;
  switch (symbol.kind) {
  case LzmaSymbol::Literal:
    next.state = static_cast<uint8_t>(state < 4 ? 0 : state < 10 ? state - 3 : state - 6);
    break;
  case LzmaSymbol::ShortRep:
    next.state = literal_before ? 9 : 11;
    break;
  case LzmaSymbol::Rep:
    next.state = literal_before ? 8 : 11;
    for (unsigned i = symbol.rep; i > 0; i--)
      next.reps[i] = reps[i - 1];
    next.reps[0] = reps[symbol.rep];
    break;
  case LzmaSymbol::Match:
    next.state = literal_before ? 7 : 10;
    next.reps = {symbol.distance, reps[0], reps[1], reps[2]};
    break;
  }
  return next;
}

LzmaModel::LzmaModel(unsigned literal_context, unsigned literal_position, unsigned position)
    : literal_context_(literal_context), literal_mask_((size_t{1} << literal_position) - 1),
      position_mask_((size_t{1} << position) - 1),
      literals_(size_t{LITERAL_SIZE} << (literal_context + literal_position), EVEN) {
  for (auto &probabilities : is_match_)
    make_even(probabilities);
  for (auto &probabilities : is_rep0_long_)
    make_even(probabilities);
  for (auto *probabilities : {&is_rep_, &is_rep0_, &is_rep1_, &is_rep2_})
    make_even(*probabilities);
  for (auto &probabilities : slots_)
    make_even(probabilities);
  make_even(near_);
  make_even(align_);
  for (Lengths *lengths : {&match_lengths_, &rep_lengths_}) {
    lengths->choice = lengths->choice2 = EVEN;
    for (auto &probabilities : lengths->low)
      make_even(probabilities);
    for (auto &probabilities : lengths->middle)
      make_even(probabilities);
    make_even(lengths->high);
  }
  refresh_prices();
}

size_t LzmaModel::literal_base(View text, size_t at) const {
  unsigned before = at > 0 ? text.data[at - 1] : 0;
  return LITERAL_SIZE * (((at & literal_mask_) << literal_context_) + (before >> (8 - literal_context_)));
}

void LzmaModel::code(RangeCoder &coder, const LzmaState &state, const LzmaSymbol &symbol, View text,
                     size_t at) {
  size_t position = at & position_mask_;
  unsigned now = state.state;
  if (symbol.kind == LzmaSymbol::Literal) {
    coder.bit(is_match_[now][position], 0);
    return code_literal(coder, state, text, at);
  }
  coder.bit(is_match_[now][position], 1);
  if (symbol.kind == LzmaSymbol::Match) {
    coder.bit(is_rep_[now], 0);
    code_length(coder, match_lengths_, symbol.length, at);
    return code_distance(coder, symbol.distance, symbol.length);
  }
  coder.bit(is_rep_[now], 1);
  if (symbol.rep == 0) {
    coder.bit(is_rep0_[now], 0);
    coder.bit(is_rep0_long_[now][position], symbol.kind == LzmaSymbol::Rep ? 1 : 0);
  } else {
    coder.bit(is_rep0_[now], 1);
    coder.bit(is_rep1_[now], symbol.rep > 1 ? 1 : 0);
    if (symbol.rep > 1)
      coder.bit(is_rep2_[now], symbol.rep - 2U);
  }
  if (symbol.kind == LzmaSymbol::Rep)
    code_length(coder, rep_lengths_, symbol.length, at);
}

void LzmaModel::code_literal(RangeCoder &coder, const LzmaState &state, View text, size_t at) {
  Probability *tree = &literals_[literal_base(text, at)];
  uint32_t value = text.data[at], node = 1;
  if (!state.after_match())
    return code_tree(coder, tree, 8, value);
  // As long as the bits are those of the byte at the last distance, they depend on them.
  uint32_t like = text.data[at - state.reps[0] - 1], offset = 0x100;
  for (unsigned i = 8; i-- > 0;) {
    unsigned bit = value >> i & 1, expected = like >> i & 1;
    coder.bit(tree[offset == 0 ? node : offset + (expected << 8) + node], bit);
    node = node << 1 | bit;
    if (bit != expected)
      offset = 0;
  }
}

void LzmaModel::code_length(RangeCoder &coder, Lengths &lengths, uint32_t length, size_t at) {
  size_t position = at & position_mask_;
  uint32_t value = length - LZMA_MIN_MATCH;
  coder.bit(lengths.choice, value >= 8 ? 1 : 0);
  if (value < 8)
    return code_tree(coder, lengths.low[position], 3, value);
  coder.bit(lengths.choice2, value >= 16 ? 1 : 0);
  if (value < 16)
    return code_tree(coder, lengths.middle[position], 3, value - 8);
  code_tree(coder, lengths.high, 8, value - 16);
}

void LzmaModel::code_distance(RangeCoder &coder, uint32_t distance, uint32_t length) {
  unsigned slot = slot_of(distance);
  code_tree(coder, slots_[length_class(length)], 6, slot);
  if (slot < FIRST_MODELLED_SLOT)
    return;
  unsigned bits = footer_bits(slot);
  uint32_t rest = distance - slot_base(slot);
  if (slot < FIRST_DIRECT_SLOT)
    return code_reverse(coder, near_, near_offset(slot), bits, rest);
  coder.direct(rest >> ALIGN_BITS, bits - ALIGN_BITS);
  code_reverse(coder, align_, 1, ALIGN_BITS, rest & ((1 << ALIGN_BITS) - 1));
}

Price LzmaModel::literal(const LzmaState &state, View text, size_t at) const {
  Price sum = price(is_match_[state.state][at & position_mask_], 0);
  const Probability *tree = &literals_[literal_base(text, at)];
  uint32_t value = text.data[at];
  if (!state.after_match())
    return sum + tree_price(tree, 8, value);
  uint32_t like = text.data[at - state.reps[0] - 1], offset = 0x100, node = 1;
  for (unsigned i = 8; i-- > 0;) {
    unsigned bit = value >> i & 1, expected = like >> i & 1;
    sum += price(tree[offset == 0 ? node : offset + (expected << 8) + node], bit);
    node = node << 1 | bit;
    if (bit != expected)
      offset = 0;
  }
  return sum;
}

Price LzmaModel::short_rep(const LzmaState &state, size_t at) const {
  unsigned now = state.state;
  size_t position = at & position_mask_;
  return price(is_match_[now][position], 1) + price(is_rep_[now], 1) + price(is_rep0_[now], 0) +
         price(is_rep0_long_[now][position], 0);
}

Price LzmaModel::rep(const LzmaState &state, unsigned rep, size_t at) const {
  unsigned now = state.state;
  size_t position = at & position_mask_;
  Price sum = price(is_match_[now][position], 1) + price(is_rep_[now], 1);
  if (rep == 0)
    return sum + price(is_rep0_[now], 0) + price(is_rep0_long_[now][position], 1);
  sum += price(is_rep0_[now], 1) + price(is_rep1_[now], rep > 1 ? 1 : 0);
  return rep > 1 ? sum + price(is_rep2_[now], rep - 2) : sum;
}

Price LzmaModel::match(const LzmaState &state, size_t at) const {
  return price(is_match_[state.state][at & position_mask_], 1) + price(is_rep_[state.state], 0);
}

Price LzmaModel::distance(uint32_t distance, uint32_t length) const {
  unsigned kind = length_class(length);
  if (distance < NEAR_DISTANCES)
    return near_prices_[kind][distance];
  return slot_prices_[kind][slot_of(distance)] + align_prices_[distance & ((1 << ALIGN_BITS) - 1)];
}

void LzmaModel::refresh(Lengths &lengths) const {
  Price low = price(lengths.choice, 0), high = price(lengths.choice, 1),
        middle = high + price(lengths.choice2, 0);
  high += price(lengths.choice2, 1);
  std::array<Price, 256> highs;
  for (uint32_t i = 0; i < highs.size(); i++)
    highs[i] = high + tree_price(lengths.high, 8, i);
  for (size_t position = 0; position <= position_mask_; position++) {
    auto &prices = lengths.prices[position];
    for (uint32_t i = 0; i < 8; i++) {
      prices[i] = low + tree_price(lengths.low[position], 3, i);
      prices[8 + i] = middle + tree_price(lengths.middle[position], 3, i);
    }
    std::copy(highs.begin(), highs.end(), prices.begin() + 16);
  }
}

void LzmaModel::refresh_prices() {
  refresh(match_lengths_);
  refresh(rep_lengths_);
  for (uint32_t i = 0; i < align_prices_.size(); i++)
    align_prices_[i] = reverse_price(align_, 1, ALIGN_BITS, i);
  for (unsigned kind = 0; kind < LENGTH_CLASSES; kind++) {
    for (unsigned slot = 0; slot < SLOTS; slot++) {
      slot_prices_[kind][slot] = tree_price(slots_[kind], 6, slot);
      if (slot >= FIRST_DIRECT_SLOT)
        slot_prices_[kind][slot] += (footer_bits(slot) - ALIGN_BITS) * PRICE_OF_BIT;
    }
    for (uint32_t distance = 0; distance < NEAR_DISTANCES; distance++) {
      unsigned slot = slot_of(distance);
      near_prices_[kind][distance] = slot_prices_[kind][slot];
      if (slot >= FIRST_MODELLED_SLOT)
        near_prices_[kind][distance] +=
            reverse_price(near_, near_offset(slot), footer_bits(slot), distance - slot_base(slot));
    }
  }
}

} // namespace trees::delta
