// Longest matches of arbitrary bytes within a source, by a suffix array.
#pragma once

#include <divsufsort.h>

#include "support.h"

namespace trees::delta {

class SuffixArray {
public:
  // Up to 2 GiB; takes four bytes of memory for each of the source.
  explicit SuffixArray(View source);

  struct Match {
    size_t position;
    size_t length;
  };
  // The longest prefix of `text` that occurs in the source.
  Match longest(View text) const;

private:
  View source_;
  std::vector<saidx_t> order_;
  // For every two bytes, the first suffix that is not before them.
  std::vector<saidx_t> buckets_;
};

} // namespace trees::delta
