// Writes verified objects into a repository's transaction. Safe to use from several threads.
#pragma once

#include "repo.h"

namespace trees::delta {

class ObjectWriter {
public:
  ObjectWriter(const Repo &repo, Job &job) : repo_(repo), job_(job) {}

  // Throw BUNDLE_CORRUPT if the object does not have the checksum.
  void metadata(OstreeObjectType type, const Checksum &checksum, View content);
  void file(const Checksum &checksum, uint32_t uid, uint32_t gid, uint32_t mode, GVariant *xattrs,
            View content);

  uint64_t objects() const { return objects_; }
  uint64_t bytes() const { return bytes_; }

private:
  const Repo &repo_;
  Job &job_;
  std::atomic<uint64_t> objects_{0};
  std::atomic<uint64_t> bytes_{0};
};

// The content does not have the checksum that it should have.
class Mismatch : public Failure {
public:
  Mismatch(OstreeObjectType type, const Checksum &expected, const Checksum &actual);
};

} // namespace trees::delta
