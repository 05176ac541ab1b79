// The names that are alive inside one function or flow. Private to compiler/check.
#pragma once

#include <string_view>
#include <unordered_map>
#include <vector>

#include "compiler/check/context.hpp"

namespace sluice::compiler {

class Locals {
 public:
  explicit Locals(Context& context) : context_(context) {}

  void open() { marks_.push_back(order_.size()); }
  // Ends the innermost block: reports what was bound there and never used.
  void close();

  // Makes the name visible. Reports a name that is taken in this block or around it; the new one
  // then hides the old one, so that later uses make no further reports.
  void declare(ir::Local* local);

  // The innermost local of that name; null if there is none alive.
  ir::Local* find(std::string_view name) const;
  // The place of a name whose block has ended, for messages.
  const Span* find_dead(std::string_view name) const;
  std::vector<std::string_view> names() const;

  // Activations: the flow is 0; each branch, compensation and so on gets its own.
  void enter_frame() { frames_.push_back(++last_frame_); }
  void leave_frame() { frames_.pop_back(); }
  std::uint32_t frame() const { return frames_.back(); }

 private:
  Context& context_;
  std::vector<ir::Local*> order_;
  std::vector<std::size_t> marks_;
  std::unordered_map<std::string_view, std::vector<ir::Local*>> alive_;
  std::unordered_map<std::string_view, Span> dead_;
  std::vector<std::uint32_t> frames_{0};
  std::uint32_t last_frame_ = 0;
};

}  // namespace sluice::compiler
