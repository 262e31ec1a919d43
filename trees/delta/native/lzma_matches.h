// Finds what LZMA may copy in data that is mostly zeros: matches are looked for at other bytes only, and
// reach back into the zeros before them.
#pragma once

#include <span>

#include "lzma_model.h"

namespace trees::delta {

// `length` bytes from a place on equal those `distance` back; so do `before` zeros just before it.
struct LzmaMatch {
  uint32_t distance;
  uint16_t length;
  uint32_t before;
};

struct LzmaEffort {
  unsigned depth;  // how many earlier places are looked at for each, in each search tree
  unsigned spread; // there is one more tree for 2^spread times as many zeros before a place
  unsigned ways;   // different histories kept for each place
  uint32_t nice;   // a match of this length is taken whole
  size_t refresh;  // after so many symbols prices follow the model
};

class LzmaMatches {
public:
  LzmaMatches(View text, const LzmaEffort &effort);

  // Of a byte that is not zero: the nearest first. Whatever is further away is longer, or reaches further
  // back. Places never get less, but after `forget`, which allows any from there on.
  std::span<const LzmaMatch> at(size_t place);
  void forget(size_t before);

private:
  void find();
  size_t trees_of(size_t zeros) const;
  uint32_t zeros_before(size_t number) const;
  void search(size_t tree);
  void consider(size_t number, uint32_t length);

  View text_;
  LzmaEffort effort_;
  std::vector<uint32_t> places_; // of bytes that are not zero
  std::vector<uint32_t> pairs_;  // the latest place, plus one, that begins with two bytes
  // Search trees of places that begin with the same three bytes, about: of all, of those after at least so
  // many zeros, and so on; the children of each place in each are a smaller and a larger one.
  std::vector<uint32_t> roots_, sons_;
  unsigned root_bits_;
  std::vector<uint32_t> first_son_; // of each place
  size_t next_ = 0;
  std::vector<LzmaMatch> found_; // of the place that is searched
  // What was found of the places since the one that was forgotten last, and the one that was asked for last.
  struct Known {
    uint32_t place;
    uint32_t begin, end; // in `matches_`
  };
  std::vector<Known> known_;
  std::vector<LzmaMatch> matches_;
  size_t asked_ = 0;
};

} // namespace trees::delta
