// Types of expressions: from trees to typed nodes. Private to compiler/check.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "compiler/check/context.hpp"
#include "compiler/check/locals.hpp"

namespace sluice::compiler {

// Where an expression stands, which says what it may name.
enum class World : std::uint8_t {
  kConstant,    // const, default, policy value
  kPure,        // fn
  kConstraint,  // where
  kOrderKey,    // order by key
  kFlow,
};

// The type that a place asks for, and what says so.
struct Want {
  ir::TypeId type = ir::kPoison;
  std::optional<Span> where = std::nullopt;  // what asks for it
  std::string text = {};                     // said there: "parameter `amount` is an `int`"
  Code code = Code::E0301;
};

class Exprs {
 public:
  Exprs(Context& context, ModuleScope& scope, World world, Locals& locals)
      : context_(context), types_(context.types), scope_(scope), world_(world), locals_(locals) {}

  // The expression, of whatever type it has; `hint` helps literals that could be of several.
  ir::Expr* infer(const ast::Expr& tree, ir::TypeId hint = ir::kPoison) {
    return infer(tree, hint, nullptr);
  }
  // The expression if it fits, else poison after a report.
  ir::Expr* want(const ast::Expr& tree, const Want& want);
  ir::Expr* want_bool(const ast::Expr& tree);
  // Says that what should be gone through is no list, and how one is made of it.
  void no_list(Span span, ir::TypeId type);
  // The expression, whose type must be known to the end: `[]` alone is not.
  ir::Expr* infer_closed(const ast::Expr& tree, std::string_view name);

  // A value that must agree with what its siblings made of `type` so far (at first kEmpty).
  ir::Expr* agree(const ast::Expr& tree, ir::TypeId hint, const Want* forward, ir::TypeId* type,
                  Span first, std::string_view what);

  // The arguments of a call, in the order of the parameters. Defaults are filled in.
  struct Callee {
    std::string name;
    Span declared;
    bool damaged = false;  // parameters are lost
  };
  std::vector<ir::Expr*> arguments(const ast::CallExpr& call, Span call_span,
                                   std::vector<ir::FieldDef>& parameters, const Callee& callee);
  // Reports that the record has no such field, unless fields of it are lost.
  void unknown_field(const ir::RecordDef& record, const ast::Name& name);

  // Patterns of `match`, with their exhaustiveness.
  class Coverage;
  ir::Pattern pattern(const ast::Pattern& tree, const ir::Expr& subject, Coverage& coverage);
  // Reports what is not covered, or an `else` that nothing reaches.
  void finish_match(Span match, const ir::Expr& subject, const Coverage& coverage,
                    std::optional<Span> else_span);

  // For fns: the calls seen so far, in the order of the text.
  std::vector<std::pair<const ir::FnDef*, Span>>& calls() { return calls_; }

  // Whether `as T` stands in it.
  bool checks_json() const { return checks_json_; }

  // Steps of the same `parallel` that are not visible yet, for messages.
  std::vector<std::pair<std::string, Span>>& siblings() { return siblings_; }
  // Fields whose names an ordering key or a refused construct may use as they are.
  void set_event(ir::Local* event) { event_ = event; }
  // In an upgrade, the event's name means the version that is made.
  void set_version(ir::RecordDef* version) { version_ = version; }
  // What `run.client` is: `string`, or `string?` where a run may have none.
  void set_run_client(ir::TypeId type) { run_client_ = type; }
  // The step whose `unsure` block is being checked: its result does not exist there.
  void set_unsure(const ir::StepDef* step) { unsure_ = step; }
  // Calls of names that only this place knows; null: it does not know this one either.
  using OwnCall =
      std::function<ir::Expr*(const ast::Expr&, const ast::CallExpr&, const std::string& name)>;
  void set_own_calls(OwnCall calls) { own_calls_ = std::move(calls); }
  World world() const { return world_; }

  void mismatch(Span span, ir::TypeId found, const Want& want);

 private:
  // Keeps what it makes in Module::exprs, where the analyses look.
  ir::Expr* infer(const ast::Expr& tree, ir::TypeId hint, const Want* forward);
  ir::Expr* infer_node(const ast::Expr& tree, ir::TypeId hint, const Want* forward);

