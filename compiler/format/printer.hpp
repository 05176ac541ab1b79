// The tree as a Doc, with the comments put where they belong.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "compiler/ast.hpp"
#include "compiler/comments.hpp"
#include "compiler/format/doc.hpp"

namespace sluice::compiler {

// Comments are printed in order, each before the first item that begins behind it. One that stands
// inside of an item where none can be kept is printed behind that item.
class Printer {
 public:
  // REQUIRES: the module is that of the file, without syntax errors. Both outlive the printer.
  Printer(const SourceFile& file, const ast::Module& module);

  std::string print();

 private:
  static constexpr std::size_t kIndent = 2;
  static constexpr std::size_t kContinuation = 4;

  struct Item {
    Span span;
    std::function<Doc()> print;
    // If the line before it is broken, a comma ends what stands there.
    bool after_comma = false;
  };

  // ---- lists of items (printer.cc)
  // Each on its own line, with comments and single blank lines between them; `end` is where the
  // list ends.
  Doc lines(const std::vector<Item>& items, std::uint32_t end);
  // `open`, the items, `close`: on one line if it was so and fits.
  Doc braced(Span braces, const std::vector<Item>& items, std::string_view separator);
  // `(…)`, `[…]` and `{…}` of expressions, broken with a comma behind each item.
  Doc listed(std::string_view open, std::string_view close, Span brackets,
             const std::vector<Item>& items, bool keep_breaks);
  Doc item(const Item& item);
  void add_comments_before(std::uint32_t offset, DocList& out, std::uint32_t& last_end);
  Doc comments_after(std::uint32_t end);
  bool has_comment_in(std::uint32_t begin, std::uint32_t end) const;
  bool blank_line_between(std::uint32_t begin, std::uint32_t end) const;
  bool on_one_line(Span span) const;
  Doc raw(Span span);
  std::string_view text(Span span) const { return file_.text_of(span); }

  // ---- declarations (print_declarations.cc)
  std::string section(const std::vector<Item>& items);
  Doc declaration(const ast::Decl& decl);
  Doc event_like(std::string head, const ast::Decl& decl, const std::vector<ast::Field>& fields);
  Doc enum_declaration(const ast::Decl& decl, const ast::EnumDecl& node);
  Doc topic(const ast::Decl& decl, const ast::TopicDecl& node);
  Doc task(const ast::Decl& decl, const ast::TaskDecl& node);
  Doc pool(const ast::Decl& decl, const ast::PoolDecl& node);
  Doc constant(const ast::Decl& decl, const ast::ConstDecl& node);
  Doc function(const ast::Decl& decl, const ast::FnDecl& node);
  Doc flow(const ast::Decl& decl, const ast::FlowDecl& node);
  Doc migrate(const ast::Decl& decl, const ast::MigrateDecl& node);
  Doc field(const ast::Field& field);
  Doc parameters(const std::vector<ast::Field>& fields, Span place);
  Doc field_block(const std::vector<ast::Field>& fields, Span place);
  Doc scope(const ast::Scope& scope);
  Doc limit(const ast::LimitSetting& node);
  Doc topic_setting(const ast::TopicSetting& setting);
  Doc flow_setting(const ast::FlowSetting& setting);
  Doc test_items(const std::vector<ast::TestItem>& items, Span place);
  Doc test_item(const ast::TestItem& item);
  Doc when(const ast::WhenItem& node, Span item);
  Doc given_answer(const ast::GivenAnswer& answer);
  Doc expected_event(const ast::ExpectEventItem& node, Span place);
  // The span from the first `open` at or after `from` to its partner, or to `until`.
  Span brackets_at(char open, std::uint32_t from, std::uint32_t until) const;

  // ---- statements and policies (print_statements.cc)
  Doc block(const ast::Block& block);
  Doc statement(const ast::Stmt& stmt);
  Doc flow_control(const ast::Stmt& stmt);
  Doc step(const ast::StepStmt& node, Span place);
  Doc branches(std::string_view word, const std::vector<ast::Branch>& branches, Span place);
  Doc branch(const ast::Branch& branch);
  Doc if_statement(const ast::IfStmt& node);
  Doc match_statement(const ast::MatchStmt& node, Span place);
  Doc receive(const ast::ReceiveStmt& node);
  Doc notify(const ast::NotifyStmt& node);
  Doc try_statement(const ast::TryStmt& node);
  Doc policy_block(const std::vector<ast::Policy>& policies, Span braces);
  Doc policy(const ast::Policy& policy);
  Doc attempts(const ast::AttemptsPolicy& node);
  Doc kinds(const std::vector<ast::Name>& kinds);

  // ---- types, patterns, expressions (print_expressions.cc)
  Doc type(const ast::Type& type);
  Doc pattern(const ast::Pattern& pattern);
  Doc expression(const ast::Expr& expr);
  Doc bare_expression(const ast::Expr& expr);
  Doc binary(const ast::BinaryExpr& node);
  Doc string(const ast::StringLiteral& node, Span place);
  Doc call(const ast::CallExpr& node, Span place);
  Doc record(Doc head, const std::vector<ast::FieldInit>& fields, Span braces);
  Doc field_init(const ast::FieldInit& init);
  Doc match_expression(const ast::MatchExpr& node, Span place);
  Doc comprehension(const ast::ComprehensionExpr& node);

  const SourceFile& file_;
  const ast::Module& module_;
  std::vector<Comment> comments_;
  std::size_t next_comment_ = 0;
};

// Texts and parts in a row: an empty Doc is left out.
template <typename... Parts>
Doc row(Parts&&... parts) {
  const auto as_doc = [](auto&& part) -> Doc {
    if constexpr (std::is_same_v<std::decay_t<decltype(part)>, Doc>) {
      return std::forward<decltype(part)>(part);
    } else {
      return Doc::text(std::string(part));
    }
  };
  return Doc::concat({as_doc(std::forward<Parts>(parts))...});
}

}  // namespace sluice::compiler
