// Finds, for each new file, the file of the source commit that it most resembles.
#pragma once

#include "plan.h"

namespace trees::delta {

// Sets `source` of the files for which there is a likely one: same path, similar name, or similar content.
void find_sources(const Repo &repo, const Tree &old_tree, std::vector<NewFile> &files, Crew &crew,
                  const Job &job);

} // namespace trees::delta
