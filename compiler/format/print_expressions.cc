#include <algorithm>
#include <limits>

#include "compiler/format/printer.hpp"

namespace sluice::compiler {

Doc Printer::type(const ast::Type& type) {
  return std::visit(
      ast::Overloaded{
          [&](const ast::NamedType& node) { return row(node.name.text()); },
          [&](const ast::ListType& node) { return row("[", this->type(*node.element), "]"); },
          [&](const ast::MapType& node) {
            return row("{", this->type(*node.key), ": ", this->type(*node.value), "}");
          },
          [&](const ast::OptionalType& node) { return row(this->type(*node.inner), "?"); }},
      type.node);
}

Doc Printer::pattern(const ast::Pattern& pattern) {
  const auto bound = [](const std::vector<ast::Name>& names) {
    std::string text;
    for (const ast::Name& each : names) text += (text.empty() ? "(" : ", ") + each.text;
    return text.empty() ? text : text + ")";
  };
  return std::visit(
      ast::Overloaded{
          [&](const ast::WildcardPattern&) { return row("_"); },
          [&](const ast::NamePattern& node) { return row(node.name.text, bound(node.bindings)); },
          [&](const ast::LiteralPattern& node) { return expression(*node.value); },
          [&](const ast::TypePattern& node) {
            const std::string name =
                node.type.text() + (node.case_name ? "." + node.case_name->text : "");
            // An outcome is bound with a space, `Answer (a)`; a case like a call, `circle(r)`.
            const std::string names = bound(node.bindings);
            const bool space = !names.empty() && !node.case_name.has_value();
            return row(name, space ? " " : "", names);
          }},
      pattern.node);
}

Doc Printer::expression(const ast::Expr& expr) {
  if (!expr.in_parens) return bare_expression(expr);
  return Doc::group(
      row("(", Doc::nest(kIndent, row(Doc::line(""), bare_expression(expr))), Doc::line(""), ")"));
}

Doc Printer::bare_expression(const ast::Expr& expr) {
  return std::visit(
      ast::Overloaded{
          [&](const ast::StringLiteral& node) { return string(node, expr.span); },
          [&](const ast::NameExpr& node) { return row(node.name); },
          [&](const ast::FieldExpr& node) {
            return row(expression(*node.base), node.optional ? "?." : ".", node.field.text);
          },
          [&](const ast::CallExpr& node) { return call(node, expr.span); },
          [&](const ast::IndexExpr& node) {
            return row(expression(*node.base), "[", expression(*node.index), "]");
          },
          [&](const ast::RecordExpr& node) {
            return record(row(node.type.text(), " "), node.fields,
                          Span{expr.span.file, node.type.span.end, expr.span.end});
          },
          [&](const ast::CaseExpr& node) { return row(node.type.text(), ".", node.name.text); },
          [&](const ast::ListExpr& node) {
            std::vector<Item> items;
            for (const auto& each : node.elements) {
              items.push_back({each->span, [&] { return expression(*each); }});
            }
            return listed("[", "]", expr.span, items, true);
          },
          [&](const ast::MapExpr& node) {
            if (node.entries.empty()) return row("[:]");
            std::vector<Item> items;
            for (const auto& each : node.entries) {
              items.push_back({join(each.key->span, each.value->span), [&] {
                                 return row(expression(*each.key), ": ", expression(*each.value));
                               }});
            }
            return listed("[", "]", expr.span, items, true);
          },
          [&](const ast::ComprehensionExpr& node) { return comprehension(node); },
          [&](const ast::IfExpr& node) {
            return Doc::group(
                row("if ", expression(*node.condition),
                    Doc::nest(kContinuation,
                              row(Doc::line(" "), "then ", expression(*node.then_value),
                                  Doc::line(" "), "else ", expression(*node.else_value)))));
          },
          [&](const ast::MatchExpr& node) { return match_expression(node, expr.span); },
          [&](const ast::UnaryExpr& node) {
            if (node.op == ast::UnaryOp::kNot) return row("not ", expression(*node.operand));
            const auto* inner = ast::as<ast::UnaryExpr>(node.operand);
            const bool twice = inner != nullptr && !node.operand->in_parens;
            return row(twice ? "- " : "-", expression(*node.operand));
          },
          [&](const ast::BinaryExpr& node) { return binary(node); },
          [&](const ast::RangeExpr& node) {
            return row(expression(*node.first), "..", expression(*node.last));
          },
          [&](const ast::WithExpr& node) {
            return record(row(expression(*node.base), " with "), node.fields,
                          Span{expr.span.file, node.base->span.end, expr.span.end});
          },
          [&](const ast::AsExpr& node) {
            return row(expression(*node.value), " as ", type(*node.type));
          },
          // Numbers and durations stay as they are written.
          [&](const auto&) { return raw(expr.span); }},
      expr.node);
}

// A chain of one operator breaks before each of its links, or before none.
Doc Printer::binary(const ast::BinaryExpr& node) {
  std::vector<const ast::Expr*> operands = {node.right.get()};
  const ast::Expr* left = node.left.get();
  while (!left->in_parens) {
    const auto* inner = ast::as<ast::BinaryExpr>(*left);
    if (inner == nullptr || inner->op != node.op) break;
    operands.push_back(inner->right.get());
    left = inner->left.get();
  }
  Doc first = expression(*left);
  DocList links;
  for (auto it = operands.rbegin(); it != operands.rend(); ++it) {
    links.push_back(Doc::line(" "));
    links.push_back(row(ast::text_of(node.op), " ", expression(**it)));
  }
  return Doc::group(row(std::move(first), Doc::nest(kContinuation, Doc::concat(std::move(links)))));
}

Doc Printer::call(const ast::CallExpr& node, Span place) {
  Doc callee = expression(*node.callee);
  std::vector<Item> items;
  for (const auto& each : node.arguments) {
    items.push_back(
        {each.span,
         [&] { return row(each.label ? each.label->text + ": " : "", expression(*each.value)); }});
  }
  const Span parens{place.file, brackets_at('(', node.callee->span.end, place.end).begin,
                    place.end};
  return row(std::move(callee), listed("(", ")", parens, items, false));
}

Doc Printer::field_init(const ast::FieldInit& init) {
  return row(init.name.text, ": ", expression(*init.value));
}

Doc Printer::record(Doc head, const std::vector<ast::FieldInit>& fields, Span braces) {
  std::vector<Item> items;
  for (const auto& each : fields) items.push_back({each.span, [&] { return field_init(each); }});
  const Span place{braces.file, brackets_at('{', braces.begin, braces.end).begin, braces.end};
  return row(std::move(head), listed("{", "}", place, items, true));
}

Doc Printer::comprehension(const ast::ComprehensionExpr& node) {
  Doc filter =
      node.filter == nullptr ? Doc() : row(Doc::line(" "), "if ", expression(*node.filter));
  return Doc::group(
      row("[",
          Doc::nest(kIndent, row(Doc::line(""), expression(*node.element), Doc::line(" "), "for ",
                                 node.variable.text, " in ", expression(*node.source), filter)),
          Doc::line(""), "]"));
}

Doc Printer::match_expression(const ast::MatchExpr& node, Span place) {
  Doc head = row("match ", expression(*node.subject), " ");
  std::vector<Item> items;
  for (const auto& each : node.arms) {
    items.push_back({each.span, [&] {
                       return row("case ", pattern(*each.pattern), " => ", expression(*each.value));
                     }});
  }
  if (node.else_value != nullptr) {
    items.push_back(
        {node.else_value->span, [&] { return row("else => ", expression(*node.else_value)); }});
  }
  const Span braces{place.file, brackets_at('{', node.subject->span.end, place.end).begin,
                    place.end};
  return row(std::move(head), braced(braces, items, "  "));
}

namespace {

std::size_t leading_blanks(std::string_view line) {
  const std::size_t found = line.find_first_not_of(' ');
  return found == std::string_view::npos ? line.size() : found;
}

std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> lines;
  while (true) {
    const std::size_t end = text.find('\n');
    lines.push_back(text.substr(0, end));
    if (end == std::string_view::npos) return lines;
    text.remove_prefix(end + 1);
  }
}

}  // namespace

