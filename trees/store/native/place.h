// Putting single entries of a tree into directories.
#pragma once

#include "checkout.h"
#include "scan.h"
#include "source.h"

namespace trees::store {

struct Directory;
using DirectoryPtr = std::shared_ptr<Directory>;

// A directory that is being filled. The descriptor is open until it is finished.
struct Directory {
  Directory(DirectoryPtr above, std::string_view entry) : parent(std::move(above)), name(entry) {}

  // Relative to the root, for messages.
  std::string path() const;

  const DirectoryPtr parent;
  const std::string name;
  Fd fd;
  // We made it, so it gets owner, mode and attributes.
  bool created = false;
  const DirMeta *meta = nullptr;
  SharedBytes bytes;
  DirTree tree;
  // Entries that are not there yet.
  std::atomic<size_t> left{0};
};

// What one thread did.
struct Placed {
  uint64_t files = 0;
  uint64_t size = 0;
  uint64_t placed = 0;
  uint64_t same = 0;
  std::vector<std::string> kept;

  void add(Placed &&other);
};

// Safe to use from several threads.
class Placer {
public:
  Placer(const CheckoutOptions &options, FileSource &source, const Job &job)
      : options_(options), source_(source), job_(job) {}

  // Failures name the path.
  void file(const Directory &directory, const FileEntry &entry, Placed &placed);
  DirectoryPtr directory(const DirectoryPtr &parent, const DirEntry &entry, const DirMeta &meta);
  // Once all entries are there: until then nobody else can get in, and its owner can write.
  void finish(Directory &directory);

private:
  bool put(const Wanted &wanted, int directory, const char *name);
  void replace(const Wanted &wanted, int directory, const char *name);
  void meet(const Directory &directory, const char *name, const Wanted &wanted, Placed &placed);
  bool make_directory(const Directory &parent, const char *name);

  const CheckoutOptions &options_;
  FileSource &source_;
  const Job &job_;
};

// Another descriptor of the same directory. Throws Failure.
Fd duplicate(int fd);

} // namespace trees::store
