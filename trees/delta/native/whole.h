// Whether a commit that is about to enter a repository has everything that belongs to it.
#pragma once

#include "stage.h"
#include "superblock.h"

namespace trees::delta {

// A bundle may be made for another source, or leave something out: nothing incomplete gets a ref. Looks at
// every object that the commit reaches, in the stage and in the repository. Throws BUNDLE_CORRUPT or, for a
// bundle with a source, STORE_CORRUPT.
void check_whole(const Repo &repo, const Stage &stage, const Superblock &block, const Job &job);

} // namespace trees::delta