// A text block moves with the code around it: its lines keep their indentation relative to each
// other. One that begins on the line of its quotes, or is indented with tabs, stays as it is.
Doc Printer::string(const ast::StringLiteral& node, Span place) {
  const std::string_view whole = text(place);
  if (!node.block || whole.find('\t') != std::string_view::npos ||
      whole.find('\r') != std::string_view::npos) {
    return raw(place);
  }
  for (const ast::StringPart& part : node.parts) {
    if (part.expr != nullptr && !on_one_line(part.span)) return raw(place);
  }
  std::vector<std::string_view> lines = lines_of(whole.substr(3, whole.size() - 6));
  const bool first_blank = leading_blanks(lines.front()) == lines.front().size();
  const bool last_blank = leading_blanks(lines.back()) == lines.back().size();
  if (lines.size() < 2 || !first_blank || !last_blank) return raw(place);
  std::size_t common = lines.back().size();
  for (std::size_t i = 1; i + 1 < lines.size(); ++i) {
    const std::size_t blanks = leading_blanks(lines[i]);
    if (blanks < lines[i].size()) common = std::min(common, blanks);
  }
  DocList out;
  for (std::size_t i = 1; i + 1 < lines.size(); ++i) {
    out.push_back(Doc::hard_line());
    out.push_back(row(lines[i].substr(std::min(common, lines[i].size()))));
  }
  out.push_back(Doc::hard_line());
  out.push_back(row(lines.back().substr(common), "\"\"\""));
  return row("\"\"\"", Doc::nest(kIndent, Doc::concat(std::move(out))));
}

}  // namespace sluice::compiler
