// A source file as ANTLR reads it: one symbol per byte, so that an index is a byte offset.
#pragma once

#include <string>
#include <string_view>

#include "antlr4-runtime.h"

namespace sluice::compiler {

// REQUIRES: the text outlives the stream.
class ByteStream final : public antlr4::CharStream {
 public:
  explicit ByteStream(std::string_view text) : text_(text) {}

  void consume() override { ++index_; }

  size_t LA(ssize_t offset) override {
    const ssize_t at = static_cast<ssize_t>(index_) + (offset > 0 ? offset - 1 : offset);
    if (offset == 0) return 0;
    if (at < 0 || at >= static_cast<ssize_t>(text_.size())) return EOF;
    return static_cast<unsigned char>(text_[static_cast<size_t>(at)]);
  }

  ssize_t mark() override { return -1; }
  void release(ssize_t) override {}
  size_t index() override { return index_; }
  void seek(size_t index) override { index_ = index < text_.size() ? index : text_.size(); }
  size_t size() override { return text_.size(); }
  std::string getSourceName() const override { return "flow"; }
  std::string toString() const override { return std::string(text_); }

  std::string getText(const antlr4::misc::Interval& interval) override {
    const auto begin = static_cast<size_t>(interval.a);
    if (interval.b < interval.a || begin >= text_.size()) return {};
    return std::string(text_.substr(begin, static_cast<size_t>(interval.b - interval.a) + 1));
  }

 private:
  std::string_view text_;
  size_t index_ = 0;
};

}  // namespace sluice::compiler
