// Writes verified objects to the stage of an apply. Safe to use from several threads.
#pragma once

#include "../../native-support/sha256_lanes.h"
#include "codec.h"
#include "stage.h"

namespace trees::delta {

class ObjectWriter {
public:
  explicit ObjectWriter(Stage &stage) : stage_(stage) {}

  // Throw BUNDLE_CORRUPT if the object does not have the checksum.
  void metadata(OstreeObjectType type, const Checksum &checksum, View content);
  void symlink(const Checksum &checksum, const FileAttributes &attributes, View target);

  // Attributes of a regular file before its content; the rest comes by `append`. Nothing is held in memory
  // but what small appends collect.
  class File {
  public:
    File(ObjectWriter &writer, const Checksum &checksum, const FileAttributes &attributes, uint64_t size);
    void append(View bytes);
    uint64_t size() const { return size_; }
    // Bytes that are still missing.
    uint64_t left() const { return size_ - written_; }
    // Throws BUNDLE_CORRUPT unless the object has its checksum.
    void finish();

  private:
    void flush();
    void write(View bytes);
    ObjectWriter &writer_;
    Checksum checksum_;
    FileAttributes attributes_;
    uint64_t size_;
    uint64_t written_ = 0;
    Sha256 hash_;
    Fd fd_;
    Bytes pending_;
  };

  // Regular files whose content is in memory: written one by one, their checksums verified many at a time,
  // which is much faster on some CPUs. For use by one thread.
  class Batch {
  public:
    explicit Batch(ObjectWriter &writer) : writer_(writer) {}
    // Whether a file of that size is better off here than in a `File`.
    static bool takes(uint64_t size);
    // `content` must stay where it is until `verify`. Throws as `verify` does if that became due.
    void add(const Checksum &checksum, const FileAttributes &attributes, View content);
    // Throws BUNDLE_CORRUPT unless each of the objects has its checksum. To be called at the end.
    void verify();

  private:
    struct Pending {
      Checksum expected;
      Bytes header;
      View content;
    };
    ObjectWriter &writer_;
    std::vector<Pending> pending_;
    uint64_t size_ = 0;
  };

  uint64_t objects() const { return objects_; }
  uint64_t bytes() const { return bytes_; }

private:
  Stage &stage_;
  std::atomic<uint64_t> objects_{0};
  std::atomic<uint64_t> bytes_{0};
};

// The content does not have the checksum that it should have.
class Mismatch : public Failure {
public:
  Mismatch(OstreeObjectType type, const Checksum &expected, const Checksum &actual);
};

} // namespace trees::delta
