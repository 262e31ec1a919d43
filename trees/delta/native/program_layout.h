// How the programs of a part lie in its payload: what is alike in all of them together.
#pragma once

#include "plan.h"
#include "xz.h"

namespace trees::delta {

// Puts the programs into the part, taken apart at their sections, and those sorted by their kind.
void add_programs(PartBuilder &builder, const std::vector<const NewFile *> &files, const Repo &repo,
                  const Job &job);

// What suits content of that kind.
XzModel model_of(Content kind);

// A stretch of a part with one model.
struct ModelStretch {
  XzModel model;
  uint64_t size;
};

// Covers a part of `size` bytes whose payload begins at `payload`. Of a model, only the filter counts if
// `filters_only`: there are fewer stretches then.
std::vector<ModelStretch> model_stretches(const std::vector<PayloadStretch> &stretches, uint64_t payload,
                                          uint64_t size, bool filters_only);

// Where such a part is best cut into pieces that are compressed on their own: between its stretches, as what
// is of different kinds has little in common, and within those that are too long for one thread.
std::vector<uint64_t> frame_cuts(const std::vector<PayloadStretch> &stretches, uint64_t payload,
                                 uint64_t size);

} // namespace trees::delta
