// Puts a new file into a part in the way that costs least: whole, as a patch, or as ranges of its source.
#pragma once

#include "bsdiff.h"
#include "plan.h"

namespace trees::delta {

struct ContentOptions {
  const Repo &repo;
  const std::string &temporary;
  MemoryBudget &budget;
  // Sources and files above this are not compared.
  uint64_t max_compared;
  const Job &job;
};

void add_content(PartBuilder &builder, const NewFile &file, const ContentOptions &options);

} // namespace trees::delta
