// Reading a repository's loose objects, without libostree: nothing is needed of it but where an object lies.
#pragma once

#include <memory>

#include "metadata.h"

namespace trees::store {

enum class ObjectType { kCommit, kDirTree, kDirMeta, kFile };

const char *type_name(ObjectType type);

// `ab/cdef….TYPE`, below `objects/`.
class ObjectPath {
public:
  ObjectPath(const Checksum &checksum, ObjectType type);
  const char *c_str() const { return text_; }

private:
  char text_[80];
};

class Objects {
public:
  // The repository and the parents in which it looks for what it lacks.
  explicit Objects(const std::vector<std::string> &repositories);

  // A metadata object. Throws Failure STORE_CORRUPT if there is none or it cannot be read.
  Bytes read(ObjectType type, const Checksum &checksum) const;
  Root root(const Checksum &commit) const;
  // `objects/` of the repository itself, for its files.
  int directory() const { return directories_.front().get(); }

private:
  std::vector<Fd> directories_;
};

// Throws Failure STORE_CORRUPT that names the object.
[[noreturn]] void object_corrupt(ObjectType type, const Checksum &checksum, const std::string &why);

// Throws Failure STORE_CORRUPT if a metadata object's bytes are not what it is named for. Called for what
// turns out to be malformed, to tell damage from a publisher's doing.
void check_intact(ObjectType type, const Checksum &checksum, const Bytes &bytes);

} // namespace trees::store
