#include "compiler/analyse/bounds.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "compiler/check/fold.hpp"
#include "vm/ops.hpp"

namespace sluice::compiler::analyse {

using namespace ir;

namespace {

Amount unknown(Span span, std::string what, std::string mend) {
  return {0, std::make_shared<Unbounded>(Unbounded{span, std::move(what), std::move(mend)})};
}

std::optional<std::int64_t> folded_int(const Expr& expr) {
  if (expr.type != kInt) return std::nullopt;
  const auto value = fold(expr);
  return value ? std::optional(value->as_int()) : std::nullopt;
}

std::optional<std::int64_t> lesser(std::optional<std::int64_t> a, std::optional<std::int64_t> b) {
  if (!a || !b) return a ? a : b;
  return std::min(*a, *b);
}

std::string_view builtin_name(const Expr* expr) {
  const auto* call = as<CallBuiltin>(expr);
  return call == nullptr ? std::string_view() : vm::kBuiltins[call->builtin].name;
}

// Whether an expression of a constraint is what the constraint is about: the field itself, or with
// `of_length` its length.
bool is_subject(const Expr* expr, const Local* self, bool of_length) {
  if (of_length) {
    if (builtin_name(expr) != "len") return false;
    expr = as<CallBuiltin>(expr)->arguments[0];
  }
  const auto* local = as<LocalRef>(expr);
  return local != nullptr && local->local == self;
}

// The largest value that a constraint lets through.
std::optional<std::int64_t> allowed(const Expr* where, const Local* self, bool of_length) {
  if (const auto* both = as<Logic>(where)) {
    const auto left = allowed(both->left, self, of_length);
    const auto right = allowed(both->right, self, of_length);
    if (both->is_and) return lesser(left, right);
    return left && right ? std::optional(std::max(*left, *right)) : std::nullopt;
  }
  if (const auto* in = as<In>(where)) {
    const auto* range = as<RangeValue>(in->haystack);
    if (range == nullptr || !is_subject(in->needle, self, of_length)) return std::nullopt;
    return folded_int(*range->last);
  }
  const auto* compare = as<Compare>(where);
  if (compare == nullptr) return std::nullopt;
  using Op = ast::BinaryOp;
  const bool from_left = is_subject(compare->left, self, of_length);
  if (!from_left && !is_subject(compare->right, self, of_length)) return std::nullopt;
  const auto other = folded_int(from_left ? *compare->right : *compare->left);
  if (!other) return std::nullopt;
  if (compare->op == Op::kEqual) return other;
  if (compare->op == (from_left ? Op::kLessEqual : Op::kGreaterEqual)) return other;
  if (compare->op == (from_left ? Op::kLess : Op::kGreater)) {
    return *other == std::numeric_limits<std::int64_t>::min() ? *other : *other - 1;
  }
  return std::nullopt;
}

// The field that is read, with its constraint; null where it is no field of a record.
const FieldDef* field_of(const View& view, const FieldOf& node) {
  const Types& types = view.program().types;
  const RecordDef* record = types[types.without_optional(node.base->type)].record;
  return record == nullptr || node.index >= record->fields.size() ? nullptr
                                                                  : &record->fields[node.index];
}

}  // namespace

Amount Bounds::of_range(const Expr& expr, const Expr& first, const Expr& last) const {
  const auto from = folded_int(first);
  const auto to = largest(last);
  if (from && to) return numbers_between(*from, *to);
  const Expr& open = to ? first : last;
  return unknown(open.span.size() == 0 ? expr.span : open.span,
                 "how far this range goes is known only when it runs",
                 "a number, a constant, or `min(x, 100)` bounds it");
}

Amount Bounds::elements(const Expr& list) const {
  const auto none = [&] {
    return unknown(list.span, "how long this list is, is known only when it runs",
                   "`take(xs, 100)` bounds it, or a field with `where len(xs) in 0..100`");
  };
  if (looked_at_++ >= kLookedAtMax) return none();
  if (const auto* value = as<ListValue>(&list)) {
    return {static_cast<std::int64_t>(value->elements.size()), nullptr};
  }
  if (const auto* value = as<MapValue>(&list)) {
    return {static_cast<std::int64_t>(value->entries.size()), nullptr};
  }
  if (const auto* range = as<RangeValue>(&list)) return of_range(list, *range->first, *range->last);
  if (const auto* made = as<Comprehension>(&list)) return elements(*made->source);
  if (const auto* either = as<Coalesce>(&list)) {
    return larger(elements(*either->left), elements(*either->right));
  }
  if (const auto* choice = as<IfExpr>(&list)) {
    return larger(elements(*choice->then_value), elements(*choice->else_value));
  }
  if (const auto* sum = as<Arithmetic>(&list); sum != nullptr && sum->op == ast::BinaryOp::kAdd) {
    return plus(elements(*sum->left), elements(*sum->right));
  }
  if (const auto* constant = as<ConstRef>(&list)) {
    return constant->def->value == nullptr ? none() : elements(*constant->def->value);
  }
  if (const auto* call = as<CallBuiltin>(&list)) return elements_of_call(list, *call);
  if (const auto* local = as<LocalRef>(&list)) return elements_of_local(list, *local->local);
  if (const auto* node = as<FieldOf>(&list)) return elements_of_field(list, *node);
  if (as<NoneValue>(&list) != nullptr) return {};
  return none();
}

// A `where` holds of what came from outside, where it was checked. What the program made itself
// is as long as what it put there.
Amount Bounds::elements_of_field(const Expr& expr, const FieldOf& node) const {
  const FieldDef* field = field_of(view_, node);
  if (field == nullptr) {
    return unknown(expr.span, "how long this list is, is known only when it runs",
                   "`take(xs, 100)` bounds it");
  }
  if (const Expr* given = origins_.given(*node.base, node.index)) return elements(*given);
  const auto most = allowed(field->where, field->self, true);
  // The result of a worker, or what stands for it.
  const auto* local = as<LocalRef>(node.base);
  const StepDef* step = local == nullptr ? nullptr : local->local->step;
  if (most && step != nullptr && step->task != nullptr && step->policies.fallback_value) {
    const Expr* instead = origins_.given(*step->policies.fallback_value->value, node.index);
    const Amount result{std::max<std::int64_t>(*most, 0), nullptr};
    if (instead != nullptr) return larger(result, elements(*instead));
  }
  if (most && origins_.is_checked(*node.base)) {
    return {std::max<std::int64_t>(*most, 0), nullptr};
  }
  if (most) {
    return unknown(expr.span,
                   fmt::format("this `{}` was made by the program itself, where nobody checks its "
                               "`where`",
                               field->name),
                   "`take(xs, 100)` bounds it");
  }
  return unknown(expr.span, fmt::format("nothing says how long `{}` is at most", field->name),
                 fmt::format("`where len({}) in 0..100` on the field bounds it", field->name));
}

Amount Bounds::elements_of_call(const Expr& expr, const CallBuiltin& call) const {
  const std::string_view name = builtin_name(&expr);
  const auto& arguments = call.arguments;
  if (name == "range") return of_range(expr, *arguments[0], *arguments[1]);
  if (name == "take") {
    const Amount whole = elements(*arguments[0]);
    const auto most = largest(*arguments[1]);
    return most ? smaller(whole, {std::max<std::int64_t>(*most, 0), nullptr}) : whole;
  }
  constexpr std::string_view kNoLonger[] = {"drop", "sort",   "reverse", "unique",
                                            "keys", "values", "remove"};
  if (std::find(std::begin(kNoLonger), std::end(kNoLonger), name) != std::end(kNoLonger)) {
    return elements(*arguments[0]);
  }
  if (name == "merge") return plus(elements(*arguments[0]), elements(*arguments[1]));
  if (name == "put") return plus(elements(*arguments[0]), {1, nullptr});
  return unknown(expr.span,
                 fmt::format("how long the list of `{}` is, is known only when it runs",
                             name.empty() ? std::string_view("this call") : name),
                 "`take(xs, 100)` bounds it");
}

Amount Bounds::elements_of_local(const Expr& expr, const Local& local) const {
  const ast::LetStmt* let = view_.let_of(local);
  if (let != nullptr && local.kind == Local::Kind::kLet) {
    const auto* gathered = ast::as<ast::EachStmt>(let->source);
    // A round yields once at most.
    const Expr* from = view_.expr(gathered != nullptr ? gathered->source : let->value);
    if (from != nullptr && from != &expr) return elements(*from);
  }
  return unknown(expr.span, fmt::format("nothing says how long `{}` is at most", local.name),
                 "`take(xs, 100)` bounds it, or a field with `where len(xs) in 0..100`");
}

std::optional<std::int64_t> Bounds::largest(const Expr& number) const {
  if (looked_at_++ >= kLookedAtMax) return std::nullopt;
  if (const auto value = folded_int(number)) return value;
  if (const auto* choice = as<IfExpr>(&number)) {
    const auto yes = largest(*choice->then_value);
    const auto no = largest(*choice->else_value);
    return yes && no ? std::optional(std::max(*yes, *no)) : std::nullopt;
  }
  if (const auto* node = as<FieldOf>(&number)) {
    const FieldDef* field = field_of(view_, *node);
    if (field == nullptr) return std::nullopt;
    if (const Expr* given = origins_.given(*node->base, node->index)) return largest(*given);
    const auto most = allowed(field->where, field->self, false);
    return most && origins_.is_checked(*node->base) ? most : std::nullopt;
  }
  if (const auto* local = as<LocalRef>(&number)) {
    const ast::LetStmt* let = view_.let_of(*local->local);
    if (let == nullptr || local->local->kind != Local::Kind::kLet) return std::nullopt;
    const Expr* from = view_.expr(let->value);
    return from == nullptr || from == &number ? std::nullopt : largest(*from);
  }
  const auto* call = as<CallBuiltin>(&number);
  if (call == nullptr) return std::nullopt;
  const std::string_view name = builtin_name(&number);
  if (name == "len") {
    const Amount length = elements(*call->arguments[0]);
    return length.is_bounded() ? std::optional(length.value) : std::nullopt;
  }
  if (call->arguments.size() != 2) return std::nullopt;
  const auto left = largest(*call->arguments[0]);
  const auto right = largest(*call->arguments[1]);
  if (name == "min") return lesser(left, right);
  if (name == "max" && left && right) return std::max(*left, *right);
  return std::nullopt;
}

}  // namespace sluice::compiler::analyse
