// Writes verified objects to the stage of an apply. Safe to use from several threads.
#pragma once

#include "../../native-support/sha256_lanes.h"
#include "codec.h"
#include "crew.h"
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

  // Regular files whose content is at hand. They are written by all threads that have nothing else to do, and
  // their checksums verified many at a time, which is much faster on some CPUs. To be filled by one thread.
  class Batch {
  public:
    Batch(ObjectWriter &writer, Crew &crew, const Job &job) : writer_(writer), crew_(crew), job_(job) {}
    // What `pieces` show must stay where it is until `finish`. Throws as `finish` does if that became due.
    void add(const Checksum &checksum, const FileAttributes &attributes, std::vector<View> pieces);
    // Throws BUNDLE_CORRUPT unless each of the objects has its checksum. To be called at the end.
    void finish();

  private:
    struct Pending {
      Checksum expected;
      FileAttributes attributes;
      Bytes xattrs;
      Bytes header;
      std::vector<View> pieces;
      uint64_t size;
    };
    // What one thread does at a time, for `count` files.
    struct Step {
      size_t first;
      size_t count;
      bool write;
      bool verify;
    };
    std::vector<Step> steps() const;
    void write(const Pending &file) const;
    void verify(const Step &step) const;
    ObjectWriter &writer_;
    Crew &crew_;
    const Job &job_;
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
