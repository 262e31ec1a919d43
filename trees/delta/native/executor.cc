#include "executor.h"

#include <sys/stat.h>

#include <optional>

#include "framing.h"
#include "part_tables.h"

namespace trees::delta {

namespace {

constexpr size_t CHUNK = 1 << 20;
// Used pages of a mapped file are given back in stretches of this.
constexpr uint64_t RELEASE = 8 << 20;
// What operations may add up to beyond the size that the header gives: makers count symbolic links
// differently.
constexpr uint64_t SLACK_PER_OBJECT = 4096;

class Executor {
public:
  Executor(View part, const Blob &backing, const PartHeader &header, const std::vector<bool> &wanted,
           const ExecuteContext &context)
      : tables_(split_part(part)), backing_(backing), header_(header), wanted_(wanted), context_(context),
        operations_(tables_.operations), batch_(context.writer, context.crew, context.job),
        budget_(size_budget(header)) {}

  void run() {
    while (!operations_.empty()) {
      context_.job.check();
      step(static_cast<Op>(operations_.byte()));
    }
    if (open_)
      corrupt("a part ends before its last object does");
    if (next_ != header_.objects.size())
      corrupt("a part has fewer objects than its header says");
    batch_.finish();
  }

private:
  struct OpenFile {
    const PartObject &object;
    uint64_t size;
    // To be written; else the object is there already.
    bool wanted;
    // As long as all of it lies in the part, where it lies.
    std::vector<View> pieces;
    uint64_t collected = 0;
    std::optional<ObjectWriter::File> content;
  };

  static uint64_t size_budget(const PartHeader &header) {
    uint64_t slack = header.objects.size() * SLACK_PER_OBJECT, budget;
    return __builtin_add_overflow(header.unpacked, slack, &budget) ? UINT64_MAX : budget;
  }

  // A size is claimed long before the bytes that prove it come.
  void spend(uint64_t size) {
    if (size > budget_)
      corrupt("the objects of a part are larger than its header says");
    budget_ -= size;
  }

  void step(Op op) {
    switch (op) {
    case Op::OpenSpliceClose:
      return splice();
    case Op::Open:
      return open();
    case Op::Write:
      return write();
    case Op::SetReadSource:
      return set_source(operations_.number());
    case Op::UnsetReadSource:
      has_source_ = false;
      return;
    case Op::Close:
      return close();
    case Op::Bspatch:
      return patch();
    }
    corrupt("a part has an unknown operation");
  }

  const PartObject &take_object() {
    if (open_)
      corrupt("a part opens an object within another");
    if (next_ == header_.objects.size())
      corrupt("a part has more objects than its header says");
    return header_.objects[next_++];
  }

  View payload(uint64_t offset, uint64_t size) const {
    if (offset > tables_.payload.size || size > tables_.payload.size - offset)
      corrupt("a part refers to bytes outside of its payload");
    return View(tables_.payload.data + offset, size);
  }

  void read_mode_and_xattrs() {
    uint64_t mode = operations_.number(), xattrs = operations_.number();
    if (mode >= tables_.modes.size / MODE_SIZE || xattrs >= g_variant_n_children(tables_.xattrs.get()))
      corrupt("a part refers to modes or attributes that it does not have");
    uint32_t values[3];
    std::memcpy(values, tables_.modes.data + mode * MODE_SIZE, MODE_SIZE);
    uid_ = GUINT32_FROM_BE(values[0]);
    gid_ = GUINT32_FROM_BE(values[1]);
    mode_ = GUINT32_FROM_BE(values[2]);
    xattrs_.reset(g_variant_get_child_value(tables_.xattrs.get(), xattrs));
  }

  // Whether the object taken last is to be written.
  bool wanted() const { return wanted_[next_ - 1]; }

  FileAttributes attributes() const {
    auto *data = static_cast<const uint8_t *>(g_variant_get_data(xattrs_.get()));
    return {uid_, gid_, mode_, View(data, g_variant_get_size(xattrs_.get()))};
  }

  void splice() {
    const PartObject &object = take_object();
    bool is_file = object.type == OSTREE_OBJECT_TYPE_FILE;
    if (is_file)
      read_mode_and_xattrs();
    uint64_t size = operations_.number();
    View content = payload(operations_.number(), size);
    spend(size);
    has_source_ = false;
    if (!wanted())
      return progress(size);
    if (!is_file)
      context_.writer.metadata(object.type, object.checksum, content);
    else if (S_ISLNK(mode_))
      context_.writer.symlink(object.checksum, attributes(), content);
    else
      regular(object, content);
    progress(size);
  }

