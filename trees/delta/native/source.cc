#include "source.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <zstd.h>

#include <algorithm>

#include "codec.h"
#include "framing.h"

namespace trees::delta {

namespace {

constexpr uint32_t ZSTD_FRAME_MAGIC = 0xFD2FB528;
// Frames up to this are decompressed in memory at once, larger ones through a file.
constexpr size_t MEMORY_LIMIT = 40 << 20;
constexpr size_t CHUNK = 1 << 20;
constexpr size_t MAX_FRAME_OVERHEAD = 64;
// A seek table of more than this (2 million frames) is not one of a bundle.
constexpr uint64_t MAX_SEEK_TABLE = 16 << 20;

struct DCtxFree {
  void operator()(ZSTD_DCtx *context) const { ZSTD_freeDCtx(context); }
};

} // namespace

Source::Source(const std::string &path, std::string temporary, const std::optional<Checksum> &sha256,
               const Job &job)
    : path_(path), temporary_(std::move(temporary)) {
  fd_ = Fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
  if (!fd_)
    throw_errno("cannot open it");
  struct stat status;
  if (::fstat(fd_.get(), &status) != 0)
    throw_errno("cannot examine it");
  if (!S_ISREG(status.st_mode))
    corrupt("it is not a regular file", {{"path", path}});
  file_size_ = static_cast<uint64_t>(status.st_size);
  if (sha256)
    verify(*sha256, job);
  uint8_t magic[4] = {};
  if (read_at(fd_.get(), magic, 4, 0) == 4 && read_offset(magic, 4) == ZSTD_FRAME_MAGIC)
    load_frames(job);
  else
    size_ = file_size_;
}

void Source::load_frames(const Job &job) {
  uint8_t footer[SEEK_FOOTER_SIZE];
  uint64_t table_size = 0;
  if (file_size_ > SEEK_FOOTER_SIZE &&
      read_at(fd_.get(), footer, sizeof footer, file_size_ - sizeof footer) == sizeof footer)
    table_size = seek_table_size(View(footer, sizeof footer));
  if (table_size == 0 || table_size > file_size_ || table_size > MAX_SEEK_TABLE)
    corrupt("the seek table at its end is missing: the file is cut short or not a bundle", {{"path", path_}});
  Bytes table(table_size);
  if (read_at(fd_.get(), table.data(), table_size, file_size_ - table_size) != table_size)
    corrupt("the file shrinks while it is read", {{"path", path_}});
  frames_ = parse_seek_table(View(table), file_size_);
  if (frames_.empty())
    corrupt("it has no content", {{"path", path_}});
  size_ = frames_.back().raw_offset + frames_.back().raw_size;
  tail_ = read(frames_.back().raw_offset, frames_.back().raw_size, job).blob;
}

StoredRange Source::stored(uint64_t start, uint64_t end) const {
  if (frames_.empty())
    return {start, end - start};
  StoredRange range{0, 0};
  for (const Frame &frame : frames_) {
    if (frame.raw_offset >= end || frame.raw_offset + frame.raw_size <= start)
      continue;
    if (range.size == 0)
      range.offset = frame.offset;
    range.size = frame.offset + frame.size - range.offset;
  }
  return range;
}

void Source::verify(const Checksum &sha256, const Job &job) const {
  Sha256 hash;
  Bytes chunk(CHUNK);
  for (uint64_t offset = 0; offset < file_size_;) {
    job.check();
    size_t count = read_at(fd_.get(), chunk.data(), chunk.size(), offset);
    if (count == 0)
      break;
    hash.update(View(chunk.data(), count));
    offset += count;
  }
  Checksum actual = hash.finish();
  if (actual != sha256)
    corrupt("its SHA-256 is " + actual.hex() + ", not " + sha256.hex(), {{"path", path_}});
}

Source::Stretch Source::read(uint64_t offset, uint64_t size, const Job &job) const {
  if (offset > size_ || size > size_ - offset)
    corrupt("the static delta refers to bytes beyond its end");
  if (frames_.empty()) {
    SpillBuffer buffer(temporary_, MEMORY_LIMIT);
    Bytes chunk(std::min<uint64_t>(CHUNK, size));
    for (uint64_t done = 0; done < size;) {
      job.check();
      size_t count =
          read_at(fd_.get(), chunk.data(), std::min<uint64_t>(chunk.size(), size - done), offset + done);
      if (count == 0)
        corrupt("the file shrinks while it is read", {{"path", path_}});
      buffer.append(chunk.data(), count);
      done += count;
    }
    return {std::make_shared<Blob>(buffer.finish()), 0, size};
  }
  auto after = [](uint64_t position, const Frame &frame) { return position < frame.raw_offset; };
  auto first = std::upper_bound(frames_.begin(), frames_.end(), offset, after);
  if (first != frames_.begin())
    --first;
  if (tail_ && first == frames_.end() - 1)
    return {tail_, offset - first->raw_offset, size};
  bool single = first + 1 == frames_.end() || (first + 1)->raw_offset >= offset + size;
  if (single && first->raw_size <= MEMORY_LIMIT)
    return {std::make_shared<Blob>(decode_at_once(*first)), offset - first->raw_offset, size};
  SpillBuffer buffer(temporary_, MEMORY_LIMIT);
  for (auto frame = first; frame != frames_.end() && (frame == first || frame->raw_offset < offset + size);
       ++frame)
    decode(*frame, buffer, job);
  return {std::make_shared<Blob>(buffer.finish()), offset - first->raw_offset, size};
}

Blob Source::decode_at_once(const Frame &frame) const {
  std::map<std::string, std::string> facts{{"path", path_}, {"offset", std::to_string(frame.offset)}};
  // Incompressible content grows by a header and a few bytes for each block.
  if (frame.size > ZSTD_compressBound(frame.raw_size) + MAX_FRAME_OVERHEAD)
    corrupt("a frame is too large", facts);
  Bytes input(frame.size), output(frame.raw_size);
  if (read_at(fd_.get(), input.data(), input.size(), frame.offset) != input.size())
    corrupt("the file shrinks while it is read", facts);
  size_t size = ZSTD_decompress(output.data(), output.size(), input.data(), input.size());
  if (ZSTD_isError(size))
    corrupt(std::string("a frame does not decompress: ") + ZSTD_getErrorName(size), facts);
  if (size != frame.raw_size)
    corrupt("a frame is shorter than the seek table says", facts);
  return Blob(std::move(output));
}

void Source::decode(const Frame &frame, SpillBuffer &out, const Job &job) const {
  std::map<std::string, std::string> facts{{"path", path_}, {"offset", std::to_string(frame.offset)}};
  std::unique_ptr<ZSTD_DCtx, DCtxFree> context(ZSTD_createDCtx());
  if (context == nullptr)
    throw std::bad_alloc();
  Bytes input(std::min<uint64_t>(CHUNK, frame.size)), output(CHUNK);
  uint64_t consumed = 0, produced = 0;
  size_t left = 1;
  while (consumed < frame.size) {
    job.check();
    size_t count = read_at(fd_.get(), input.data(), std::min<uint64_t>(input.size(), frame.size - consumed),
                           frame.offset + consumed);
    if (count == 0)
      corrupt("the file shrinks while it is read", facts);
    consumed += count;
    ZSTD_inBuffer in{input.data(), count, 0};
    bool full = false;
    while (in.pos < in.size || full) {
      if (left == 0)
        corrupt("a frame ends before the seek table says so", facts);
      ZSTD_outBuffer target{output.data(), output.size(), 0};
      left = ZSTD_decompressStream(context.get(), &target, &in);
      if (ZSTD_isError(left))
        corrupt(std::string("a frame does not decompress: ") + ZSTD_getErrorName(left), facts);
      produced += target.pos;
      if (produced > frame.raw_size)
        corrupt("a frame is longer than the seek table says", facts);
      out.append(output.data(), target.pos);
      full = target.pos == target.size && left != 0;
    }
  }
  if (left != 0 || produced != frame.raw_size)
    corrupt("a frame is shorter than the seek table says", facts);
}

} // namespace trees::delta
