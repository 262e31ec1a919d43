#include "repair.h"

namespace trees::delta {

ApplyStats apply_parts(OpenBundle &bundle, const std::string &repository, const std::vector<size_t> &parts,
                       bool with_commit, Job &job) {
  ApplyOptions options;
  options.repository = repository;
  options.only = PartSelection{parts, with_commit};
  return apply(bundle, options, job);
}

} // namespace trees::delta
