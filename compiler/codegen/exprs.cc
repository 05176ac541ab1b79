// Expressions: every value in a register of its own, temporaries as a stack.
#include <algorithm>

#include "compiler/codegen/generator.hpp"

namespace sluice::compiler {

using namespace ir;
using ast::BinaryOp;
using vm::Builtin;

// Elements that are put into registers side by side; longer lists are appended to one by one, so
// that a table of constants does not need a register for each.
inline constexpr std::size_t kSideBySideMax = 64;

void FunctionCode::at(Span span) {
  if (!generator_.debug_lines() || inlining_ > 0) return;
  const Position position = generator_.sources().file(span.file).position(span.begin);
  builder_.at(generator_.source_of(span.file), position.line, position.column);
}

FunctionCode::Register FunctionCode::eval(const Expr& expr) {
  if (const auto* ref = as<LocalRef>(&expr)) return locals_.at(ref->local);
  if (const auto* key = as<StepKey>(&expr)) return keys_.at(key->step);
  const Register to = builder_.allocate();
  into(expr, to);
  return to;
}

FunctionCode::Register FunctionCode::all(const std::vector<Expr*>& exprs) {
  const Register first = builder_.allocate(static_cast<std::uint32_t>(exprs.size()));
  for (std::uint32_t i = 0; i < exprs.size(); ++i) into(*exprs[i], {first.index + i});
  return first;
}

// What acts asks the run; what is pure has captured it.
void FunctionCode::about_run(Op op, const std::optional<Register>& captured, Register to) {
  captured ? builder_.emit(Op::move, to, *captured) : builder_.emit(op, to);
}

void FunctionCode::into(const Expr& expr, Register to) {
  if (folded(expr, to)) return;
  const std::uint32_t mark = builder_.mark();
  std::visit(ast::Overloaded{
                 [&](const LocalRef& node) { builder_.emit(Op::move, to, locals_.at(node.local)); },
                 [&](const StepKey& node) { builder_.emit(Op::move, to, keys_.at(node.step)); },
                 [&](const RunClient&) { about_run(Op::run_client, run_client_, to); },
                 [&](const RunId&) { about_run(Op::run_id, run_id_, to); },
                 [&](const Now&) { about_run(Op::now, now_, to); },
                 [&](const Not& node) { builder_.emit(Op::not_bool, to, eval(*node.operand)); },
                 [&](const Negate& node) { negate(expr, node, to); },
                 [&](const Arithmetic& node) { arithmetic(expr, node, to); },
                 [&](const Compare& node) { compare(node, to); },
                 [&](const Logic& node) { logic(node, to); },
                 [&](const In& node) { membership(node, to); },
                 [&](const Coalesce& node) {
                   const vm::Label end = builder_.make_label();
                   into(*node.left, to);
                   builder_.emit_jump(Op::jump_if_some, to, end);
                   into(*node.right, to);
                   builder_.bind(end);
                 },
                 [&](const IfExpr& node) { if_value(node, to); },
                 [&](const MatchExpr& node) { match_value(node, to); },
                 [&](const ListValue& node) { list_value(node, to); },
                 [&](const MapValue& node) { map_value(node, to); },
                 [&](const RangeValue& node) { range_value(node, to); },
                 [&](const Comprehension& node) { comprehension(node, to); },
                 [&](const FieldOf& node) { field(node, to); },
                 [&](const IndexOf& node) {
                   const Register base = eval(*node.base);
                   const Register index = eval(*node.index);
                   at(expr.span);
                   builder_.emit(Op::index, to, base, index);
                 },
                 [&](const RecordValue& node) {
                   builder_.emit_indexed(Op::make_record, to, all(node.fields), node.def->index);
                 },
                 [&](const CaseValue& node) {
                   builder_.emit_indexed(Op::make_enum, to, all(node.fields), node.def->index,
                                         static_cast<std::uint8_t>(node.which));
                 },
                 [&](const With& node) { with(node, to); },
                 [&](const CallFn& node) {
                   if (inlined(expr, node, to)) return;
                   const Register first = all(node.arguments);
                   at(expr.span);
                   builder_.emit_indexed(Op::call, to, node.arguments.empty() ? to : first,
                                         generator_.function_of(*node.def));
                 },
                 [&](const CallBuiltin& node) {
                   const Register first = all(node.arguments);
                   at(expr.span);
                   builtin(static_cast<Builtin>(node.builtin), first, to);
                 },
                 [&](const AsType& node) { as_type(expr, node, to); },
                 [&](const Interpolation& node) { interpolation(node, to); },
                 [&](const auto&) {
                   // Literals were folded, and poison never gets here.
                   builder_.emit(Op::load_none, to);
                 },
             },
             expr.node);
  builder_.release_to(mark);
}

void FunctionCode::negate(const Expr& expr, const Negate& node, Register to) {
  const Op op = expr.type == kFloat      ? Op::neg_float
                : expr.type == kDecimal  ? Op::neg_decimal
                : expr.type == kDuration ? Op::neg_time
                                         : Op::neg_int;
  const Register operand = eval(*node.operand);
  at(expr.span);
  builder_.emit(op, to, operand);
}

void FunctionCode::as_type(const Expr& expr, const AsType& node, Register to) {
  const auto* call = as<CallBuiltin>(node.value);
  if (call != nullptr && static_cast<Builtin>(call->builtin) == Builtin::decode &&
      expr.type != kJson) {
    const Register text = eval(*call->arguments[0]);
    at(expr.span);
    builder_.emit_indexed(Op::decode_as, to, text, generator_.type(expr.type).index);
    return;
  }
  const Register value = eval(*node.value);
  at(expr.span);
  if (expr.type == kJson) {
    builder_.emit(Op::as_json, to, value);
  } else {
    builder_.emit_indexed(Op::as_type, to, value, generator_.type(expr.type).index);
  }
}

void FunctionCode::builtin(Builtin which, Register first, Register to) {
  builder_.emit_indexed(Op::builtin, to, first, static_cast<std::uint32_t>(which));
}

void FunctionCode::arithmetic(const Expr& expr, const Arithmetic& node, Register to) {
  const TypeId left_type = node.left->type;
  if (left_type == kInt && with_small(expr, node, to)) return;
  if (left_type == kFloat && with_float(expr, node, to)) return;
  if (left_type == kString && joined(expr, node, to)) return;
  const Register left = eval(*node.left);
  const Register right = eval(*node.right);
  Op op = Op::concat;
  if (left_type == kInt && node.right->type == kInt) {
    constexpr Op kOps[] = {Op::add_int, Op::sub_int, Op::mul_int, Op::div_int, Op::rem_int};
    op = kOps[static_cast<int>(node.op) - static_cast<int>(BinaryOp::kAdd)];
  } else if (left_type == kFloat) {
    constexpr Op kOps[] = {Op::add_float, Op::sub_float, Op::mul_float, Op::div_float};
    op = kOps[static_cast<int>(node.op) - static_cast<int>(BinaryOp::kAdd)];
  } else if (left_type == kDecimal || node.right->type == kDecimal) {
    constexpr Op kOps[] = {Op::add_decimal, Op::sub_decimal, Op::mul_decimal};
    op = kOps[static_cast<int>(node.op) - static_cast<int>(BinaryOp::kAdd)];
  } else if (left_type == kDuration || left_type == kTimestamp) {
    constexpr Op kOps[] = {Op::add_time, Op::sub_time, Op::mul_time, Op::div_time};
    op = kOps[static_cast<int>(node.op) - static_cast<int>(BinaryOp::kAdd)];
  }
  at(expr.span);
  builder_.emit(op, to, left, right);
}

std::vector<Expr*> FunctionCode::parts_of(const Arithmetic& node) {
  // The tree of `a + b + c` leans to the left.
  std::vector<Expr*> parts{node.right};
  Expr* left = node.left;
  for (auto* more = as<Arithmetic>(left); more != nullptr; more = as<Arithmetic>(left)) {
    parts.push_back(more->right);
    left = more->left;
  }
  parts.push_back(left);
  std::reverse(parts.begin(), parts.end());
  return parts;
}

bool FunctionCode::joined(const Expr& expr, const Arithmetic& node, Register to) {
  const std::vector<Expr*> parts = parts_of(node);
  if (parts.size() < 3 || parts.size() > kSideBySideMax) return false;
  const Register first = all(parts);
  at(expr.span);
  builder_.emit_indexed(Op::concat_all, to, first, static_cast<std::uint32_t>(parts.size()));
  return true;
}

void FunctionCode::compare(const Compare& node, Register to) {
  const Register left = eval(*node.left);
  const Register right = eval(*node.right);
  switch (node.op) {
    case BinaryOp::kEqual:
      builder_.emit(Op::equal, to, left, right);
      return;
    case BinaryOp::kNotEqual:
      builder_.emit(Op::not_equal, to, left, right);
      return;
    case BinaryOp::kLess:
      builder_.emit(Op::less, to, left, right);
      return;
    case BinaryOp::kLessEqual:
      builder_.emit(Op::less_equal, to, left, right);
      return;
    case BinaryOp::kGreater:
      builder_.emit(Op::less, to, right, left);
      return;
    default:
      builder_.emit(Op::less_equal, to, right, left);
      return;
  }
}

void FunctionCode::skip_if(const Compare& node, bool when) {
  if (node.left->type == kInt && skip_if_small(node, when)) return;
  Register left = eval(*node.left);
  Register right = eval(*node.right);
  // a > b is b < a; the opposite of a < b is b <= a, for all that has an order.
  const bool equality = node.op == BinaryOp::kEqual || node.op == BinaryOp::kNotEqual;
  if (equality) {
    const bool same = (node.op == BinaryOp::kEqual) == when;
    builder_.emit(same ? Op::skip_if_equal : Op::skip_if_not_equal, left, right);
    return;
  }
  const bool strict = node.op == BinaryOp::kLess || node.op == BinaryOp::kGreater;
  const bool turned = node.op == BinaryOp::kGreater || node.op == BinaryOp::kGreaterEqual;
  if (turned == when) std::swap(left, right);
  builder_.emit(strict == when ? Op::skip_if_less : Op::skip_if_less_equal, left, right);
}

void FunctionCode::logic(const Logic& node, Register to) {
  const vm::Label end = builder_.make_label();
  into(*node.left, to);
  builder_.emit_jump(node.is_and ? Op::jump_if_not : Op::jump_if, to, end);
  into(*node.right, to);
  builder_.bind(end);
}

void FunctionCode::membership(const In& node, Register to) {
  if (const auto* range = as<RangeValue>(node.haystack)) {
    const vm::Label end = builder_.make_label();
    const Register needle = eval(*node.needle);
    builder_.emit(Op::less_equal, to, eval(*range->first), needle);
    builder_.emit_jump(Op::jump_if_not, to, end);
    builder_.emit(Op::less_equal, to, needle, eval(*range->last));
    builder_.bind(end);
    return;
  }
  const Register first = builder_.allocate(2);
  into(*node.haystack, first);
  into(*node.needle, {first.index + 1});
  const bool map = generator_.types().kind(node.haystack->type) == TypeKind::kMap;
  builtin(map ? Builtin::has : Builtin::contains_list, first, to);
}

void FunctionCode::if_value(const IfExpr& node, Register to) {
  const vm::Label otherwise = builder_.make_label();
  const vm::Label end = builder_.make_label();
  jump_if(*node.condition, false, otherwise);
  into(*node.then_value, to);
  builder_.emit_jump(Op::jump, end);
  builder_.bind(otherwise);
  into(*node.else_value, to);
  builder_.bind(end);
}

void FunctionCode::jump_if(const Expr& condition, bool when, vm::Label target) {
  const std::uint32_t mark = builder_.mark();
  if (const auto* node = as<Not>(&condition)) {
    jump_if(*node->operand, !when, target);
  } else if (const auto* logic = as<Logic>(&condition); logic != nullptr && logic->is_and != when) {
    // `a and b` is false, or `a or b` true, as soon as one side is.
    jump_if(*logic->left, when, target);
    jump_if(*logic->right, when, target);
  } else if (logic != nullptr) {
    const vm::Label past = builder_.make_label();
    jump_if(*logic->left, !when, past);
    jump_if(*logic->right, when, target);
    builder_.bind(past);
  } else if (const auto* comparison = as<Compare>(&condition)) {
    skip_if(*comparison, !when);
    builder_.emit_jump(Op::jump, target);
  } else {
    builder_.emit_jump(when ? Op::jump_if : Op::jump_if_not, eval(condition), target);
  }
  builder_.release_to(mark);
}

void FunctionCode::test(const Pattern& pattern, const Expr& subject, Register at,
                        vm::Label otherwise) {
  const std::uint32_t mark = builder_.mark();
  switch (pattern.kind) {
    case Pattern::Kind::kWildcard:
      break;
    case Pattern::Kind::kAbsent:
      builder_.emit_jump(Op::jump_if_some, at, otherwise);
      break;
    case Pattern::Kind::kValue: {
      builder_.emit(Op::skip_if_equal, at, eval(*pattern.value));
      builder_.emit_jump(Op::jump, otherwise);
      break;
    }
    case Pattern::Kind::kCase: {
      if (generator_.types().is_optional(subject.type)) {
        builder_.emit_jump(Op::jump_if_none, at, otherwise);
      }
      builder_.emit_indexed(Op::skip_if_case, at, {0}, pattern.which);
      builder_.emit_jump(Op::jump, otherwise);
      break;
    }
  }
  builder_.release_to(mark);
}

void FunctionCode::bind_fields(const Pattern& pattern, Register subject) {
  for (std::uint32_t i = 0; i < pattern.bindings.size(); ++i) {
    if (pattern.bindings[i] == nullptr) continue;
    const Register to = builder_.allocate();
    builder_.emit_indexed(Op::case_field, to, subject, i);
    bind(pattern.bindings[i], to);
  }
}

void FunctionCode::match_value(const MatchExpr& node, Register to) {
  const vm::Label end = builder_.make_label();
  const Register subject = eval(*node.subject);
  for (std::size_t i = 0; i < node.arms.size(); ++i) {
    const MatchArm& arm = node.arms[i];
    const std::uint32_t mark = builder_.mark();
    // The cases cover everything, so the last one needs no question.
    const bool last = i + 1 == node.arms.size() && node.else_value == nullptr;
    const vm::Label next = builder_.make_label();
    if (!last) test(arm.pattern, *node.subject, subject, next);
    bind_fields(arm.pattern, subject);
    into(*arm.value, to);
    if (!last) builder_.emit_jump(Op::jump, end);
    builder_.bind(next);
    builder_.release_to(mark);
  }
  if (node.else_value != nullptr) into(*node.else_value, to);
  builder_.bind(end);
}

void FunctionCode::list_value(const ListValue& node, Register to) {
  if (node.elements.size() <= kSideBySideMax) {
    builder_.emit_indexed(Op::make_list, to, all(node.elements),
                          static_cast<std::uint32_t>(node.elements.size()));
    return;
  }
  builder_.emit_indexed(Op::make_list, to, to, 0);
  for (const Expr* each : node.elements) {
    const std::uint32_t mark = builder_.mark();
    builder_.emit(Op::append, to, eval(*each));
    builder_.release_to(mark);
  }
}

void FunctionCode::map_value(const MapValue& node, Register to) {
  const auto count = static_cast<std::uint32_t>(node.entries.size());
  if (count <= kSideBySideMax / 2) {
    const Register first = builder_.allocate(2 * count);
    for (std::uint32_t i = 0; i < count; ++i) {
      into(*node.entries[i].first, {first.index + 2 * i});
      into(*node.entries[i].second, {first.index + 2 * i + 1});
    }
    builder_.emit_indexed(Op::make_map, to, first, count);
    return;
  }
  builder_.emit_indexed(Op::make_map, to, to, 0);
  for (const auto& [key, value] : node.entries) {
    const std::uint32_t mark = builder_.mark();
    const Register at_key = eval(*key);
    builder_.emit(Op::map_put, to, at_key, eval(*value));
    builder_.release_to(mark);
  }
}

void FunctionCode::range_value(const RangeValue& node, Register to) {
  const Register first = builder_.allocate(2);
  into(*node.first, first);
  into(*node.last, {first.index + 1});
  builtin(Builtin::range, first, to);
}

void FunctionCode::comprehension(const Comprehension& node, Register to) {
  // As int_loop and list_loop want them: the element, what comes next, all of them.
  const Register element = builder_.allocate(3);
  const Register next{element.index + 1}, source{element.index + 2};
  Op op = Op::list_loop;
  if (const auto* range = as<RangeValue>(node.source)) {
    into(*range->first, next);
    into(*range->last, source);
    op = Op::int_loop;
  } else {
    into(*node.source, source);
    builder_.emit_imm(Op::load_int, next, 0);
  }
  bind(node.variable, element);
  builder_.emit_indexed(Op::make_list, to, to, 0);
  const vm::Label top = builder_.make_label();
  const vm::Label again = builder_.make_label();
  builder_.emit_jump(Op::jump, again);
  builder_.bind(top);
  if (node.filter != nullptr) jump_if(*node.filter, false, again);
  const std::uint32_t mark = builder_.mark();
  builder_.emit(Op::append, to, eval(*node.element));
  builder_.release_to(mark);
  builder_.bind(again);
  builder_.emit_jump(op, element, top);
}

void FunctionCode::field(const FieldOf& node, Register to) {
  const Register base = eval(*node.base);
  if (!node.optional) {
    builder_.emit_indexed(Op::get_field, to, base, node.index);
    return;
  }
  const vm::Label none = builder_.make_label();
  const vm::Label end = builder_.make_label();
  builder_.emit_jump(Op::jump_if_none, base, none);
  builder_.emit_indexed(Op::get_field, to, base, node.index);
  builder_.emit_jump(Op::jump, end);
  builder_.bind(none);
  builder_.emit(Op::load_none, to);
  builder_.bind(end);
}

void FunctionCode::with(const With& node, Register to) {
  into(*node.base, to);
  for (const auto& [index, value] : node.fields) {
    const std::uint32_t mark = builder_.mark();
    builder_.emit_indexed(Op::set_field, to, eval(*value), index);
    builder_.release_to(mark);
  }
}

void FunctionCode::interpolation(const Interpolation& node, Register to) {
  builder_.emit_indexed(Op::interpolate, to, all(node.parts),
                        static_cast<std::uint32_t>(node.parts.size()));
}

void FunctionCode::pure_body(const Expr& value) {
  at(value.span);
  builder_.emit(Op::ret, eval(value));
}

}  // namespace sluice::compiler
