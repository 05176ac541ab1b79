// The tree of names, types, expressions and patterns; ast.hpp has the rest and the rules.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "compiler/source.hpp"

namespace sluice::compiler::ast {

struct Expr;
struct Stmt;
struct Type;
struct Pattern;
using ExprPtr = std::unique_ptr<Expr>;
using StmtPtr = std::unique_ptr<Stmt>;
using TypePtr = std::unique_ptr<Type>;
using PatternPtr = std::unique_ptr<Pattern>;

// ------------------------------------------------------------------------------------------ names

struct Name {
  std::string text;
  Span span;
};

// `retry.fast`, `support.answer`, `asks`, `text.Chunk`. At least one part.
struct QualifiedName {
  std::vector<Name> parts;
  Span span;

  const Name& last() const { return parts.back(); }
  bool is_simple() const { return parts.size() == 1; }
  std::string text() const;  // joined by `.`
};

// The text of the `///` lines before a declaration, field or case, without the slashes and the one
// space after them, joined by '\n'. Empty when there is none.
struct Doc {
  std::string text;
  Span span;
};

struct Block {
  std::vector<StmtPtr> statements;
  Span span;  // with both braces
};

// ------------------------------------------------------------------------------------------ types

// `int`, `Turn`, `text.Chunk`. Built-in types are names without a capital.
struct NamedType {
  QualifiedName name;
};
struct ListType {  // [T]
  TypePtr element;
};
struct MapType {  // {string: T}
  TypePtr key;
  TypePtr value;
};
struct OptionalType {  // T?
  TypePtr inner;
};

struct Type {
  Span span;
  std::variant<NamedType, ListType, MapType, OptionalType> node;
};

// ------------------------------------------------------------------------------------ expressions

struct IntLiteral {
  std::uint64_t value = 0;  // 2^63 is possible (for `-9223372036854775808`); larger ones are E0117
};
struct DecimalLiteral {
  std::string text;  // "0.50", as written, without `_`
};
struct DurationLiteral {
  std::int64_t ms = 0;
  std::string text;  // as written: "250ms", "1.5s"
};
struct BoolLiteral {
  bool value = false;
};

// One piece of a string: text with escapes resolved and the common indentation of a block removed,
// or, when `expr` is set, an interpolation.
struct StringPart {
  std::string text;
  ExprPtr expr;
  Span span;
};
struct StringLiteral {
  std::vector<StringPart> parts;  // empty for ""
  bool block = false;             // written with """

  // The whole text when nothing is interpolated.
  std::optional<std::string> plain() const;
};

struct NameExpr {
  std::string name;
};
struct FieldExpr {  // base.field, base?.field
  ExprPtr base;
  Name field;
  bool optional = false;
};
struct Argument {
  std::optional<Name> label;  // `r: 1`
  ExprPtr value;
  Span span;
};
// The callee is a NameExpr, a FieldExpr chain of names (`text.shorten(x)`) or a CaseExpr
// (`Shape.circle(r: 1)`).
struct CallExpr {
  ExprPtr callee;
  std::vector<Argument> arguments;
};
struct IndexExpr {  // base[index]
  ExprPtr base;
  ExprPtr index;
};
struct FieldInit {  // name: value
  Name name;
  ExprPtr value;
  Span span;
};
struct RecordExpr {  // Turn { role: r, text: t }
  QualifiedName type;
  std::vector<FieldInit> fields;
};
struct CaseExpr {  // Role.user
  QualifiedName type;
  Name name;
};
struct ListExpr {
  std::vector<ExprPtr> elements;
};
struct MapEntry {
  ExprPtr key;
  ExprPtr value;
};
struct MapExpr {  // ["a": 1], [:]
  std::vector<MapEntry> entries;
};
struct ComprehensionExpr {  // [element for variable in source if filter]
  ExprPtr element;
  Name variable;
  ExprPtr source;
  ExprPtr filter;  // may be null
};
struct IfExpr {  // if c then a else b
  ExprPtr condition;
  ExprPtr then_value;
  ExprPtr else_value;
};
struct MatchArm {  // case PATTERN => value
  PatternPtr pattern;
  ExprPtr value;
  Span span;
};
struct MatchExpr {
  ExprPtr subject;
  std::vector<MatchArm> arms;
  ExprPtr else_value;  // may be null
};
enum class UnaryOp { kNot, kNegate };
struct UnaryExpr {
  UnaryOp op{};
  ExprPtr operand;
};
enum class BinaryOp {
  kOr,
  kAnd,
  kEqual,
  kNotEqual,
  kLess,
  kLessEqual,
  kGreater,
  kGreaterEqual,
  kIn,
  kCoalesce,  // ??
  kAdd,
  kSubtract,
  kMultiply,
  kDivide,
  kRemainder,
};
struct BinaryExpr {
  BinaryOp op{};
  Span op_span;
  ExprPtr left;
  ExprPtr right;
};
struct RangeExpr {  // first..last, both ends in
  ExprPtr first;
  ExprPtr last;
};
struct WithExpr {  // base with { text: "…" }
  ExprPtr base;
  std::vector<FieldInit> fields;
};
struct AsExpr {  // value as T
  ExprPtr value;
  TypePtr type;
};

// What was told to be wrong, so that it stands for any value.
struct DamagedExpr {};

struct Expr {
  Span span;               // without enclosing parentheses
  std::uint32_t id = 0;    // dense within the module: 0 .. Module::expr_count - 1
  bool in_parens = false;  // the author wrote parentheses around it
  std::variant<IntLiteral, DecimalLiteral, DurationLiteral, BoolLiteral, StringLiteral, NameExpr,
               FieldExpr, CallExpr, IndexExpr, RecordExpr, CaseExpr, ListExpr, MapExpr,
               ComprehensionExpr, IfExpr, MatchExpr, UnaryExpr, BinaryExpr, RangeExpr, WithExpr,
               AsExpr, DamagedExpr>
      node;
};

// The words of an operator, as written: "or", "==", "??".
const char* text_of(BinaryOp op);
const char* text_of(UnaryOp op);

// --------------------------------------------------------------------------------------- patterns

struct WildcardPattern {};  // _
// `user`: an enum's case or `none`; `circle(r)`: a case with its fields bound. What it is, its
// subject's type says.
struct NamePattern {
  Name name;
  std::vector<Name> bindings;
};
struct LiteralPattern {  // 1, -1, "search", true, 5s
  ExprPtr value;
};
// `Answer (a)`: an outcome; `Shape.circle (r)`: an enum's case.
struct TypePattern {
  QualifiedName type;
  std::optional<Name> case_name;
  std::vector<Name> bindings;
};
struct Pattern {
  Span span;
  std::variant<WildcardPattern, NamePattern, LiteralPattern, TypePattern> node;
};

// ----------------------------------------------------------------------------------------- access

// `if (const auto* call = as<CallExpr>(expr))`; null when it is another kind, or when the node is
// null.
template <typename Node, typename Owner>
const Node* as(const Owner& owner) {
  return std::get_if<Node>(&owner.node);
}
template <typename Node, typename Owner>
const Node* as(const std::unique_ptr<Owner>& owner) {
  return owner == nullptr ? nullptr : std::get_if<Node>(&owner->node);
}

// One overload set out of several lambdas, for std::visit.
template <typename... Fs>
struct Overloaded : Fs... {
  using Fs::operator()...;
};
template <typename... Fs>
Overloaded(Fs...) -> Overloaded<Fs...>;

}  // namespace sluice::compiler::ast
