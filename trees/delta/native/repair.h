// Applies single parts of a bundle: what repairing an object needs, of which only a few parts were fetched.
#pragma once

#include "apply.h"

namespace trees::delta {

// Writes those objects of some parts that the repository lacks, within one transaction; and the commit
// object, if that is missing and `with_commit`. Every object is verified. The bundle may be a sparse file:
// nothing but the tail and these parts is read. Sets no ref. Throws Failure; the repository's objects are as
// before then.
ApplyStats apply_parts(OpenBundle &bundle, const std::string &repository, const std::vector<size_t> &parts,
                       bool with_commit, Job &job);

} // namespace trees::delta
