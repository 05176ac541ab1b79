// From ANTLR's parse tree to ours, in one walk.
#pragma once

#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "FlowParser.h"
#include "compiler/ast.hpp"
#include "compiler/diagnostics.hpp"
#include "compiler/parser/tokens.hpp"

namespace sluice::compiler {

// Leaves out what was not read whole, and reports what the grammar takes and the language does not.
// REQUIRES: the list and the parse tree outlive it.
class Builder {
 public:
  using Parser = grammar::FlowParser;

  Builder(const SourceFile& file, const TokenList& list, Diagnostics& diagnostics)
      : file_(file), list_(list), diagnostics_(diagnostics) {}

  std::unique_ptr<ast::Module> build(Parser::FileContext* context);

 private:
  // ---- names and places (build_expressions.cc)
  static const FlowToken& token(antlr4::Token* symbol);
  static Span span_of(antlr4::tree::TerminalNode* node);
  static Span span_of(antlr4::ParserRuleContext* context);
  ast::Name name(antlr4::tree::TerminalNode* node);
  ast::Name name(Parser::IdentifierContext* context);
  ast::Name name(Parser::MemberContext* context);
  ast::Name name(const FlowToken& symbol);
  ast::QualifiedName qualified(Parser::QualifiedNameContext* context);
  ast::QualifiedName qualified(Parser::TypeNameContext* context);
  ast::QualifiedName type_name(Parser::IdentifierContext* module,
                               antlr4::tree::TerminalNode* type_word);
  ast::Doc doc_before(antlr4::ParserRuleContext* context);

  // ---- declarations (build_declarations.cc)
  std::optional<ast::Decl> declaration(Parser::DeclarationContext* context);
  // Declares the one that is not null; false if there is none.
  template <typename... Contexts>
  bool declare_any(ast::Decl& decl, Contexts*... contexts) {
    return ((contexts != nullptr ? (declare(decl, contexts), true) : false) || ...);
  }
  void declare(ast::Decl& decl, Parser::RecordDeclarationContext* context);
  void declare(ast::Decl& decl, Parser::EnumDeclarationContext* context);
  void declare(ast::Decl& decl, Parser::EventDeclarationContext* context);
  void declare(ast::Decl& decl, Parser::UpgradeDeclarationContext* context);
  void declare(ast::Decl& decl, Parser::TopicDeclarationContext* context);
  void declare(ast::Decl& decl, Parser::TaskDeclarationContext* context);
  void declare(ast::Decl& decl, Parser::PoolDeclarationContext* context);
  void declare(ast::Decl& decl, Parser::PolicyDeclarationContext* context);
  void declare(ast::Decl& decl, Parser::ConstDeclarationContext* context);
  void declare(ast::Decl& decl, Parser::FnDeclarationContext* context);
  void declare(ast::Decl& decl, Parser::FlowDeclarationContext* context);
  void declare(ast::Decl& decl, Parser::MigrateDeclarationContext* context);
  void declare(ast::Decl& decl, Parser::TestDeclarationContext* context);
  void declare(ast::Decl& decl, Parser::InvariantDeclarationContext* context);
  std::vector<ast::Field> fields(const std::vector<Parser::FieldContext*>& contexts);
  ast::Field field(Parser::FieldContext* context);
  std::uint32_t version(antlr4::tree::TerminalNode* node);
  std::optional<ast::TopicSetting> topic_setting(Parser::TopicSettingContext* context);
  std::optional<ast::FlowSetting> flow_setting(Parser::FlowSettingContext* context);
  ast::LimitSetting limit(Parser::LimitContext* context);
  ast::Scope scope(Parser::ScopeContext* context);
  ast::ConcurrencySetting concurrency(Parser::ConcurrencyContext* context);
  ast::Scope order(ast::ExprPtr by);

  // ---- tests (build_tests.cc)
  std::vector<ast::TestItem> test_items(const std::vector<Parser::TestItemContext*>& contexts);
  std::optional<ast::TestItem> test_item(Parser::TestItemContext* context);
  ast::WhenItem when(Parser::WhenContext* context);
  ast::GivenAnswer given_answer(Parser::GivenAnswerContext* context);
  ast::ExpectEventItem expect_event(Parser::EventExpectationContext* context);
  ast::ExpectStepItem expect_step(Parser::ExpectStepContext* context);
  ast::Name title(Parser::StringContext* context);

