#include "lzma_encoder.h"

namespace trees::delta {

namespace {

constexpr size_t MAX_PACKED = 64 << 10;
constexpr size_t MAX_UNPACKED = 2 << 20;
// More than a symbol can take.
constexpr size_t SYMBOL = 32;
constexpr uint8_t FIRST_CHUNK = 0xe0, LATER_CHUNK = 0x80, END = 0;
constexpr size_t CHUNK_HEADER_SIZE = 5;

class Chunks {
public:
  Chunks(View text, const LzmaOptions &options)
      : text_(text), options_(options),
        model_(options.literal_context, options.literal_position, options.position) {}

  Bytes run(const Job &job, const Consumed &consumed) {
    LzmaParser parser(text_, options_.effort);
    for (size_t at = 0; at < text_.size;) {
      job.check();
      size_t end = parser.parse(model_, at, state_);
      size_t place = at;
      for (const LzmaSymbol &symbol : parser.symbols()) {
        if (coder_.size() > MAX_PACKED - SYMBOL || place - begun_ > MAX_UNPACKED - LZMA_MAX_MATCH)
          finish_chunk(place);
        model_.code(coder_, state_, symbol, text_, place);
        state_ = state_.after(symbol);
        place += symbol.length;
      }
      if (consumed)
        consumed(end - at);
      at = end;
      unpriced_ += parser.symbols().size();
      if (unpriced_ >= options_.effort.refresh) {
        model_.refresh_prices();
        unpriced_ = 0;
      }
    }
    finish_chunk(text_.size);
    out_.push_back(END);
    return std::move(out_);
  }

private:
  void finish_chunk(size_t at) {
    Bytes packed = coder_.finish();
    size_t last = at - begun_ - 1, last_packed = packed.size() - 1;
    uint8_t control = out_.empty() ? FIRST_CHUNK : LATER_CHUNK;
    out_.push_back(static_cast<uint8_t>(control | last >> 16));
    out_.push_back(static_cast<uint8_t>(last >> 8));
    out_.push_back(static_cast<uint8_t>(last));
    out_.push_back(static_cast<uint8_t>(last_packed >> 8));
    out_.push_back(static_cast<uint8_t>(last_packed));
    if (control == FIRST_CHUNK)
      out_.push_back(static_cast<uint8_t>((options_.position * 5 + options_.literal_position) * 9 +
                                          options_.literal_context));
    out_.insert(out_.end(), packed.begin(), packed.end());
    begun_ = at;
  }

  View text_;
  const LzmaOptions &options_;
  LzmaModel model_;
  LzmaState state_;
  RangeCoder coder_;
  size_t begun_ = 0;
  size_t unpriced_ = 0; // symbols since prices were those of the model
  Bytes out_;
};

} // namespace

Bytes lzma2_chunks(View text, const LzmaOptions &options, const Job &job, const Consumed &consumed) {
  return Chunks(text, options).run(job, consumed);
}

} // namespace trees::delta
