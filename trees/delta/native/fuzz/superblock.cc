// Feeds whole files to the reader of bundles: seek table, frames, superblock, entries.
#include <sys/mman.h>
#include <unistd.h>

#include "../superblock.h"

using namespace trees;
using namespace trees::delta;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  Fd file(memfd_create("bundle", MFD_CLOEXEC));
  write_all(file.get(), data, size);
  Job job;
  try {
    Source source("/proc/self/fd/" + std::to_string(file.get()), "/tmp", true, job);
    Superblock block = read_superblock(source, job);
    for (const EntrySpan &span : block.entries) {
      source.stored(span.start, span.end);
      parse_entry(source.read(span.start, span.end - span.start, job).view());
    }
  } catch (const Failure &) {
    // Refusing is right; anything else is a finding.
  }
  return 0;
}
