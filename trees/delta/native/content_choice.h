// Decides how a new file goes into a part: whole, as a patch, or as ranges of its source.
#pragma once

#include "plan.h"

namespace trees::delta {

struct ChoiceOptions {
  const Repo &repo;
  CompareOptions compare;
};

// Compares the file with its source and sets `delivery`, `segments`, `ranges` and `payload`.
void choose_delivery(NewFile &file, const ChoiceOptions &options);

// Puts the file into a part in the way that was chosen.
void add_content(PartBuilder &builder, const NewFile &file, const Repo &repo);

} // namespace trees::delta
