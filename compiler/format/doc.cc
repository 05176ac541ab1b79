#include "compiler/format/doc.hpp"

#include <utility>

namespace sluice::compiler {

struct Doc::Node {
  enum class Kind { kText, kLine, kHardLine, kNest, kGroup, kConcat };
  Kind kind = Kind::kText;
  std::string text;          // kText; the flat form of a kLine
  std::string before_break;  // kLine
  std::size_t columns = 0;   // kNest
  bool must_break = false;   // holds a hard line
  std::vector<Doc> parts;
};

Doc Doc::text(std::string text) {
  auto node = std::make_shared<Node>();
  node->text = std::move(text);
  Doc doc;
  doc.node_ = std::move(node);
  return doc;
}

Doc Doc::line(std::string flat, std::string before_break) {
  auto node = std::make_shared<Node>();
  node->kind = Node::Kind::kLine;
  node->text = std::move(flat);
  node->before_break = std::move(before_break);
  Doc doc;
  doc.node_ = std::move(node);
  return doc;
}

Doc Doc::hard_line() {
  auto node = std::make_shared<Node>();
  node->kind = Node::Kind::kHardLine;
  node->must_break = true;
  Doc doc;
  doc.node_ = std::move(node);
  return doc;
}

Doc Doc::concat(DocList parts) {
  auto node = std::make_shared<Node>();
  node->kind = Node::Kind::kConcat;
  for (Doc& part : parts) {
    if (part.empty()) continue;
    node->must_break = node->must_break || part.node_->must_break;
    node->parts.push_back(std::move(part));
  }
  Doc doc;
  doc.node_ = std::move(node);
  return doc;
}

Doc Doc::nest(std::size_t columns, Doc inner) {
  auto node = std::make_shared<Node>();
  node->kind = Node::Kind::kNest;
  node->columns = columns;
  node->must_break = !inner.empty() && inner.node_->must_break;
  node->parts.push_back(std::move(inner));
  Doc doc;
  doc.node_ = std::move(node);
  return doc;
}

Doc Doc::group(Doc inner) {
  Doc doc = nest(0, std::move(inner));
  auto node = std::make_shared<Node>(*doc.node_);
  node->kind = Node::Kind::kGroup;
  doc.node_ = std::move(node);
  return doc;
}

class Doc::Renderer {
 public:
  explicit Renderer(std::size_t columns) : columns_(columns) {}

  std::string run(const Doc& doc) {
    work_.push_back({&doc, 0, false});
    while (!work_.empty()) {
      const Work item = work_.back();
      work_.pop_back();
      if (!item.doc->empty()) print(item);
    }
    return std::move(out_);
  }

 private:
  struct Work {
    const Doc* doc = nullptr;
    std::size_t indent = 0;
    bool flat = false;
  };

  void print(const Work& item) {
    const Node& node = *item.doc->node_;
    switch (node.kind) {
      case Node::Kind::kText:
        return write(node.text);
      case Node::Kind::kLine:
        if (item.flat) return write(node.text);
        write(node.before_break);
        return break_line(item.indent);
      case Node::Kind::kHardLine:
        return break_line(item.indent);
      case Node::Kind::kNest:
        return push_parts(node, item.indent + node.columns, item.flat);
      case Node::Kind::kGroup: {
        const bool flat = item.flat || (!node.must_break && fits(item));
        return push_parts(node, item.indent, flat);
      }
      case Node::Kind::kConcat:
        return push_parts(node, item.indent, item.flat);
    }
  }

  void push_parts(const Node& node, std::size_t indent, bool flat) {
    for (auto part = node.parts.rbegin(); part != node.parts.rend(); ++part) {
      work_.push_back({&*part, indent, flat});
    }
  }

  // The indentation is written with the first text of a line, so that blank lines stay empty.
  void write(const std::string& text) {
    if (text.empty()) return;
    if (at_line_begin_) out_.append(indent_, ' ');
    if (at_line_begin_) column_ = indent_;
    at_line_begin_ = false;
    out_ += text;
    const std::size_t last_line = text.rfind('\n');
    column_ = last_line == std::string::npos ? column_ + text.size() : text.size() - last_line - 1;
  }

  void break_line(std::size_t indent) {
    out_ += '\n';
    at_line_begin_ = true;
    indent_ = indent;
    column_ = indent;
  }

  // Whether the group, and what follows it up to the next possible break, fits the line.
  bool fits(const Work& group) const {
    const std::size_t used = at_line_begin_ ? indent_ : column_;
    if (used > columns_) return false;
    std::size_t room = columns_ - used;
    std::vector<Work> ahead = {{group.doc, group.indent, true}};
    std::size_t rest = work_.size();
    while (true) {
      if (ahead.empty()) {
        if (rest == 0) return true;
        ahead.push_back(work_[--rest]);
      }
      const Work item = ahead.back();
      ahead.pop_back();
      if (item.doc->empty()) continue;
      const Node& node = *item.doc->node_;
      const bool breaks =
          node.kind == Node::Kind::kHardLine || (node.kind == Node::Kind::kLine && !item.flat);
      if (breaks) return true;
      if (node.kind == Node::Kind::kText || node.kind == Node::Kind::kLine) {
        const std::size_t width = node.text.find('\n');
        const std::size_t needed = width == std::string::npos ? node.text.size() : width;
        if (needed > room) return false;
        if (width != std::string::npos) return true;
        room -= needed;
        continue;
      }
      // A group behind this one may still be broken by itself.
      const bool flat = item.flat && !(node.kind == Node::Kind::kGroup && node.must_break);
      for (auto part = node.parts.rbegin(); part != node.parts.rend(); ++part) {
        ahead.push_back({&*part, item.indent, flat});
      }
    }
  }

  std::size_t columns_;
  std::string out_;
  std::vector<Work> work_;
  std::size_t column_ = 0;
  std::size_t indent_ = 0;
  bool at_line_begin_ = true;
};

std::string Doc::render(std::size_t columns) const {
  return Renderer(columns).run(*this);
}

}  // namespace sluice::compiler
