#include "object_writer.h"

#include <sys/stat.h>

#include "framing.h"

namespace trees::delta {

namespace {

constexpr size_t STEP = 256 << 10;
// Bytes of files that are collected: most parts as a whole.
constexpr uint64_t BATCH = 32 << 20;
constexpr size_t MAX_BATCH = 8192;
// What one thread takes on at a time: enough for all lanes to have work, little enough to be shared out
// evenly.
constexpr uint64_t MIN_STEP = 2 << 20;
constexpr uint64_t MAX_STEP = 12 << 20;
// Of a file like this one thread computes the checksum while another writes it.
constexpr uint64_t LARGE = 8 << 20;

// They would tell the overlay over a tree to hide or redirect what is below, as those of directories would.
void refuse_overlay(View xattrs) {
  std::unique_ptr<GBytes, decltype(&g_bytes_unref)> bytes(g_bytes_new(xattrs.data, xattrs.size),
                                                          g_bytes_unref);
  VariantPtr set(g_variant_ref_sink(g_variant_new_from_bytes(G_VARIANT_TYPE("a(ayay)"), bytes.get(), FALSE)));
  for (gsize i = 0; i < g_variant_n_children(set.get()); i++) {
    VariantPtr pair(g_variant_get_child_value(set.get(), i));
    VariantPtr text(g_variant_get_child_value(pair.get(), 0));
    std::string name = g_variant_get_bytestring(text.get());
    if (name.starts_with("trusted.overlay.") || name.starts_with("user.overlay."))
      corrupt("a file has the extended attribute \"" + name + "\", which is overlayfs's own");
  }
}

void require_regular(const Checksum &checksum, const FileAttributes &attributes) {
  if (!S_ISREG(attributes.mode))
    corrupt("file " + checksum.hex() + " is neither a regular file nor a symbolic link");
}

// What the checksum of a file object covers before the content. Format: libostree's file header, the variant
// `(uuuusa(ayay))` (owner, group, mode, device, target of a link, attributes; numbers big-endian) after its
// size and padding to 8 bytes.
Bytes file_header(const FileAttributes &attributes, std::string_view target) {
  if (attributes.xattrs.size > 0)
    refuse_overlay(attributes.xattrs);
  Bytes header;
  uint64_t target_end = 4 * sizeof(uint32_t) + target.size() + 1;
  uint64_t body = target_end + attributes.xattrs.size;
  unsigned width = offset_size_for(body, 1);
  auto size = static_cast<uint32_t>(body + width);
  for (uint32_t value : {size, 0U, attributes.uid, attributes.gid, attributes.mode, 0U})
    append_big_endian(header, value);
  append(header, target.data(), target.size());
  header.push_back(0);
  append(header, attributes.xattrs.data, attributes.xattrs.size);
  append_offset(header, target_end, width);
  return header;
}

// A checksum says that an object is what was signed, not that it makes sense: names with a slash in them, or
// modes that no directory has. libostree looks at that when it writes, and we at what we write past it.
void check_structure(OstreeObjectType type, const Checksum &checksum, View content) {
  std::unique_ptr<GBytes, decltype(&g_bytes_unref)> bytes(g_bytes_new(content.data, content.size),
                                                          g_bytes_unref);
  VariantPtr object(
      g_variant_ref_sink(g_variant_new_from_bytes(ostree_metadata_variant_type(type), bytes.get(), FALSE)));
  GErrorSlot error;
  bool valid = g_variant_is_normal_form(object.get());
  if (valid && type == OSTREE_OBJECT_TYPE_DIR_TREE)
    valid = ostree_validate_structureof_dirtree(object.get(), &error);
  else if (valid && type == OSTREE_OBJECT_TYPE_DIR_META)
    valid = ostree_validate_structureof_dirmeta(object.get(), &error);
  else if (valid && type == OSTREE_OBJECT_TYPE_COMMIT)
    valid = ostree_validate_structureof_commit(object.get(), &error);
  if (!valid)
    error.raise("BUNDLE_CORRUPT", std::string(type_name(type)) + " " + checksum.hex() + " is malformed");
}

} // namespace

Mismatch::Mismatch(OstreeObjectType type, const Checksum &expected, const Checksum &actual)
    : Failure("BUNDLE_CORRUPT",
              std::string("it gives ") + type_name(type) + " " + expected.hex() + " the content of " +
                  actual.hex(),
              {{"object", expected.hex()}, {"type", type_name(type)}}) {}

void ObjectWriter::metadata(OstreeObjectType type, const Checksum &checksum, View content) {
  Checksum actual = Sha256::of(content);
  if (actual != checksum)
    throw Mismatch(type, checksum, actual);
  check_structure(type, checksum, content);
  stage_.metadata(type, checksum, content);
  objects_++;
  bytes_ += content.size;
}

void ObjectWriter::symlink(const Checksum &checksum, const FileAttributes &attributes, View target) {
  if (target.text().find('\0') != std::string_view::npos || target.size == 0)
    corrupt("file " + checksum.hex() + " is a symbolic link to nowhere");
  Checksum actual = Sha256::of(View(file_header(attributes, target.text())));
  if (actual != checksum)
    throw Mismatch(OSTREE_OBJECT_TYPE_FILE, checksum, actual);
  stage_.symlink(checksum, attributes, std::string(target.text()));
  objects_++;
  bytes_ += target.size;
}

void ObjectWriter::Batch::add(const Checksum &checksum, const FileAttributes &attributes,
                              std::vector<View> pieces) {
  require_regular(checksum, attributes);
  const View xattrs = attributes.xattrs;
  uint64_t size = 0;
  for (const View &piece : pieces)
    size += piece.size;
  pending_.push_back({checksum, attributes, Bytes(xattrs.data, xattrs.end()), file_header(attributes, ""),
                      std::move(pieces), size});
  size_ += size;
  if (size_ >= BATCH || pending_.size() >= MAX_BATCH)
    finish();
}

void ObjectWriter::Batch::finish() {
  const std::vector<Step> all = steps();
  crew_.each(all.size(), [&](size_t index) {
    const Step &step = all[index];
    job_.check();
    for (size_t i = 0; i < step.count && step.write; i++)
      write(pending_[step.first + i]);
    if (step.verify)
      verify(step);
  });
  pending_.clear();
  size_ = 0;
}

std::vector<ObjectWriter::Batch::Step> ObjectWriter::Batch::steps() const {
  std::vector<Step> steps;
  Step step{0, 0, true, true};
  uint64_t size = 0;
  for (size_t i = 0; i < pending_.size(); i++) {
    const uint64_t next = pending_[i].size;
    const bool large = next >= LARGE;
    if (step.count > 0 &&
        (large || size + next > MAX_STEP || (size >= MIN_STEP && step.count >= MAX_LANES))) {
      steps.push_back(step);
      step = {i, 0, true, true};
      size = 0;
    }
    step.count++;
    size += next;
    if (large) {
      steps.push_back({i, 1, false, true});
      steps.push_back({i, 1, true, false});
      step = {i + 1, 0, true, true};
      size = 0;
    }
  }
  if (step.count > 0)
    steps.push_back(step);
  return steps;
}

void ObjectWriter::Batch::write(const Pending &file) const {
  FileAttributes attributes = file.attributes;
  attributes.xattrs = View(file.xattrs);
  writer_.stage_.reserve(file.size);
  const Fd fd = writer_.stage_.create(file.expected, attributes);
  // Without a descriptor another thread brings the same object.
  if (!fd)
    return;
  write_all(fd.get(), file.pieces);
  writer_.stage_.seal(fd.get(), attributes);
  writer_.objects_++;
  writer_.bytes_ += file.size;
}

void ObjectWriter::Batch::verify(const Step &step) const {
  std::vector<HashedMessage> messages;
  messages.reserve(step.count);
  for (size_t i = 0; i < step.count; i++)
    messages.push_back({View(pending_[step.first + i].header), pending_[step.first + i].pieces, {}});
  sha256_many(messages);
  for (size_t i = 0; i < step.count; i++)
    if (const Checksum &expected = pending_[step.first + i].expected; messages[i].checksum != expected)
      throw Mismatch(OSTREE_OBJECT_TYPE_FILE, expected, messages[i].checksum);
}

ObjectWriter::File::File(ObjectWriter &writer, const Checksum &checksum, const FileAttributes &attributes,
                         uint64_t size)
    : writer_(writer), checksum_(checksum), attributes_(attributes), size_(size) {
  require_regular(checksum, attributes);
  writer.stage_.reserve(size);
  hash_.update(View(file_header(attributes, "")));
  fd_ = writer.stage_.create(checksum, attributes);
}

void ObjectWriter::File::append(View bytes) {
  if (bytes.size > left())
    corrupt("a part writes more than a file's size");
  written_ += bytes.size;
  if (pending_.size() + bytes.size < STEP && left() > 0) {
    trees::delta::append(pending_, bytes.data, bytes.size);
    return;
  }
  flush();
  // Piece by piece, so that what was hashed is still in the cache when it is written.
  while (bytes.size > 0) {
    View piece(bytes.data, std::min(STEP, bytes.size));
    write(piece);
    bytes = View(bytes.data + piece.size, bytes.size - piece.size);
  }
}

void ObjectWriter::File::flush() {
  write(View(pending_));
  pending_.clear();
}

void ObjectWriter::File::write(View bytes) {
  if (bytes.size == 0)
    return;
  hash_.update(bytes);
  if (fd_)
    write_all(fd_.get(), bytes.data, bytes.size);
}

void ObjectWriter::File::finish() {
  if (left() > 0)
    corrupt("a part writes less than a file's size");
  flush();
  Checksum actual = hash_.finish();
  if (actual != checksum_)
    throw Mismatch(OSTREE_OBJECT_TYPE_FILE, checksum_, actual);
  // Without a descriptor another thread brings the same object.
  if (!fd_)
    return;
  writer_.stage_.seal(fd_.get(), attributes_);
  writer_.objects_++;
  writer_.bytes_ += size_;
}

} // namespace trees::delta