  void regular(const PartObject &object, View content) {
    // More of a mapped file than that should not be in memory at once.
    if (content.size <= RELEASE || !backing_.mapped())
      return batch_.add(object.checksum, attributes(), {content});
    ObjectWriter::File file(context_.writer, object.checksum, attributes(), content.size);
    while (content.size > 0) {
      View piece = take(content, std::min<uint64_t>(RELEASE, content.size));
      file.append(piece);
      used(piece);
      context_.job.check();
    }
    file.finish();
  }

  // Everything of the part up to the end of `piece` was dealt with; should it be needed again it is read
  // again.
  void used(View piece) {
    auto position = static_cast<uint64_t>(piece.end() - backing_.data());
    if (position < released_ + RELEASE)
      return;
    backing_.release_before(position);
    released_ = position;
  }

  void open() {
    const PartObject &object = take_object();
    if (object.type != OSTREE_OBJECT_TYPE_FILE)
      corrupt("a part patches an object that is not a file");
    read_mode_and_xattrs();
    if (!S_ISREG(mode_))
      corrupt("a part patches something that is not a regular file");
    uint64_t size = operations_.number();
    spend(size);
    open_.reset(new OpenFile{object, size, wanted(), {}, 0, {}});
    // More of a mapped file than a piece should not be in memory at once.
    if (open_->wanted && backing_.mapped())
      stream(*open_);
  }

  // From here on the file is written as it comes.
  ObjectWriter::File &stream(OpenFile &file) {
    if (file.content)
      return *file.content;
    file.content.emplace(context_.writer, file.object.checksum, attributes(), file.size);
    for (const View &piece : file.pieces)
      file.content->append(piece);
    return *file.content;
  }

  void collect(OpenFile &file, View piece) {
    if (piece.size > file.size - file.collected)
      corrupt("a part writes more than a file's size");
    file.collected += piece.size;
    if (piece.size > 0)
      file.pieces.push_back(piece);
  }

  OpenFile &current() {
    if (!open_)
      corrupt("a part writes without an open object");
    return *open_;
  }

  void write() {
    OpenFile &file = current();
    uint64_t size = operations_.number(), offset = operations_.number();
    if (!file.wanted)
      return;
    if (!has_source_ && !file.content)
      return collect(file, payload(offset, size));
    ObjectWriter::File &content = stream(file);
    View bytes;
    if (has_source_) {
      load_source();
      if (offset > source_content_.size() || size > source_content_.size() - offset)
        source_mismatch();
      bytes = View(source_content_.data() + offset, size);
    } else {
      bytes = payload(offset, size);
    }
    while (bytes.size > 0) {
      context_.job.check();
      content.append(take(bytes, std::min<uint64_t>(RELEASE, bytes.size)));
    }
  }

  void set_source(uint64_t offset) {
    Checksum source = Checksum::from_bytes(payload(offset, 32).data);
    if (!source_loaded_ || source != source_) {
      source_loaded_ = false;
      source_content_ = Blob();
    }
    source_ = source;
    has_source_ = true;
    used_source_ = true;
  }

  void load_source() {
    if (source_loaded_)
      return;
    FileMeta meta = context_.repo.file_meta(source_);
    if (meta.symlink)
      source_mismatch();
    source_content_ = context_.repo.content(source_);
    source_loaded_ = true;
  }

