#include "vm/interpreter.hpp"

#include <cmath>

#include "vm/interpreter_ops.hpp"

// Labels as values: an extension that GCC and clang share.
#pragma GCC diagnostic ignored "-Wpedantic"

// Every instruction takes from the fuel. GCC, left alone, keeps it on the stack, where that costs
// as much as the instruction itself: so it is told a register that calls leave alone.
#if defined(__GNUC__) && !defined(__clang__) && defined(__x86_64__)
#define SLUICE_FUEL(name) register int64_t name asm("r15")
#else
#define SLUICE_FUEL(name) int64_t name
#endif

namespace sluice::vm {
namespace {

struct Frame {
  const Function* function;
  const Instruction* at;  // the call
  Value* registers;
  uint32_t stack_base;
};

// Gives back what a function held; scalars may stay, for nobody reads a register before it is
// written.
void release(Value* registers, uint32_t count) {
  for (uint32_t i = 0; i < count; ++i) {
    if (!registers[i].is_flat()) registers[i].set_none();
  }
}

consteval int64_t fuel_of(Op op) {
  for (const OpInfo& info : kOps) {
    if (info.op == op) return info.fuel;
  }
  return 0;
}

template <Op op>
inline constexpr int64_t kFuelOf = fuel_of(op);

// The code of each number, from that of each row of vm/ops.def. The verifier lets no other pass.
using CodeTable = std::array<const void*, 256>;
CodeTable by_number(const void* const (&rows)[kOpCount]) {
  CodeTable table{};
  for (size_t i = 0; i < kOpCount; ++i) table[static_cast<uint8_t>(kOps[i].op)] = rows[i];
  return table;
}

// REQUIRES: b > 0. A division of 32 bits takes a fraction of the time of one of 64.
int64_t remainder(int64_t a, int64_t b) {
  if (((static_cast<uint64_t>(a) | static_cast<uint64_t>(b)) >> 32) == 0) {
    return static_cast<uint32_t>(a) % static_cast<uint32_t>(b);
  }
  return a % b;
}

bool both(Kind kind, const Value& a, const Value& b) {
  return a.is(kind) && b.is(kind);
}

bool both_are(Kind first, const Value& a, Kind second, const Value& b) {
  return a.is(first) && b.is(second);
}

}  // namespace

// Threaded: the code of each instruction ends by jumping to that of the next, through a table made
// from vm/ops.def. A row that is pure or `ends` needs its OP here; what the run performs has none.
// `r` is the registers, `at` the instruction. A helper that answers false has set the failure.
Stop execute(Unit& unit, Activation& activation) {
#define SLUICE_CODE_pure(name) &&do_##name
#define SLUICE_CODE_ends(name) &&do_##name
#define SLUICE_CODE_effect(name) &&effect
#define SLUICE_CODE_suspends(name) &&effect
#define SLUICE_OP(number, name, operands, effect, fuel, meaning) SLUICE_CODE_##effect(name),
  static const void* const kRows[] = {
#include "vm/ops.def"
  };
#undef SLUICE_OP
  static const CodeTable kCode = by_number(kRows);

  Frame frames[kCallDepthMax + 1];
  uint32_t depth = 0;
  const Function* function = activation.function;
  const Instruction* code = function->code.data();
  const Instruction* at = code + activation.pc;
  Value* r = activation.registers;
  uint32_t stack_base = activation.stack_base;
  SLUICE_FUEL(fuel) = activation.fuel;
  // Kept in memory, because only the slow ways want it.
  Activation* volatile kept = &activation;
  const TypeTable& types = unit.types();
  const Function* const functions = unit.program().functions.data();
  const Value* const constants = unit.constants();
  const VerifiedProgram& program = unit.verified();

// One instruction is one paragraph, whatever its macros look like.
// clang-format off
#define GO goto* kCode[static_cast<uint8_t>(at->op)]
#define NEXT \
  ++at; \
  GO
#define SKIP \
  at += 2; \
  GO
#define JUMP \
  at = code + at->wide(); \
  GO
#define OP(name) \
  do_##name: \
  if ((fuel -= kFuelOf<Op::name>) < 0) [[unlikely]] goto out_of_fuel;
// `call` is a condition that may fail, and may take fuel from the activation `act`.
#define DO(call) \
  { \
    Activation& act = *kept; \
    act.fuel = fuel; \
    bool done = call; \
    fuel = act.fuel; \
    if (!done) [[unlikely]] goto failed; \
    NEXT; \
  }
// Goes on behind the call.
#define RETURN \
  release(r, program.facts(caller.at->c).may_hold); \
  function = caller.function; \
  code = function->code.data(); \
  at = caller.at; \
  r = caller.registers; \
  stack_base = caller.stack_base; \
  NEXT
#define INT_OP(name, overflows) \
  OP(name) { \
    int64_t result = 0; \
    if (!both(Kind::integer, r[at->b], r[at->c])) [[unlikely]] goto no_int; \
    if (overflows(r[at->b].as_int(), r[at->c].as_int(), &result)) [[unlikely]] goto int_overflow; \
    r[at->a].set_integer(result); \
    NEXT; \
  }
#define SHORT_OP(name, overflows) \
  OP(name) { \
    int64_t result = 0; \
    if (!r[at->b].is(Kind::integer)) [[unlikely]] goto no_int_b; \
    if (overflows(r[at->b].as_int(), at->short_immediate(), &result)) [[unlikely]] \
      goto int_overflow; \
    r[at->a].set_integer(result); \
    NEXT; \
  }
#define FLOAT_OP(name, sign, set) \
  OP(name) { \
    if (!both(Kind::floating, r[at->b], r[at->c])) [[unlikely]] goto float_slow; \
    double result = r[at->b].as_float() sign r[at->c].as_float(); \
    if (!std::isfinite(result)) [[unlikely]] goto float_slow; \
    r[at->a].set(result); \
    NEXT; \
  }
// Of a float and a constant, which the verifier has seen to be a float.
#define FLOAT_CONST_OP(name, x, sign, y, set) \
  OP(name) { \
    const Value &b = r[at->b], &c = constants[at->c]; \
    if (!b.is(Kind::floating)) [[unlikely]] goto float_const_slow; \
    double result = x.as_float() sign y.as_float(); \
    if (!std::isfinite(result)) [[unlikely]] goto float_const_slow; \
    r[at->a].set(result); \
    NEXT; \
  }
#define ORDER_OP(name, sign) \
  OP(name) { \
    const Value &b = r[at->b], &c = r[at->c]; \
    if (both(Kind::integer, b, c)) [[likely]] { \
      r[at->a].set_boolean(b.as_int() sign c.as_int()); \
      NEXT; \
    } \
    if (both(Kind::floating, b, c)) { \
      r[at->a].set_boolean(b.as_float() sign c.as_float()); \
      NEXT; \
    } \
    DO(ops::order(act, at->op, &r[at->a], b, c)); \
  }
#define EQUALITY_OP(name, wanted) \
  OP(name) { \
    const Value &b = r[at->b], &c = r[at->c]; \
    if (!b.is_flat() || !c.is_flat()) { \
      DO(ops::equality(act, wanted, &r[at->a], b, c)); \
    } \
    r[at->a].set_boolean(b.same_bits(c) == wanted); \
    NEXT; \
  }
#define SKIP_OP(name, sign, as) \
  OP(name) { \
    const Value &a = r[at->a], &b = r[at->b]; \
    if (both(Kind::integer, a, b)) [[likely]] { \
      if (a.as_int() sign b.as_int()) { SKIP; } \
      NEXT; \
    } \
    if (both(Kind::floating, a, b)) { \
      if (a.as_float() sign b.as_float()) { SKIP; } \
      NEXT; \
    } \
    TEST(ops::ordered(act, Op::as, a, b, &holds)) \
  }
#define SKIP_SHORT_OP(name, sign) \
  OP(name) { \
    if (!r[at->a].is(Kind::integer)) [[unlikely]] goto no_int_a; \
    if (r[at->a].as_int() sign at->short_immediate()) { SKIP; } \
    NEXT; \
  }
#define SKIP_EQUALITY_OP(name, wanted) \
  OP(name) { \
    const Value &a = r[at->a], &b = r[at->b]; \
    if (a.is_flat() && b.is_flat()) { \
      if (a.same_bits(b) == wanted) { SKIP; } \
      NEXT; \
    } \
    TEST(ops::equal_or_not(act, wanted, a, b, &holds)) \
  }
// `call` answers in `holds`, or fails.
#define TEST(call) \
  Activation& act = *kept; \
  act.fuel = fuel; \
  bool holds = false; \
  bool done = call; \
  fuel = act.fuel; \
  if (!done) [[unlikely]] goto failed; \
  if (holds) { SKIP; } \
  NEXT;

  GO;

  OP(nop) { NEXT; }
  OP(move) { r[at->a] = r[at->b]; NEXT; }
  OP(load_const) { r[at->a] = constants[at->wide()]; NEXT; }
  OP(load_int) { r[at->a].set_integer(at->immediate()); NEXT; }
  OP(load_none) { r[at->a].set_none(); NEXT; }
  OP(load_bool) { r[at->a].set_boolean(at->x != 0); NEXT; }

  INT_OP(add_int, __builtin_add_overflow)
  INT_OP(sub_int, __builtin_sub_overflow)
  INT_OP(mul_int, __builtin_mul_overflow)
  SHORT_OP(add_imm, __builtin_add_overflow)
  SHORT_OP(mul_imm, __builtin_mul_overflow)
  OP(rem_imm) {
    if (!r[at->b].is(Kind::integer)) [[unlikely]] goto no_int_b;
    if (at->short_immediate() <= 0) [[unlikely]] {
      DO(ops::divide(act, Op::rem_int, &r[at->a], r[at->b], Value::integer(at->short_immediate())));
    }
    r[at->a].set_integer(remainder(r[at->b].as_int(), at->short_immediate()));
    NEXT;
  }
  OP(div_int) DO(ops::divide(act, at->op, &r[at->a], r[at->b], r[at->c]))
  OP(rem_int) {
    const Value &b = r[at->b], &c = r[at->c];
    if (!both(Kind::integer, b, c) || c.as_int() <= 0) {
      DO(ops::divide(act, at->op, &r[at->a], b, c));
    }
    r[at->a].set_integer(remainder(b.as_int(), c.as_int()));
    NEXT;
  }
  OP(neg_int) DO(ops::negate(act, at->op, &r[at->a], r[at->b]))

  FLOAT_OP(add_float, +, set_sum)
  FLOAT_OP(sub_float, -, set_sum)
  FLOAT_OP(mul_float, *, set_floating)
  FLOAT_OP(div_float, /, set_floating)
  FLOAT_CONST_OP(add_float_const, b, +, c, set_sum)
  FLOAT_CONST_OP(mul_float_const, b, *, c, set_floating)
  FLOAT_CONST_OP(div_float_const, b, /, c, set_floating)
  FLOAT_CONST_OP(const_sub_float, c, -, b, set_sum)
  FLOAT_CONST_OP(const_div_float, c, /, b, set_floating)
  OP(neg_float) DO(ops::negate(act, at->op, &r[at->a], r[at->b]))

  OP(add_decimal) DO(ops::decimal_arithmetic(act, at->op, &r[at->a], r[at->b], r[at->c]))
  OP(sub_decimal) DO(ops::decimal_arithmetic(act, at->op, &r[at->a], r[at->b], r[at->c]))
  OP(mul_decimal) DO(ops::decimal_arithmetic(act, at->op, &r[at->a], r[at->b], r[at->c]))
  OP(neg_decimal) DO(ops::negate(act, at->op, &r[at->a], r[at->b]))

  OP(add_time) DO(ops::time_arithmetic(act, at->op, &r[at->a], r[at->b], r[at->c]))
  OP(sub_time) DO(ops::time_arithmetic(act, at->op, &r[at->a], r[at->b], r[at->c]))
  OP(mul_time) DO(ops::time_arithmetic(act, at->op, &r[at->a], r[at->b], r[at->c]))
  OP(div_time) DO(ops::time_arithmetic(act, at->op, &r[at->a], r[at->b], r[at->c]))
  OP(neg_time) DO(ops::negate(act, at->op, &r[at->a], r[at->b]))

  OP(not_bool) {
    if (!r[at->b].is(Kind::boolean)) [[unlikely]] goto no_bool_b;
    r[at->a].set_boolean(!r[at->b].as_bool());
    NEXT;
  }
  EQUALITY_OP(equal, true)
  EQUALITY_OP(not_equal, false)
  ORDER_OP(less, <)
  ORDER_OP(less_equal, <=)
  OP(is_none) { r[at->a].set_boolean(r[at->b].is_none()); NEXT; }

  OP(jump) { JUMP; }
  OP(jump_if) {
    if (!r[at->a].is(Kind::boolean)) [[unlikely]] goto no_bool_a;
    if (r[at->a].as_bool()) { JUMP; }
    NEXT;
  }
  OP(jump_if_not) {
    if (!r[at->a].is(Kind::boolean)) [[unlikely]] goto no_bool_a;
    if (!r[at->a].as_bool()) { JUMP; }
    NEXT;
  }
  OP(jump_if_none) {
    if (r[at->a].is_none()) { JUMP; }
    NEXT;
  }
  OP(jump_if_some) {
    if (!r[at->a].is_none()) { JUMP; }
    NEXT;
  }
  SKIP_OP(skip_if_less, <, less)
  SKIP_OP(skip_if_less_equal, <=, less_equal)
  SKIP_EQUALITY_OP(skip_if_equal, true)
  SKIP_EQUALITY_OP(skip_if_not_equal, false)
  SKIP_SHORT_OP(skip_if_less_imm, <)
  SKIP_SHORT_OP(skip_if_not_less_imm, >=)
  SKIP_SHORT_OP(skip_if_equal_imm, ==)
  SKIP_SHORT_OP(skip_if_not_equal_imm, !=)
  OP(skip_if_case) {
    if (!r[at->a].is(Kind::enumeration)) [[unlikely]] goto no_enum_a;
    at += r[at->a].enum_case() == at->c ? 2 : 1;
    GO;
  }
  OP(int_loop) {
    Value* v = r + at->a;
    if (!both(Kind::integer, v[1], v[2])) [[unlikely]] {
      if (!v[1].is_none()) goto no_int_loop;
    } else if (int64_t n = v[1].as_int(); n <= v[2].as_int()) {
      v[0].set_integer(n);
      n < INT64_MAX ? v[1].set_integer(n + 1) : v[1].set_none();
      JUMP;
    }
    v[0].set_none();
    NEXT;
  }

  OP(concat) DO(ops::concat(act, &r[at->a], r[at->b], r[at->c]))
  OP(concat_all) DO(ops::concat_all(act, &r[at->a], {r + at->b, at->c}))
  OP(interpolate) DO(ops::interpolate(act, unit, &r[at->a], {r + at->b, at->c}))
  OP(to_text) DO(ops::to_text(act, types, &r[at->a], r[at->b]))
  OP(make_list) DO(ops::make_list(act, &r[at->a], {r + at->b, at->c}))
  OP(make_map) DO(ops::make_map(act, &r[at->a], {r + at->b, size_t{2} * at->c}))
  OP(append) DO(ops::append(act, &r[at->a], r[at->b]))
  OP(index) {
    const Value &list = r[at->b], &key = r[at->c];
    if (both_are(Kind::map, list, Kind::string, key)) {
      const Value* found = list.find(key);
      found != nullptr ? r[at->a] = *found : r[at->a] = Value();
      NEXT;
    }
    if (!list.is(Kind::list) || !key.is(Kind::integer) ||
        static_cast<uint64_t>(key.as_int()) >= list.count()) {
      DO(ops::index(act, &r[at->a], list, key));
    }
    r[at->a] = list.elements()[static_cast<size_t>(key.as_int())];
    NEXT;
  }
  OP(list_next) {
    if (!r[at->b].is(Kind::list)) [[unlikely]] goto no_list_b;
    if (!r[at->c].is(Kind::integer)) [[unlikely]] goto no_int_c;
    auto which = static_cast<uint64_t>(r[at->c].as_int());
    if (which < r[at->b].count()) {
      r[at->c].set_integer(static_cast<int64_t>(which) + 1);
      r[at->a] = r[at->b].elements()[which];
      at += 2;
      GO;
    }
    r[at->a].set_none();
    NEXT;
  }
  OP(list_loop) {
    Value* v = r + at->a;
    if (!v[1].is(Kind::integer)) [[unlikely]] goto no_int_loop;
    if (!v[2].is(Kind::list)) [[unlikely]] goto no_list_loop;
    if (auto which = static_cast<uint64_t>(v[1].as_int()); which < v[2].count()) {
      v[1].set_integer(static_cast<int64_t>(which) + 1);
      v[0] = v[2].elements()[which];
      JUMP;
    }
    v[0].set_none();
    NEXT;
  }
  OP(map_put) DO(ops::map_put(act, &r[at->a], r[at->b], r[at->c]))

  OP(make_record)
    DO(ops::make_record(act, &r[at->a], at->c, {r + at->b, types.records[at->c].fields.size()}))
  OP(get_field) {
    const Value& record = r[at->b];
    if (!record.is(Kind::record) || at->c >= record.count()) [[unlikely]] {
      DO(ops::get_field(act, at->op, &r[at->a], record, at->c));
    }
    r[at->a] = record.elements()[at->c];
    NEXT;
  }
  OP(set_field) {
    if (r[at->a].is(Kind::record) && r[at->a].replace_flat(at->c, r[at->b])) { NEXT; }
    DO(ops::set_field(act, &r[at->a], r[at->b], at->c));
  }
  OP(make_enum)
    DO(ops::make_enum(act, &r[at->a], at->c, at->x,
                      {r + at->b, types.enums[at->c].cases[at->x].fields.size()}))
  OP(is_case) {
    if (!r[at->b].is(Kind::enumeration)) [[unlikely]] goto no_enum_b;
    r[at->a].set_boolean(r[at->b].enum_case() == at->c);
    NEXT;
  }
  OP(case_field) DO(ops::get_field(act, at->op, &r[at->a], r[at->b], at->c))

  OP(as_type) DO(check_json(unit, act, {at->c}, Value(r[at->b]), &r[at->a]))
  OP(decode_as) DO(decode_json_text(unit, act, {at->c}, Value(r[at->b]), &r[at->a]))
  OP(as_json) DO(ops::as_json(act, types, &r[at->a], r[at->b]))

  OP(call) {
    const Function* callee = functions + at->c;
    Value* window = unit.stack() + stack_base;
    for (uint32_t p = 0; p < callee->parameters; ++p) window[p] = r[at->b + p];
    frames[depth++] = {function, at, r, stack_base};
    stack_base += callee->registers;
    function = callee;
    r = window;
    at = code = callee->code.data();
    GO;
  }
  OP(builtin)
    DO(call_builtin(unit, act, static_cast<Builtin>(at->c),
                    {r + at->b, kBuiltins[at->c].parameter_count}, &r[at->a]))
  OP(ret) {
    if (depth == 0) {
      kept->result = std::move(r[at->a]);
      goto left;
    }
    const Frame& caller = frames[--depth];
    caller.registers[caller.at->a] = std::move(r[at->a]);
    RETURN;
  }
  OP(ret_none) {
    if (depth == 0) {
      kept->result = Value();
      goto left;
    }
    const Frame& caller = frames[--depth];
    caller.registers[caller.at->a].set_none();
    RETURN;
  }
  OP(fail) {
    ops::fail(*kept, r[at->a], r[at->b]);
    goto failed;
  }

  // clang-format on
left:
  kept->fuel = fuel;
  kept->pc = static_cast<uint32_t>(at - code);
  return Stop::returned;

do_finish:
do_finish_bare:
do_rethrow:
effect:
  kept->fuel = fuel - op_info(at->op)->fuel;
  kept->pc = static_cast<uint32_t>(at - code);
  fuel = kept->fuel;
  if (fuel < 0) goto out_of_fuel;
  return Stop::effect;

float_const_slow:
  DO(ops::float_constant_arithmetic(act, at->op, &r[at->a], r[at->b], constants[at->c]))
float_slow:
  DO(ops::float_arithmetic(act, at->op, &r[at->a], r[at->b], r[at->c]))
no_int:
  ops::wrong_kind(*kept, at->op, r[at->b].is(Kind::integer) ? r[at->c] : r[at->b]);
  goto failed;
no_int_c:
  ops::wrong_kind(*kept, at->op, r[at->c]);
  goto failed;
int_overflow:
  kept->fault("the result does not fit in 64 bits");
  goto failed;
no_int_loop:
  ops::wrong_kind(*kept, at->op, r[at->a + 1].is(Kind::integer) ? r[at->a + 2] : r[at->a + 1]);
  goto failed;
no_list_loop:
  ops::wrong_kind(*kept, at->op, r[at->a + 2]);
  goto failed;
no_bool_a:
no_int_a:
no_enum_a:
  ops::wrong_kind(*kept, at->op, r[at->a]);
  goto failed;
no_bool_b:
no_int_b:
no_enum_b:
no_list_b:
  ops::wrong_kind(*kept, at->op, r[at->b]);
  goto failed;
out_of_fuel:
  kept->fault("out of fuel: the run computes too long without waiting");
failed:
  kept->fuel = fuel;
  while (depth > 0) {
    release(r, function->registers);
    --depth;
    function = frames[depth].function;
    at = frames[depth].at;
    r = frames[depth].registers;
  }
  kept->pc = static_cast<uint32_t>(at - function->code.data());
  return Stop::failed;
}

}  // namespace sluice::vm
