#include "program_layout.h"

#include <algorithm>

namespace trees::delta {

namespace {

// What is filtered begins after what is not, so that the tables of the part, which are around the payload,
// are no stretches of their own.
constexpr Content ORDER[] = {
    Content::Strings,    Content::Symbols,  Content::Relocations, Content::X86Code,     Content::OtherCode,
    Content::Constants,  Content::Pointers, Content::Unwinding,   Content::GoFunctions, Content::GoDetails,
    Content::GoCounters, Content::Data,     Content::Other,
};
static_assert(std::size(ORDER) == CONTENT_KINDS);

// What is shorter is not worth a stretch of its own.
constexpr uint64_t MIN_STRETCH = 4 << 10;
// Code, constants and so on are cut where they get too long for one thread; text, which repeats what is far
// away, only where a window gets too long.
constexpr uint64_t MIN_FRAME = 1 << 20, MAX_KIND_FRAME = 16 << 20, MAX_FRAME = 32 << 20;

bool operator==(const XzModel &a, const XzModel &b) {
  return a.filter == b.filter && a.distance == b.distance && a.literal_context == b.literal_context &&
         a.literal_position == b.literal_position && a.position == b.position;
}

} // namespace

void add_programs(PartBuilder &builder, const std::vector<const NewFile *> &files, const Repo &repo,
                  const Job &job) {
  struct Program {
    Blob content;
    std::vector<ContentPiece> pieces;
    std::vector<Stored> stored;
  };
  std::vector<Program> programs(files.size());
  for (size_t i = 0; i < files.size(); i++) {
    job.check();
    Program &program = programs[i];
    program.content = repo.content(files[i]->checksum);
    program.pieces = content_pieces(program.content.view());
    program.stored.resize(program.pieces.size());
  }
  for (Content kind : ORDER) {
    for (Program &program : programs) {
      job.check();
      for (size_t i = 0; i < program.pieces.size(); i++) {
        const ContentPiece &piece = program.pieces[i];
        if (piece.kind == kind)
          program.stored[i] = builder.store(kind, View(program.content.data() + piece.offset, piece.size));
      }
    }
  }
  for (size_t i = 0; i < files.size(); i++)
    builder.assembled(files[i]->checksum, files[i]->meta, programs[i].stored);
}

// All of it measured on Debian's programs and on programs in Go.
XzModel model_of(Content kind) {
  switch (kind) {
  case Content::X86Code:
    return {XzFilter::X86, 0, 4, 0, 0};
  case Content::Relocations:
    return {XzFilter::Delta, 24, 1, 3, 3};
  case Content::GoFunctions:
    return {XzFilter::Delta, 8, 0, 2, 2};
  case Content::OtherCode:
  case Content::Constants:
    return {XzFilter::None, 0, 2, 2, 2};
  case Content::Symbols:
    return {XzFilter::None, 0, 0, 2, 2};
  case Content::Pointers:
  case Content::Unwinding:
  case Content::GoDetails:
    return {XzFilter::None, 0, 1, 3, 3};
  case Content::Strings:
  case Content::GoCounters:
    return {XzFilter::None, 0, 3, 0, 0};
  case Content::Data:
  case Content::Other:
    break;
  }
  return {};
}

std::vector<ModelStretch> model_stretches(const std::vector<PayloadStretch> &stretches, uint64_t payload,
                                          uint64_t size, bool filters_only) {
  std::vector<ModelStretch> out;
  uint64_t at = 0;
  auto add = [&](XzModel model, uint64_t end) {
    if (end == at)
      return;
    if (filters_only)
      model = {.filter = model.filter, .distance = model.distance};
    if (!out.empty() && out.back().model == model)
      out.back().size += end - at;
    else
      out.push_back({model, end - at});
    at = end;
  };
  for (const PayloadStretch &stretch : stretches) {
    uint64_t end = payload + stretch.end;
    add(end - at >= MIN_STRETCH ? model_of(stretch.kind) : XzModel{}, end);
  }
  add({}, size);
  return out;
}

std::vector<uint64_t> frame_cuts(const std::vector<PayloadStretch> &stretches, uint64_t payload,
                                 uint64_t size) {
  std::vector<uint64_t> cuts;
  uint64_t at = 0, most = stretches.empty() ? MAX_FRAME : MAX_KIND_FRAME;
  auto cut_until = [&](uint64_t end) {
    uint64_t length = end - at, count = (length - 1) / most + 1;
    for (uint64_t i = 1; i <= count; i++)
      cuts.push_back(at + length * i / count);
    at = end;
  };
  for (const PayloadStretch &stretch : stretches) {
    uint64_t end = payload + stretch.end;
    if (end - at >= MIN_FRAME && size - end >= MIN_FRAME)
      cut_until(end);
  }
  cut_until(size);
  cuts.pop_back();
  return cuts;
}

} // namespace trees::delta
