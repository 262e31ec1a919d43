#include "lzma_parse.h"

#include <algorithm>

#include "byte_scan.h"

namespace trees::delta {

namespace {

// A stretch has at most so many bytes, and so many of them that are not zero; less in the beginning, when
// prices say little.
constexpr size_t MAX_STRETCH = 64 << 10;
constexpr uint32_t MAX_BUDGET = 512;
constexpr uint32_t FIRST_BUDGET = 128;
// So many zeros are coded by the longest symbols without looking for anything better.
constexpr size_t MANY_ZEROS = 4 * LZMA_MAX_MATCH;
// Bytes at the end of a stretch that are looked at again with the next one.
constexpr size_t GIVEN_BACK = 2 * LZMA_MAX_MATCH;
// Zeros before and after other bytes that may be coded as literals.
constexpr size_t EDGE = 2;
// Histories that cost so much more than the best are not kept.
constexpr Price MAX_DETOUR = 6 * PRICE_OF_BIT;

} // namespace

LzmaParser::LzmaParser(View text, const LzmaEffort &effort)
    : text_(text), effort_(effort), matches_(text, effort), budget_(FIRST_BUDGET) {
  size_t places = std::min(text.size, MAX_STRETCH) + 1;
  counts_.resize(places);
  arrivals_.resize(places * effort.ways);
  states_.resize(places * effort.ways);
  next_event_.resize(places);
}

// The end of the next stretch: before long runs of zeros, or where it has become too much.
size_t LzmaParser::choose_end(size_t at, bool &cut) const {
  size_t limit = std::min(text_.size, at + MAX_STRETCH);
  uint32_t others = 0;
  for (size_t i = at; i < limit; i++) {
    size_t zeros = i;
    i = skip_zeros(View(text_.data, limit), i);
    if (i - zeros > MANY_ZEROS && others > 0)
      return zeros + 1 + LZMA_MAX_MATCH;
    if (i < limit && ++others > budget_) {
      cut = true;
      return i;
    }
  }
  cut = limit < text_.size;
  return limit;
}

// Most of a long run of zeros, up to some that the matches after it may begin with.
size_t LzmaParser::code_zeros(size_t at, const LzmaState &first) {
  size_t zeros = skip_zeros(text_, at) - at;
  if (zeros <= MANY_ZEROS)
    return at;
  size_t left = zeros - LZMA_MAX_MATCH;
  LzmaState state = first;
  auto add = [&](const LzmaSymbol &symbol) {
    symbols_.push_back(symbol);
    state = state.after(symbol);
    at += symbol.length;
    left -= symbol.length;
  };
  if (at == 0 || text_.data[at - 1] != 0)
    add({LzmaSymbol::Literal, 0, 1, 0});
  while (left >= LZMA_MAX_MATCH) {
    uint8_t rep = 0;
    while (rep < LZMA_REPS &&
           (state.reps[rep] >= at || text_.data[at - state.reps[rep] - 1] != 0 ||
            common_prefix(View(text_.data + at, LZMA_MAX_MATCH),
                          View(text_.data + at - state.reps[rep] - 1, LZMA_MAX_MATCH)) < LZMA_MAX_MATCH))
      rep++;
    if (rep < LZMA_REPS)
      add({LzmaSymbol::Rep, rep, LZMA_MAX_MATCH, state.reps[rep]});
    else
      add({LzmaSymbol::Match, 0, LZMA_MAX_MATCH, 0});
  }
  return at;
}

size_t LzmaParser::parse(const LzmaModel &model, size_t at, const LzmaState &state) {
  symbols_.clear();
  size_t skipped = code_zeros(at, state);
  if (skipped > at)
    return skipped;
  start_ = at;
  bool cut = false;
  end_ = choose_end(at, cut);
  matches_.forget(at);
  budget_ = std::min(MAX_BUDGET, budget_ * 2);
  size_t size = end_ - start_;
  std::fill_n(counts_.begin(), size + 1, 0);
  uint32_t event = static_cast<uint32_t>(size);
  for (size_t i = size; i-- > 0;) {
    next_event_[i] = event;
    if (text_.data[start_ + i] != 0 || (start_ + i > 0 && text_.data[start_ + i - 1] != 0))
      event = static_cast<uint32_t>(i);
  }
  counts_[0] = 1;
  arrivals_[0] = {0, 0, state.reps[0], {}, 0};
  states_[0] = state;
  for (size_t i = 0; i < size; i++)
    if (counts_[i] != 0)
      visit(model, start_ + i);
  trace(size);
  return cut ? give_back() : end_;
}

// Nothing was known of what comes after the end: the last symbols are chosen again with the next stretch.
size_t LzmaParser::give_back() {
  size_t end = end_, kept = end_ - std::min(GIVEN_BACK, (end_ - start_) / 4);
  while (symbols_.size() > 1 && end > kept) {
    end -= symbols_.back().length;
    symbols_.pop_back();
  }
  return end;
}

uint32_t LzmaParser::common(size_t at, uint32_t distance) const {
  if (distance >= at || text_.data[at] != text_.data[at - distance - 1])
    return 0;
  size_t limit = std::min<size_t>(LZMA_MAX_MATCH, end_ - at);
  return static_cast<uint32_t>(
      common_prefix(View(text_.data + at, limit), View(text_.data + at - distance - 1, limit)));
}

// The lengths in (above, length] that a symbol at `at` may sensibly have.
template <typename Use> void LzmaParser::each_end(size_t at, uint32_t above, uint32_t length, Use use) const {
  above = std::max(above, LZMA_MIN_MATCH - 1);
  if (above >= length)
    return;
  auto first = static_cast<uint32_t>(at - start_);
  for (uint32_t end = next_event_[first + above]; end < first + length; end = next_event_[end])
    use(end - first);
  use(length);
}

void LzmaParser::reach(const Arrival &arrival) {
  size_t to = arrival.from + arrival.symbol.length;
  uint8_t &count = counts_[to];
  Arrival *there = &arrivals_[to * effort_.ways];
  if (count == effort_.ways && arrival.price >= there[count - 1].price)
    return;
  if (count > 0 && arrival.price > there[0].price + MAX_DETOUR)
    return;
  // Of those with the same last distance the cheapest is kept.
  unsigned place = 0;
  while (place < count && there[place].price <= arrival.price) {
    if (there[place].last_distance == arrival.last_distance)
      return;
    place++;
  }
  unsigned gone = place;
  while (gone < count && there[gone].last_distance != arrival.last_distance)
    gone++;
  if (gone == count) {
    if (count < effort_.ways)
      count++;
    gone = count - 1U;
  }
  for (; gone > place; gone--)
    there[gone] = there[gone - 1];
  there[place] = arrival;
}

void LzmaParser::visit(const LzmaModel &model, size_t at) {
  const auto index = static_cast<uint32_t>(at - start_);
  const uint8_t byte = text_.data[at];
  size_t event = byte != 0 ? at : start_ + next_event_[index];
  const bool literals =
      event - at <= EDGE || at < EDGE || text_.data[at - 1] != 0 || text_.data[at - EDGE] != 0;
  uint32_t longest_rep = 0;
  for (unsigned way = 0; way < counts_[index]; way++) {
    const Arrival &arrival = arrivals_[index * effort_.ways + way];
    LzmaState &state = states_[index * effort_.ways + way];
    if (index > 0)
      state = states_[arrival.from * effort_.ways + arrival.from_way].after(arrival.symbol);
    const Price price = arrival.price;
    auto from_way = static_cast<uint8_t>(way);
    if (literals)
      reach({price + model.literal(state, text_, at),
             index,
             state.reps[0],
             {LzmaSymbol::Literal, 0, 1, 0},
             from_way});
    uint32_t above = 0;
    for (uint8_t rep = 0; rep < LZMA_REPS; rep++) {
      uint32_t distance = state.reps[rep], length = common(at, distance);
      if (length == 0)
        continue;
      if (rep == 0 && literals)
        reach({price + model.short_rep(state, at),
               index,
               distance,
               {LzmaSymbol::ShortRep, 0, 1, distance},
               from_way});
      if (length < LZMA_MIN_MATCH)
        continue;
      Price base = price + model.rep(state, rep, at);
      auto use = [&](uint32_t end) {
        reach({base + model.rep_length(end, at),
               index,
               distance,
               {LzmaSymbol::Rep, rep, static_cast<uint16_t>(end), distance},
               from_way});
      };
      longest_rep = std::max(longest_rep, length);
      if (length >= effort_.nice)
        use(length);
      else
        each_end(at, above, length, use);
      above = std::max(above, length);
    }
  }
  if (longest_rep >= effort_.nice)
    return;
  Price base = arrivals_[index * effort_.ways].price + model.match(states_[index * effort_.ways], at);
  auto match = [&](uint32_t distance, uint32_t above, uint32_t length) {
    auto use = [&](uint32_t end) {
      reach({base + model.match_length(end, at) + model.distance(distance, end),
             index,
             distance,
             {LzmaSymbol::Match, 0, static_cast<uint16_t>(end), distance},
             0});
    };
    if (length >= effort_.nice)
      use(length);
    else
      each_end(at, above, length, use);
  };
  auto zeros = static_cast<uint32_t>(std::min<size_t>(event - at, LZMA_MAX_MATCH));
  if (zeros >= LZMA_MIN_MATCH && at > 0 && text_.data[at - 1] == 0)
    match(0, 0, zeros);
  if (event >= end_ || zeros >= effort_.nice)
    return;
  auto limit = static_cast<uint32_t>(std::min<size_t>(LZMA_MAX_MATCH, end_ - at));
  uint32_t above = 0;
  for (const LzmaMatch &found : matches_.at(event)) {
    if (found.before < zeros)
      continue;
    uint32_t length = std::min(limit, zeros + found.length);
    match(found.distance, above, length);
    above = std::max(above, length);
  }
}

void LzmaParser::trace(size_t end) {
  unsigned way = 0;
  for (size_t at = end; at > 0;) {
    const Arrival &arrival = arrivals_[at * effort_.ways + way];
    symbols_.push_back(arrival.symbol);
    at = arrival.from;
    way = arrival.from_way;
  }
  std::reverse(symbols_.begin(), symbols_.end());
}

} // namespace trees::delta