  // Literals and names (exprs.cc).
  ir::Expr* int_literal(const ast::Expr& tree, const ast::IntLiteral& node, ir::TypeId hint,
                        bool negative = false);
  ir::Expr* decimal_literal(const ast::Expr& tree, const ast::DecimalLiteral& node,
                            ir::TypeId hint);
  ir::Expr* as_type(const ast::Expr& tree, const ast::AsExpr& node);
  ir::Expr* now(Span span);
  ir::Expr* string_literal(const ast::Expr& tree, const ast::StringLiteral& node);
  ir::Expr* interpolated(const ast::Expr& tree);
  ir::Expr* name(const ast::Expr& tree, const ast::NameExpr& node, ir::TypeId hint);
  ir::Expr* local_ref(Span span, ir::Local& local);
  const ir::EnumDef* enum_with_case(const std::string& name) const;
  ir::Expr* unknown_name(Span span, const std::string& name);
  ir::Expr* symbol_value(Span span, const Symbol& symbol, std::string_view name);
  ir::Expr* list(const ast::Expr& tree, const ast::ListExpr& node, ir::TypeId hint,
                 const Want* forward);
  ir::Expr* map(const ast::Expr& tree, const ast::MapExpr& node, ir::TypeId hint,
                const Want* forward);
  ir::Expr* if_expr(const ast::Expr& tree, const ast::IfExpr& node, ir::TypeId hint,
                    const Want* forward);
  ir::Expr* match(const ast::Expr& tree, const ast::MatchExpr& node, ir::TypeId hint,
                  const Want* forward);
  ir::Expr* comprehension(const ast::Expr& tree, const ast::ComprehensionExpr& node,
                          ir::TypeId hint);
  // Operators (exprs_operators.cc).
  ir::Expr* unary(const ast::Expr& tree, const ast::UnaryExpr& node, ir::TypeId hint);
  ir::Expr* binary(const ast::Expr& tree, const ast::BinaryExpr& node, ir::TypeId hint);
  void operands(const ast::BinaryExpr& node, ir::TypeId hint, ir::Expr** left, ir::Expr** right);
  ir::Expr* arithmetic(const ast::Expr& tree, const ast::BinaryExpr& node, ir::TypeId hint);
  ir::Expr* comparison(const ast::Expr& tree, const ast::BinaryExpr& node);
  ir::Expr* membership(const ast::Expr& tree, const ast::BinaryExpr& node);
  ir::Expr* coalesce(const ast::Expr& tree, const ast::BinaryExpr& node, ir::TypeId hint);
  ir::Expr* range(const ast::Expr& tree, const ast::RangeExpr& node);
  ir::Expr* bad_operands(const ast::Expr& tree, const ast::BinaryExpr& node, const ir::Expr& left,
                         const ir::Expr& right);
  ir::Expr* bad_quotient(const ast::Expr& tree, const ast::BinaryExpr& node);
  bool refuse_optional(const ir::Expr& operand, std::string_view what);

  // Parts of values (exprs_access.cc).
  ir::Expr* field(const ast::Expr& tree, const ast::FieldExpr& node);
  ir::Expr* field_of_name(const ast::Expr& tree, const ast::FieldExpr& node,
                          const std::string& base);
  ir::Expr* field_of_value(const ast::Expr& tree, const ast::FieldExpr& node, ir::Expr* base);
  ir::Expr* index(const ast::Expr& tree, const ast::IndexExpr& node);
  ir::Expr* record(const ast::Expr& tree, const ast::RecordExpr& node);
  ir::Expr* enum_case(const ast::Expr& tree, const ast::CaseExpr& node, const ast::CallExpr* call);
  ir::Expr* with(const ast::Expr& tree, const ast::WithExpr& node);
  ir::Expr* default_of(ir::FieldDef& field, Span span);

  // Calls (exprs_calls.cc).
  ir::Expr* call(const ast::Expr& tree, const ast::CallExpr& node, ir::TypeId hint);
  ir::Expr* call_symbol(const ast::Expr& tree, const ast::CallExpr& node, const Symbol& symbol,
                        std::string_view name);
  ir::Expr* call_builtin(const ast::Expr& tree, const ast::CallExpr& node, const std::string& name,
                         ir::TypeId hint);
  ir::Expr* call_method(const ast::Expr& tree, const ast::CallExpr& node,
                        const ast::FieldExpr& callee);
  ir::Expr* unknown_call(const ast::CallExpr& node, Span span, const std::string& name);
  // A value that a call with a literal makes when the program is compiled: `timestamp("…")`.
  ir::Expr* literal_call(const ast::Expr& tree, const ast::CallExpr& node, std::string_view name);
  void infer_all(const ast::CallExpr& node);

  Context& context_;
  ir::Types& types_;
  ModuleScope& scope_;
  World world_;
  Locals& locals_;
  ir::Local* event_ = nullptr;
  ir::RecordDef* version_ = nullptr;
  ir::TypeId run_client_ = ir::kString;
  const ir::StepDef* unsure_ = nullptr;
  OwnCall own_calls_;
  std::vector<std::pair<const ir::FnDef*, Span>> calls_;
  bool checks_json_ = false;
  std::vector<std::pair<std::string, Span>> siblings_;
};

// Which values of a subject the patterns so far have taken.
class Exprs::Coverage {
 public:
  bool everything = false;  // `_`
  bool none = false;        // `none` of an optional
  bool uncertain = false;   // a pattern was wrong, so nothing is said about what is missing
  std::unordered_map<std::string, Span> literal_spans;  // by the literal's text
  std::unordered_map<std::uint32_t, Span> case_spans;   // by the enum's case
  Span first_wildcard;
  Span none_span;
};

// "a", "an": before the name of a type.
std::string with_article(const std::string& type_name);

}  // namespace sluice::compiler