  // Format: libostree's bsdiff: triples (length of difference, length of new bytes, seek in the source) of 8
  // bytes each, little-endian with a sign bit, each followed by its difference and new bytes.
  void patch() {
    OpenFile &file = current();
    uint64_t offset = operations_.number(), size = operations_.number();
    if (!file.wanted)
      return;
    if (!has_source_)
      corrupt("a part patches without a source");
    load_source();
    ObjectWriter::File &content = stream(file);
    View stream = payload(offset, size);
    View old = source_content_.view();
    int64_t old_position = 0, released = 0;
    Bytes sum;
    while (content.left() > 0) {
      int64_t difference = control(stream), fresh = control(stream), seek = control(stream);
      if (difference < 0 || fresh < 0 || difference > INT32_MAX || fresh > INT32_MAX)
        corrupt("a patch is damaged");
      if (difference == 0 && fresh == 0)
        context_.job.check();
      for (View left = take(stream, static_cast<uint64_t>(difference)); left.size > 0;) {
        context_.job.check();
        View piece = take(left, std::min(CHUNK, left.size));
        sum.assign(piece.data, piece.end());
        add_old(sum, old, old_position);
        content.append(View(sum));
        advance(old_position, static_cast<int64_t>(piece.size));
        if (old_position > released + static_cast<int64_t>(RELEASE)) {
          source_content_.release_before(std::min<uint64_t>(static_cast<uint64_t>(old_position), old.size));
          released = old_position;
        }
      }
      View bytes = take(stream, static_cast<uint64_t>(fresh));
      content.append(bytes);
      advance(old_position, seek);
    }
  }

  static void advance(int64_t &position, int64_t distance) {
    if (__builtin_add_overflow(position, distance, &position))
      corrupt("a patch is damaged");
  }

  // Bytes of the source outside of it count as zero.
  static void add_old(Bytes &sum, View old, int64_t position) {
    int64_t begin = std::max<int64_t>(0, position);
    int64_t end = position;
    advance(end, static_cast<int64_t>(sum.size()));
    end = std::min(end, static_cast<int64_t>(old.size));
    if (begin >= end)
      return;
    uint8_t *target = sum.data() + (begin - position);
    const uint8_t *from = old.data + begin;
    for (int64_t i = 0, count = end - begin; i < count; i++)
      target[i] = static_cast<uint8_t>(target[i] + from[i]);
  }

  static View take(View &bytes, uint64_t size) {
    if (size > bytes.size)
      corrupt("a patch ends too early");
    View taken(bytes.data, size);
    bytes.data += size;
    bytes.size -= size;
    return taken;
  }

  static int64_t control(View &stream) {
    View bytes = take(stream, 8);
    uint64_t value = read_offset(bytes.data, 8);
    auto magnitude = static_cast<int64_t>(value & INT64_MAX);
    return value >> 63 != 0 ? -magnitude : magnitude;
  }

  void close() {
    OpenFile &file = current();
    uint64_t size = file.size;
    if (file.wanted && !file.content) {
      if (file.collected < size)
        corrupt("a part writes less than a file's size");
      batch_.add(file.object.checksum, attributes(), std::move(file.pieces));
    } else if (file.content) {
      try {
        file.content->finish();
      } catch (const Mismatch &) {
        if (used_source_)
          check_source();
        throw;
      }
    }
    open_.reset();
    has_source_ = false;
    used_source_ = false;
    progress(size);
  }

  [[noreturn]] void source_mismatch() {
    check_source();
    corrupt("a part does not fit its source object " + source_.hex());
  }

  // Whose fault is it? If the source object is damaged, the store's.
  void check_source() const {
    GErrorSlot error;
    if (!ostree_repo_fsck_object(context_.repo.get(), OSTREE_OBJECT_TYPE_FILE, source_.hex().c_str(), nullptr,
                                 &error))
      throw Failure("STORE_CORRUPT",
                    "the file it patches is damaged in the repository: " + std::string(error.get()->message),
                    {{"object", source_.hex()}, {"type", "file"}});
  }

  void progress(uint64_t size) const { context_.job.done += size; }

  PartTables tables_;
  const Blob &backing_;
  const PartHeader &header_;
  const std::vector<bool> &wanted_;
  const ExecuteContext &context_;
  Cursor operations_;
  ObjectWriter::Batch batch_;
  uint64_t budget_;
  uint64_t released_ = 0;
  size_t next_ = 0;
  std::unique_ptr<OpenFile> open_;
  uint32_t uid_ = 0, gid_ = 0, mode_ = 0;
  VariantPtr xattrs_;
  Checksum source_;
  bool has_source_ = false;
  bool used_source_ = false;
  bool source_loaded_ = false;
  Blob source_content_;
};

} // namespace

void execute_part(View part, const Blob &backing, const PartHeader &header, const std::vector<bool> &wanted,
                  const ExecuteContext &context) {
  if (header.objects.empty())
    return;
  Executor(part, backing, header, wanted, context).run();
}

} // namespace trees::delta
