#include "source.h"

#include <fcntl.h>
#include <sys/stat.h>
// For ZSTD_d_stableOutBuffer.
#define ZSTD_STATIC_LINKING_ONLY
#include <zstd.h>

#include <algorithm>

#include "framing.h"

namespace trees::delta {

namespace {

constexpr uint32_t ZSTD_FRAME_MAGIC = 0xFD2FB528;
constexpr size_t CHUNK = 1 << 20;
constexpr size_t MAX_FRAME_OVERHEAD = 64;
// A block takes three bytes and gives at most 128 KiB.
constexpr uint64_t MIN_BLOCK = 3;
constexpr uint64_t MAX_BLOCK = 128 << 10;
// A seek table of more than this (2 million frames) is not one of a bundle.
constexpr uint64_t MAX_SEEK_TABLE = 16 << 20;
// A bundle's superblock is a fraction of this; reading it must not hold the whole file in memory.
constexpr uint64_t MAX_REMEMBERED = 64 << 20;

std::map<std::string, std::string> facts(const Frame &frame) {
  return {{"offset", std::to_string(frame.offset)}};
}

} // namespace

Source::Source(const std::string &path, std::string temporary, bool remember, const Job &job)
    : path_(path), temporary_(std::move(temporary)), remember_(remember) {
  fd_ = Fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
  if (!fd_)
    throw_errno("cannot open it");
  struct stat status;
  if (::fstat(fd_.get(), &status) != 0)
    throw_errno("cannot examine it");
  if (!S_ISREG(status.st_mode))
    corrupt("it is not a regular file", {{"path", path}});
  file_size_ = static_cast<uint64_t>(status.st_size);
  uint8_t magic[4] = {}, footer[SEEK_FOOTER_SIZE] = {};
  if (file_size_ >= sizeof magic)
    fetch(0, magic, sizeof magic);
  if (file_size_ >= sizeof footer)
    fetch(file_size_ - sizeof footer, footer, sizeof footer);
  // A sparse file may have the end but not the beginning.
  if (read_offset(magic, sizeof magic) == ZSTD_FRAME_MAGIC ||
      seek_table_size(View(footer, sizeof footer)) != 0)
    load_frames(job);
  else
    size_ = file_size_;
}

Source::Source(uint64_t file_size, Bytes tail, std::string temporary, const Job &job)
    : temporary_(std::move(temporary)), file_size_(file_size) {
  if (tail.size() > file_size)
    corrupt("its tail is longer than it is");
  read_.emplace(file_size - tail.size(), std::move(tail));
  uint8_t footer[SEEK_FOOTER_SIZE];
  if (file_size_ <= SEEK_FOOTER_SIZE)
    corrupt("it is too short");
  fetch(file_size_ - sizeof footer, footer, sizeof footer);
  // The tail of a plain delta tells too little.
  if (seek_table_size(View(footer, sizeof footer)) == 0)
    throw Failure(TAIL_SHORT, "its tail is not that of a bundle", {{"bytes", std::to_string(file_size_)}});
  load_frames(job);
}

void Source::load_frames(const Job &job) {
  uint8_t footer[SEEK_FOOTER_SIZE];
  uint64_t table_size = 0;
  if (file_size_ > SEEK_FOOTER_SIZE) {
    fetch(file_size_ - sizeof footer, footer, sizeof footer);
    table_size = seek_table_size(View(footer, sizeof footer));
  }
  if (table_size == 0 || table_size > file_size_ || table_size > MAX_SEEK_TABLE)
    corrupt("the seek table at its end is missing: the file is cut short or not a bundle", {{"path", path_}});
  Bytes table(table_size);
  fetch(file_size_ - table_size, table.data(), table_size);
  frames_ = parse_seek_table(View(table), file_size_);
  if (frames_.empty())
    corrupt("it has no content", {{"path", path_}});
  size_ = frames_.back().raw_offset + frames_.back().raw_size;
  last_ = read(frames_.back().raw_offset, frames_.back().raw_size, job).blob;
}

void Source::fetch(uint64_t offset, void *target, size_t size) const {
  if (!fd_) {
    const auto &[start, tail] = *read_.begin();
    if (offset < start)
      throw Failure(TAIL_SHORT, "its tail is longer", {{"bytes", std::to_string(file_size_ - offset)}});
    std::memcpy(target, tail.data() + (offset - start), size);
    return;
  }
  if (read_at(fd_.get(), target, size, offset) != size)
    corrupt("the file shrinks while it is read", {{"path", path_}});
  if (!remember_)
    return;
  auto *bytes = static_cast<const uint8_t *>(target);
  if (!same_as_read(offset, View(bytes, size)))
    corrupt("the file changes while it is read", {{"path", path_}});
  Bytes &kept = read_[offset];
  if (kept.size() >= size)
    return;
  remembered_ += size - kept.size();
  if (remembered_ > MAX_REMEMBERED)
    corrupt("what describes it is spread all over it", {{"path", path_}});
  kept.assign(bytes, bytes + size);
}

bool Source::same_as_read(uint64_t offset, View bytes) const {
  for (const auto &[start, kept] : read_) {
    uint64_t from = std::max(start, offset), to = std::min(start + kept.size(), offset + bytes.size);
    if (from < to && std::memcmp(kept.data() + (from - start), bytes.data + (from - offset), to - from) != 0)
      return false;
  }
  return true;
}

size_t Source::frame_at(uint64_t position) const {
  auto after = [](uint64_t wanted, const Frame &frame) { return wanted < frame.raw_offset; };
  auto next = std::upper_bound(frames_.begin(), frames_.end(), position, after);
  return next == frames_.begin() ? 0 : static_cast<size_t>(next - frames_.begin()) - 1;
}

StoredRange Source::stored(uint64_t start, uint64_t end) const {
  if (frames_.empty())
    return {start, end - start};
  const Frame &first = frames_[frame_at(start)];
  const Frame &last = frames_[frame_at(end > start ? end - 1 : start)];
  return {first.offset, last.offset + last.size - first.offset};
}

Source::Stretch Source::read(uint64_t offset, uint64_t size, const Job &job) const {
  if (offset > size_ || size > size_ - offset)
    corrupt("the static delta refers to bytes beyond its end");
  if (frames_.empty()) {
    SpillBuffer buffer(temporary_, MEMORY_LIMIT);
    Bytes chunk(std::min<uint64_t>(CHUNK, size));
    for (uint64_t done = 0; done < size;) {
      job.check();
      auto count = static_cast<size_t>(std::min<uint64_t>(chunk.size(), size - done));
      fetch(offset + done, chunk.data(), count);
      buffer.append(chunk.data(), count);
      done += count;
    }
    return {std::make_shared<Blob>(buffer.finish()), 0, size};
  }
  auto first = frames_.begin() + static_cast<ptrdiff_t>(frame_at(offset));
  if (last_ && first == frames_.end() - 1)
    return {last_, offset - first->raw_offset, size};
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
  check_frame(frame);
  Bytes input(frame.size);
  fetch(frame.offset, input.data(), input.size());
  Bytes output(frame.raw_size);
  decode_frame(View(input), frame, output.data());
  return Blob(std::move(output));
}

void Source::decode(const Frame &frame, SpillBuffer &out, const Job &job) const {
  check_frame(frame);
  FrameDecoder decoder;
  decoder.begin(frame);
  Bytes input(std::min<uint64_t>(CHUNK, frame.size));
  for (uint64_t consumed = 0; consumed < frame.size;) {
    job.check();
    auto count = static_cast<size_t>(std::min<uint64_t>(input.size(), frame.size - consumed));
    fetch(frame.offset + consumed, input.data(), count);
    decoder.add(View(input.data(), count), out);
    consumed += count;
  }
  decoder.end();
}

void check_frame(const Frame &frame) {
  // Incompressible content grows by a header and a few bytes for each block.
  if (frame.size > ZSTD_compressBound(frame.raw_size) + MAX_FRAME_OVERHEAD)
    corrupt("a frame is too large", facts(frame));
  if (frame.raw_size > (frame.size / MIN_BLOCK + 1) * MAX_BLOCK)
    corrupt("a frame of " + std::to_string(frame.size) + " bytes cannot hold " +
                std::to_string(frame.raw_size),
            facts(frame));
}

void decode_frame(View compressed, const Frame &frame, uint8_t *target) {
  size_t size = ZSTD_decompress(target, frame.raw_size, compressed.data, compressed.size);
  if (ZSTD_isError(size))
    corrupt(std::string("a frame does not decompress: ") + ZSTD_getErrorName(size), facts(frame));
  if (size != frame.raw_size)
    corrupt("a frame is shorter than the seek table says", facts(frame));
}

FrameDecoder::FrameDecoder() : context_(ZSTD_createDCtx()) {
  if (context_ == nullptr)
    throw std::bad_alloc();
}

FrameDecoder::~FrameDecoder() {
  ZSTD_freeDCtx(static_cast<ZSTD_DCtx *>(context_));
}

void FrameDecoder::begin(const Frame &frame) {
  output_.resize(CHUNK);
  begin(frame, nullptr);
}

void FrameDecoder::begin(const Frame &frame, uint8_t *target) {
  auto *context = static_cast<ZSTD_DCtx *>(context_);
  ZSTD_DCtx_reset(context, ZSTD_reset_session_and_parameters);
  if (target != nullptr && ZSTD_isError(ZSTD_DCtx_setParameter(context, ZSTD_d_stableOutBuffer, 1)))
    throw Failure("INTERNAL", "zstd cannot decompress in place");
  frame_ = frame;
  target_ = target;
  produced_ = 0;
  left_ = 1;
}

void FrameDecoder::add(View compressed) {
  ZSTD_inBuffer in{compressed.data, compressed.size, 0};
  while (in.pos < in.size) {
    if (left_ == 0)
      corrupt("a frame ends before the seek table says so", facts(frame_));
    ZSTD_outBuffer out{target_, frame_.raw_size, produced_};
    size_t before = in.pos;
    left_ = ZSTD_decompressStream(static_cast<ZSTD_DCtx *>(context_), &out, &in);
    if (ZSTD_isError(left_))
      corrupt(std::string("a frame does not decompress: ") + ZSTD_getErrorName(left_), facts(frame_));
    if (in.pos == before && out.pos == produced_)
      corrupt("a frame is longer than the seek table says", facts(frame_));
    produced_ = out.pos;
  }
}

void FrameDecoder::add(View compressed, SpillBuffer &out) {
  ZSTD_inBuffer in{compressed.data, compressed.size, 0};
  bool full = false;
  while (in.pos < in.size || full) {
    if (left_ == 0)
      corrupt("a frame ends before the seek table says so", facts(frame_));
    ZSTD_outBuffer target{output_.data(), output_.size(), 0};
    left_ = ZSTD_decompressStream(static_cast<ZSTD_DCtx *>(context_), &target, &in);
    if (ZSTD_isError(left_))
      corrupt(std::string("a frame does not decompress: ") + ZSTD_getErrorName(left_), facts(frame_));
    produced_ += target.pos;
    if (produced_ > frame_.raw_size)
      corrupt("a frame is longer than the seek table says", facts(frame_));
    out.append(output_.data(), target.pos);
    full = target.pos == target.size && left_ != 0;
  }
}

void FrameDecoder::end() const {
  if (left_ != 0 || produced_ != frame_.raw_size)
    corrupt("a frame is shorter than the seek table says", facts(frame_));
}

} // namespace trees::delta
