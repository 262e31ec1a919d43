// Decides what goes into a bundle and into which part of it.
#pragma once

#include <optional>

#include "part.h"
#include "repo.h"

namespace trees::delta {

struct NewFile {
  Checksum checksum;
  std::string path;
  FileMeta meta;
  // What to patch it from.
  std::optional<Checksum> source;
  uint64_t source_size = 0;
};

struct PartPlan {
  // Metadata parts hold metadata objects and symlinks, the others regular files.
  std::vector<PartObject> metadata;
  std::vector<const NewFile *> symlinks;
  std::vector<const NewFile *> files;
  bool is_metadata() const { return files.empty(); }
};

struct Plan {
  std::vector<NewFile> files;
  std::vector<PartPlan> parts; // metadata last
  uint64_t bytes = 0;          // of new files
};

struct PlanOptions {
  uint64_t part_size;
  unsigned threads;
};

Plan make_plan(const Repo &repo, const std::optional<Checksum> &from, const Checksum &to,
               const PlanOptions &options, const Job &job);

} // namespace trees::delta