  // ---- policies and statements (build_policies.cc, build_statements.cc)
  std::vector<ast::Policy> policies(Parser::PolicyBlockContext* context);
  std::optional<ast::Policy> policy(Parser::PolicyContext* context);
  bool set_running(ast::Policy& result, Parser::PolicyContext* context);
  bool set_effects(ast::Policy& result, Parser::PolicyContext* context);
  ast::AttemptsPolicy attempts(Parser::AttemptsPolicyContext* context);
  std::vector<ast::Name> kinds(Parser::KindsContext* context);
  ast::Block block(Parser::BlockContext* context);
  // Puts a DamagedStmt where statements could not be read.
  void keep_places(ast::Block& block);
  ast::StmtPtr statement(Parser::StatementContext* context);
  ast::StmtPtr make(antlr4::ParserRuleContext* place, decltype(ast::Stmt::node) node);
  ast::StmtPtr let(Parser::LetStatementContext* context);
  ast::StmtPtr step(Parser::StepStatementContext* context);
  ast::StmtPtr race(Parser::RaceStatementContext* context);
  ast::StmtPtr each(Parser::EachStatementContext* context);
  ast::StmtPtr start(Parser::StartStatementContext* context);
  ast::StmtPtr if_statement(Parser::IfStatementContext* context);
  ast::StmtPtr match_statement(Parser::MatchStatementContext* context);
  ast::StmtPtr while_statement(Parser::WhileStatementContext* context);
  ast::StmtPtr receive(Parser::ReceiveStatementContext* context);
  ast::StmtPtr notify(Parser::NotifyStatementContext* context);
  ast::StmtPtr try_statement(Parser::TryStatementContext* context);
  std::vector<ast::Branch> branches(const std::vector<Parser::BranchContext*>& contexts);
  ast::IfArm condition(Parser::ConditionContext* context);
  ast::StmtPtr simple_statement(Parser::StatementContext* context);

  // ---- types, patterns, expressions (build_expressions.cc, build_primaries.cc)
  ast::TypePtr type(Parser::TypeContext* context);
  ast::PatternPtr pattern(Parser::PatternContext* context);
  ast::ExprPtr expression(Parser::ExpressionContext* context);
  ast::ExprPtr primary(Parser::PrimaryContext* context);
  ast::ExprPtr literal(Parser::PrimaryContext* context);
  ast::ExprPtr value(Parser::ValueContext* context);
  ast::ExprPtr call(Parser::CallContext* context);
  ast::ExprPtr name_chain(Parser::QualifiedNameContext* context);
  ast::ExprPtr binary(Parser::BinaryExpressionContext* context);
  ast::ExprPtr range(Parser::RangeExpressionContext* context);
  ast::ExprPtr postfix(Parser::ExpressionContext* context);
  ast::ExprPtr string(Parser::StringContext* context);
  ast::ExprPtr number(antlr4::tree::TerminalNode* node);
  ast::ExprPtr match_expression(Parser::MatchExpressionContext* context);
  ast::ExprPtr type_use(Span span, ast::QualifiedName type_name, Parser::TypeUseContext* use);
  ast::ExprPtr bracket_expression(Parser::BracketExpressionContext* context);
  std::vector<ast::Argument> arguments(Parser::ArgumentsContext* context);
  std::vector<ast::FieldInit> field_inits(Parser::FieldInitsContext* context);
  ast::ExprPtr make(Span span, decltype(ast::Expr::node) node);
  // What was reported: it stands for any value, and its words may be anything.
  ast::ExprPtr damaged(Span span);
  void lose(Span place);
  // Whether the parser gave up on it, or on what it was meant to be.
  bool is_lost(const antlr4::ParserRuleContext* context) const;
  void report_chain(Span span, const ast::Expr& left, std::string_view what);

  const SourceFile& file_;
  const TokenList& list_;
  Diagnostics& diagnostics_;
  std::unique_ptr<ast::Module> module_;
};

}  // namespace sluice::compiler
