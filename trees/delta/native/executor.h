// Interprets the operations of one delta part. The part may be hostile: every number in it is checked.
#pragma once

#include "object_writer.h"
#include "superblock.h"

namespace trees::delta {

struct ExecuteContext {
  const Repo &repo;
  ObjectWriter &writer;
  Job &job;
  std::string temporary;
};

// `part` is the decompressed part without the compression byte.
void execute_part(View part, const PartHeader &header, const ExecuteContext &context);

} // namespace trees::delta
