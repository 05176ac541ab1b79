// Text with the places where it may be broken, after Wadler's "A prettier printer".
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

namespace sluice::compiler {

class Doc;
using DocList = std::vector<Doc>;

// A value; copies share their parts.
class Doc {
 public:
  Doc() = default;  // nothing

  static Doc text(std::string text);
  // `flat` on one line; otherwise `before_break` and a line end.
  static Doc line(std::string flat, std::string before_break = "");
  // Always a line end; breaks every group around it.
  static Doc hard_line();
  static Doc nest(std::size_t columns, Doc inner);
  // On one line if that fits, else every line() directly in it is broken.
  static Doc group(Doc inner);
  static Doc concat(DocList parts);

  bool empty() const { return node_ == nullptr; }

  // REQUIRES: columns > 0. Lines hold no blanks at their end but those that texts end with.
  std::string render(std::size_t columns) const;

 private:
  struct Node;
  class Renderer;
  std::shared_ptr<const Node> node_;
};

}  // namespace sluice::compiler
