// Interprets the operations of one delta part. The part may be hostile: every number in it is checked.
#pragma once

#include "object_writer.h"
#include "superblock.h"

namespace trees::delta {

struct ExecuteContext {
  const Repo &repo;
  ObjectWriter &writer;
  Crew &crew;
  Job &job;
};

// `part` is the decompressed part without the compression byte. `wanted` says which of the header's objects
// are to be written. `backing` is what `part` lies in: pages of it that were used are given back where it is
// a file.
void execute_part(View part, const Blob &backing, const PartHeader &header, const std::vector<bool> &wanted,
                  const ExecuteContext &context);

} // namespace trees::delta
