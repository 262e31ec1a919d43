// Finds what LZMA may copy in data that is mostly zeros: matches are looked for at other bytes only, and
// reach back into the zeros before them.
#pragma once

#include "lzma_model.h"

namespace trees::delta {

// `length` bytes from a place on equal those `distance` back; so do `before` zeros just before it.
struct LzmaMatch {
  uint32_t distance;
  uint16_t length;
  uint32_t before;
};

class LzmaMatches {
public:
  // `depth` is how many earlier places are looked at for each.
  LzmaMatches(View text, unsigned depth);

  // Goes on to the first byte from `at` on that is not zero, and finds its matches. `at` never gets less.
  // Returns where it is, or the end of the text.
  size_t advance(size_t at);
  // Of that byte: whatever is further away is longer, or reaches further back.
  const std::vector<LzmaMatch> &found() const { return found_; }

private:
  void find();
  uint32_t zeros_before(size_t number) const;
  void search(size_t tree);
  void consider(size_t number, uint32_t length);

  View text_;
  unsigned depth_;
  std::vector<uint32_t> places_; // of bytes that are not zero
  std::vector<uint32_t> pairs_;  // the latest place, plus one, that begins with two bytes
  // Search trees of places that begin with the same three bytes, about: of all, of those after at least so
  // many zeros, and so on; the children of each place in each are a smaller and a larger one.
  std::vector<uint32_t> roots_, sons_;
  std::vector<uint32_t> first_son_; // of each place
  size_t next_ = 0;
  std::vector<LzmaMatch> found_;
};

} // namespace trees::delta
