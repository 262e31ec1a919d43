// Decides what goes into a bundle and into which part of it.
#pragma once

#include <optional>

#include "bsdiff.h"
#include "part.h"
#include "repo.h"

namespace trees::delta {

enum class Delivery { Whole, Patch, Ranges };

struct NewFile {
  Checksum checksum;
  std::string path;
  FileMeta meta;
  // What it is most like in the source commit.
  std::optional<Checksum> source;
  Delivery delivery = Delivery::Whole;
  std::vector<Segment> segments; // of a patch
  std::vector<CopyRange> ranges; // to copy
  uint64_t payload = 0;          // bytes it takes in a part, about
  uint64_t packed = 0;           // and of those what is left by a quick trial, if it comes from another
};

enum class PartKind {
  Patches,  // files that come from others
  Programs, // programs and libraries
  Files,    // other regular files
  Metadata, // metadata objects and symlinks, and files that need no part of their own
};

struct PartPlan {
  PartKind kind;
  std::vector<PartObject> metadata;
  std::vector<const NewFile *> symlinks;
  std::vector<const NewFile *> files;
};

struct Plan {
  std::vector<NewFile> files;
  std::vector<PartPlan> parts; // metadata last
  uint64_t bytes = 0;          // of all new objects
};

struct PlanOptions {
  uint64_t part_size;
  CompareEffort effort;
  MemoryBudget &budget;
  Crew &crew;
};

Plan make_plan(const Repo &repo, const std::optional<Checksum> &from, const Checksum &to,
               const PlanOptions &options, const Job &job);

} // namespace trees::delta
