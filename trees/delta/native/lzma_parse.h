// Chooses how LZMA codes data that is mostly zeros: the cheapest sequence of symbols by the model's prices.
#pragma once

#include "lzma_matches.h"

namespace trees::delta {

class LzmaParser {
public:
  LzmaParser(View text, const LzmaEffort &effort);

  // Chooses symbols for a stretch from `at` on, where the state is `state`; returns its end. They are in
  // `symbols()`.
  size_t parse(const LzmaModel &model, size_t at, const LzmaState &state);
  const std::vector<LzmaSymbol> &symbols() const { return symbols_; }

private:
  // A way to get to a place.
  struct Arrival {
    Price price;
    uint32_t from;          // place before the last symbol, from the start of the stretch
    uint32_t last_distance; // after it
    LzmaSymbol symbol;
    uint8_t from_way; // there
  };

  size_t choose_end(size_t at, bool &cut) const;
  size_t give_back();
  size_t code_zeros(size_t at, const LzmaState &state);
  void visit(const LzmaModel &model, size_t at);
  void reach(const Arrival &arrival);
  template <typename Use> void each_end(size_t at, uint32_t above, uint32_t length, Use use) const;
  uint32_t common(size_t at, uint32_t distance) const;
  void trace(size_t end);

  View text_;
  LzmaEffort effort_;
  LzmaMatches matches_;
  size_t start_ = 0, end_ = 0;
  uint32_t budget_;
  std::vector<uint8_t> counts_;      // of arrivals at each place of the stretch
  std::vector<Arrival> arrivals_;    // `ways` for each place
  std::vector<LzmaState> states_;    // after them, of the places that were visited
  std::vector<uint32_t> next_event_; // of each place, the first after it where a symbol may sensibly end
  std::vector<LzmaSymbol> symbols_;
};

} // namespace trees::delta
