// Finds, for each new file, the file of the source commit that it most resembles.
#pragma once

#include "plan.h"

namespace trees::delta {

struct FindOptions {
  Crew &crew;
  const Job &job;
  bool quick; // large files whose path was there are not looked at
};

// Sets `source` of the files for which there is a likely one: same path, similar name, or similar content.
void find_sources(const Repo &repo, const Tree &old_tree, std::vector<NewFile> &files,
                  const FindOptions &options);

} // namespace trees::delta
