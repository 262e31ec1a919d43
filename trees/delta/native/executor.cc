#include "executor.h"

#include <sys/stat.h>

#include "framing.h"

namespace trees::delta {

namespace {

constexpr size_t MODE_SIZE = 12;
constexpr size_t MEMORY_LIMIT = 32 << 20;
constexpr size_t CHUNK = 1 << 20;

class Cursor {
public:
  explicit Cursor(View bytes) : at_(bytes.data), end_(bytes.end()) {}
  bool empty() const { return at_ == end_; }
  uint8_t byte() {
    if (empty())
      corrupt("the operations of a part end in the middle of one");
    return *at_++;
  }
  uint64_t number() {
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      uint8_t next = byte();
      value |= static_cast<uint64_t>(next & 0x7f) << shift;
      if ((next & 0x80) == 0)
        return value;
    }
    corrupt("a number in the operations of a part is too long");
  }

private:
  const uint8_t *at_;
  const uint8_t *end_;
};

struct PartTables {
  View modes;
  VariantPtr xattrs;
  View payload;
  View operations;
};

PartTables split_part(View part) {
  unsigned width = offset_size(part.size);
  if (width == 0 || part.size < 3 * uint64_t{width})
    corrupt("a part is too short");
  uint64_t body = part.size - 3 * uint64_t{width};
  const uint8_t *offsets = part.data + body;
  uint64_t payload_end = read_offset(offsets, width);
  uint64_t xattrs_end = read_offset(offsets + width, width);
  uint64_t modes_end = read_offset(offsets + 2 * width, width);
  if (modes_end > xattrs_end || xattrs_end > payload_end || payload_end > body || modes_end % MODE_SIZE != 0)
    corrupt("the framing of a part is damaged");
  PartTables tables;
  tables.modes = View(part.data, modes_end);
  tables.payload = View(part.data + xattrs_end, payload_end - xattrs_end);
  tables.operations = View(part.data + payload_end, body - payload_end);
  GBytes *bytes = g_bytes_new(part.data + modes_end, xattrs_end - modes_end);
  tables.xattrs.reset(g_variant_ref_sink(g_variant_new_from_bytes(G_VARIANT_TYPE("aa(ayay)"), bytes, FALSE)));
  g_bytes_unref(bytes);
  if (!g_variant_is_normal_form(tables.xattrs.get()))
    corrupt("the extended attributes of a part are malformed");
  return tables;
}

class Executor {
public:
  Executor(View part, const PartHeader &header, const ExecuteContext &context)
      : tables_(split_part(part)), header_(header), context_(context), operations_(tables_.operations) {}

  void run() {
    while (!operations_.empty()) {
      context_.job.check();
      step(static_cast<Op>(operations_.byte()));
    }
    if (open_)
      corrupt("a part ends before its last object does");
    if (next_ != header_.objects.size())
      corrupt("a part has fewer objects than its header says");
  }

private:
  struct OpenFile {
    const PartObject *object;
    bool wanted;
    uint64_t size;
    SpillBuffer content;
  };

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

  bool wanted(const PartObject &object) const { return !context_.repo.has(object.type, object.checksum); }

  void splice() {
    const PartObject &object = take_object();
    bool is_file = object.type == OSTREE_OBJECT_TYPE_FILE;
    if (is_file)
      read_mode_and_xattrs();
    uint64_t size = operations_.number();
    View content = payload(operations_.number(), size);
    if (!wanted(object))
      return progress(size);
    if (is_file)
      context_.writer.file(object.checksum, uid_, gid_, mode_, xattrs_.get(), content);
    else
      context_.writer.metadata(object.type, object.checksum, content);
    has_source_ = false;
    progress(size);
  }

  void open() {
    const PartObject &object = take_object();
    if (object.type != OSTREE_OBJECT_TYPE_FILE)
      corrupt("a part patches an object that is not a file");
    read_mode_and_xattrs();
    if (!S_ISREG(mode_))
      corrupt("a part patches something that is not a regular file");
    uint64_t size = operations_.number();
    open_ = std::make_unique<OpenFile>(
        OpenFile{&object, wanted(object), size, SpillBuffer(context_.temporary, MEMORY_LIMIT)});
  }

  OpenFile &current() {
    if (!open_)
      corrupt("a part writes without an open object");
    return *open_;
  }

  // What is still missing of the open file must be able to take `size` more bytes.
  void reserve(const OpenFile &file, uint64_t size) const {
    if (size > file.size - file.content.size())
      corrupt("a part writes more than a file's size");
  }

  void write() {
    OpenFile &file = current();
    uint64_t size = operations_.number(), offset = operations_.number();
    if (!file.wanted)
      return;
    reserve(file, size);
    View bytes;
    if (has_source_) {
      load_source();
      if (offset > source_content_.size() || size > source_content_.size() - offset)
        source_mismatch();
      bytes = View(source_content_.data() + offset, size);
    } else {
      bytes = payload(offset, size);
    }
    file.content.append(bytes.data, bytes.size);
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
    View stream = payload(offset, size);
    View old = source_content_.view();
    int64_t old_position = 0;
    Bytes sum;
    while (file.content.size() < file.size) {
      int64_t difference = control(stream), fresh = control(stream), seek = control(stream);
      if (difference < 0 || fresh < 0 || difference > INT32_MAX || fresh > INT32_MAX)
        corrupt("a patch is damaged");
      reserve(file, static_cast<uint64_t>(difference) + static_cast<uint64_t>(fresh));
      for (View left = take(stream, static_cast<uint64_t>(difference)); left.size > 0;) {
        context_.job.check();
        View piece = take(left, std::min(CHUNK, left.size));
        sum.assign(piece.data, piece.end());
        add_old(sum, old, old_position);
        file.content.append(sum.data(), sum.size());
        advance(old_position, static_cast<int64_t>(piece.size));
      }
      View bytes = take(stream, static_cast<uint64_t>(fresh));
      file.content.append(bytes.data, bytes.size);
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
    if (file.wanted) {
      if (file.content.size() != size)
        corrupt("a part writes less than a file's size");
      Blob content = file.content.finish();
      try {
        context_.writer.file(file.object->checksum, uid_, gid_, mode_, xattrs_.get(), content.view());
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
  const PartHeader &header_;
  const ExecuteContext &context_;
  Cursor operations_;
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

void execute_part(View part, const PartHeader &header, const ExecuteContext &context) {
  if (header.objects.empty())
    return;
  Executor(part, header, context).run();
}

} // namespace trees::delta
