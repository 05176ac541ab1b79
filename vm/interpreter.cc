#include "vm/interpreter.hpp"

#include "vm/interpreter_ops.hpp"

namespace sluice::vm {
namespace {

struct Frame {
  const Function* function;
  const Instruction* at;  // the call
  Value* registers;
  uint32_t stack_base;
};

void clear(Value* registers, uint32_t count) {
  for (uint32_t i = 0; i < count; ++i) registers[i] = Value();
}

constexpr int64_t fuel_of(Op op) {
  for (const OpInfo& info : kOps) {
    if (info.op == op) return info.fuel;
  }
  return 0;
}

bool bool_of(Activation& act, const Instruction& i, const Value& value, bool* holds) {
  if (!value.is(Kind::boolean)) return ops::wrong_kind(act, i.op, value);
  *holds = value.as_bool();
  return true;
}

bool int_arithmetic(Activation& act, Op op, Value* out, const Value& a, const Value& b) {
  if (!a.is(Kind::integer)) return ops::wrong_kind(act, op, a);
  if (!b.is(Kind::integer)) return ops::wrong_kind(act, op, b);
  int64_t result = 0;
  bool over = op == Op::add_int   ? __builtin_add_overflow(a.as_int(), b.as_int(), &result)
              : op == Op::sub_int ? __builtin_sub_overflow(a.as_int(), b.as_int(), &result)
                                  : __builtin_mul_overflow(a.as_int(), b.as_int(), &result);
  if (over) return act.overflow("the result does not fit in 64 bits");
  *out = Value::integer(result);
  return true;
}

bool list_next(Activation& act, Value* r, const Instruction& i, bool* more) {
  if (!r[i.b].is(Kind::list)) return ops::wrong_kind(act, i.op, r[i.b]);
  if (!r[i.c].is(Kind::integer)) return ops::wrong_kind(act, i.op, r[i.c]);
  auto at = static_cast<uint64_t>(r[i.c].as_int());
  *more = at < r[i.b].count();
  Value item = *more ? r[i.b].elements()[at] : Value();
  if (*more) r[i.c] = Value::integer(static_cast<int64_t>(at) + 1);
  r[i.a] = std::move(item);
  return true;
}

}  // namespace

// One CASE per row of vm/ops.def that is not the run's business. `i` is the instruction, `r` the
// registers. A helper that answers false has set the failure.
Stop execute(Unit& unit, Activation& act) {
  Frame frames[kCallDepthMax + 1];
  uint32_t depth = 0;
  const Function* function = act.function;
  const Instruction* at = function->code.data() + act.pc;
  Value* r = act.registers;
  uint32_t stack_base = act.stack_base;
  const TypeTable& types = unit.types();
  bool flag = false;

#define CASE(name)    \
  case Op::name:      \
    act.fuel -= fuel_of(Op::name); \
    if (act.fuel < 0) [[unlikely]] goto out_of_fuel;
#define NEXT \
  ++at;      \
  continue
// `call` is a condition: false is a failure.
#define DO(call)                         \
  if (!(call)) [[unlikely]] goto failed; \
  NEXT

  for (;;) {
    const Instruction& i = *at;
    switch (i.op) {
      CASE(nop) NEXT;
      CASE(move) r[i.a] = r[i.b]; NEXT;
      CASE(load_const) r[i.a] = unit.constant(i.wide()); NEXT;
      CASE(load_int) r[i.a] = Value::integer(i.immediate()); NEXT;
      CASE(load_none) r[i.a] = Value(); NEXT;
      CASE(load_bool) r[i.a] = Value::boolean(i.x != 0); NEXT;

      CASE(add_int) DO(int_arithmetic(act, Op::add_int, &r[i.a], r[i.b], r[i.c]));
      CASE(sub_int) DO(int_arithmetic(act, Op::sub_int, &r[i.a], r[i.b], r[i.c]));
      CASE(mul_int) DO(int_arithmetic(act, Op::mul_int, &r[i.a], r[i.b], r[i.c]));
      CASE(div_int) DO(ops::divide(act, i.op, &r[i.a], r[i.b], r[i.c]));
      CASE(rem_int) DO(ops::divide(act, i.op, &r[i.a], r[i.b], r[i.c]));
      CASE(neg_int) DO(ops::negate(act, i.op, &r[i.a], r[i.b]));

      CASE(add_float) DO(ops::float_arithmetic(act, i.op, &r[i.a], r[i.b], r[i.c]));
      CASE(sub_float) DO(ops::float_arithmetic(act, i.op, &r[i.a], r[i.b], r[i.c]));
      CASE(mul_float) DO(ops::float_arithmetic(act, i.op, &r[i.a], r[i.b], r[i.c]));
      CASE(div_float) DO(ops::float_arithmetic(act, i.op, &r[i.a], r[i.b], r[i.c]));
      CASE(neg_float) DO(ops::negate(act, i.op, &r[i.a], r[i.b]));

      CASE(add_time) DO(ops::time_arithmetic(act, i.op, &r[i.a], r[i.b], r[i.c]));
      CASE(sub_time) DO(ops::time_arithmetic(act, i.op, &r[i.a], r[i.b], r[i.c]));
      CASE(mul_time) DO(ops::time_arithmetic(act, i.op, &r[i.a], r[i.b], r[i.c]));
      CASE(div_time) DO(ops::time_arithmetic(act, i.op, &r[i.a], r[i.b], r[i.c]));
      CASE(neg_time) DO(ops::negate(act, i.op, &r[i.a], r[i.b]));

      CASE(not_bool)
        if (!bool_of(act, i, r[i.b], &flag)) goto failed;
        r[i.a] = Value::boolean(!flag);
        NEXT;
      CASE(equal) DO(ops::equality(act, true, &r[i.a], r[i.b], r[i.c]));
      CASE(not_equal) DO(ops::equality(act, false, &r[i.a], r[i.b], r[i.c]));
      CASE(less)
        if (r[i.b].is(Kind::integer) && r[i.c].is(Kind::integer)) {
          r[i.a] = Value::boolean(r[i.b].as_int() < r[i.c].as_int());
          NEXT;
        }
        DO(ops::order(act, i.op, &r[i.a], r[i.b], r[i.c]));
      CASE(less_equal)
        if (r[i.b].is(Kind::integer) && r[i.c].is(Kind::integer)) {
          r[i.a] = Value::boolean(r[i.b].as_int() <= r[i.c].as_int());
          NEXT;
        }
        DO(ops::order(act, i.op, &r[i.a], r[i.b], r[i.c]));
      CASE(is_none) r[i.a] = Value::boolean(r[i.b].is_none()); NEXT;

      CASE(jump) at = function->code.data() + i.wide(); continue;
      CASE(jump_if)
        if (!bool_of(act, i, r[i.a], &flag)) goto failed;
        at = flag ? function->code.data() + i.wide() : at + 1;
        continue;
      CASE(jump_if_not)
        if (!bool_of(act, i, r[i.a], &flag)) goto failed;
        at = flag ? at + 1 : function->code.data() + i.wide();
        continue;
      CASE(jump_if_none)
        at = r[i.a].is_none() ? function->code.data() + i.wide() : at + 1;
        continue;
      CASE(jump_if_some)
        at = r[i.a].is_none() ? at + 1 : function->code.data() + i.wide();
        continue;

      CASE(concat) DO(ops::concat(act, &r[i.a], r[i.b], r[i.c]));
      CASE(concat_all) DO(ops::concat_all(act, &r[i.a], {r + i.b, i.c}));
      CASE(to_text) DO(ops::to_text(act, types, &r[i.a], r[i.b]));
      CASE(make_list) DO(ops::make_list(act, &r[i.a], {r + i.b, i.c}));
      CASE(make_map) DO(ops::make_map(act, &r[i.a], {r + i.b, size_t{2} * i.c}));
      CASE(append) DO(ops::append(act, &r[i.a], r[i.b]));
      CASE(index) DO(ops::index(act, &r[i.a], r[i.b], r[i.c]));
      CASE(list_next)
        if (!list_next(act, r, i, &flag)) goto failed;
        at += flag ? 2 : 1;
        continue;
      CASE(map_put) DO(ops::map_put(act, &r[i.a], r[i.b], r[i.c]));

      CASE(make_record)
        DO(ops::make_record(act, &r[i.a], i.c, {r + i.b, types.records[i.c].fields.size()}));
      CASE(get_field) DO(ops::get_field(act, i.op, &r[i.a], r[i.b], i.c));
      CASE(set_field) DO(ops::set_field(act, &r[i.a], r[i.b], i.c));
      CASE(make_enum)
        DO(ops::make_enum(act, &r[i.a], i.c, i.x,
                          {r + i.b, types.enums[i.c].cases[i.x].fields.size()}));
      CASE(is_case)
        if (!r[i.b].is(Kind::enumeration)) {
          ops::wrong_kind(act, i.op, r[i.b]);
          goto failed;
        }
        r[i.a] = Value::boolean(r[i.b].enum_case() == i.c);
        NEXT;
      CASE(case_field) DO(ops::get_field(act, i.op, &r[i.a], r[i.b], i.c));

      CASE(call) {
        const Function* callee = &unit.program().functions[i.c];
        Value* window = unit.stack() + stack_base;
        for (uint32_t p = 0; p < callee->parameters; ++p) window[p] = r[i.b + p];
        frames[depth++] = {function, at, r, stack_base};
        stack_base += callee->registers;
        function = callee;
        r = window;
        at = callee->code.data();
        continue;
      }
      CASE(builtin)
        DO(call_builtin(unit, act, static_cast<Builtin>(i.c),
                        {r + i.b, kBuiltins[i.c].parameter_count}, &r[i.a]));
      CASE(ret) act.result = r[i.a]; goto returned;
      CASE(ret_none) act.result = Value(); goto returned;
      CASE(fail)
        ops::fail(act, r[i.a], r[i.b]);
        goto failed;

      case Op::step:
      case Op::step_key:
      case Op::arm_unsure:
      case Op::on_undo:
      case Op::spawn:
      case Op::join:
      case Op::notify:
      case Op::finish:
      case Op::finish_bare:
      case Op::run_client:
      case Op::run_id:
      case Op::sleep:
      case Op::start_deadline:
      case Op::round:
      case Op::leave:
      case Op::mark:
      case Op::undo:
      case Op::settle:
      case Op::rethrow:
      case Op::race:
      case Op::slot:
      case Op::gather:
        act.fuel -= op_info(i.op)->fuel;
        act.pc = static_cast<uint32_t>(at - function->code.data());
        if (act.fuel < 0) goto out_of_fuel;
        return Stop::effect;
    }

  returned:
    if (depth == 0) {
      act.pc = static_cast<uint32_t>(at - function->code.data());
      return Stop::returned;
    }
    clear(r, function->registers);
    --depth;
    function = frames[depth].function;
    at = frames[depth].at;
    r = frames[depth].registers;
    stack_base = frames[depth].stack_base;
    r[at->a] = std::move(act.result);
    ++at;
  }
#undef CASE
#undef NEXT
#undef DO

out_of_fuel:
  act.fault("out of fuel: the run computes too long without waiting");
failed:
  while (depth > 0) {
    clear(r, function->registers);
    --depth;
    function = frames[depth].function;
    at = frames[depth].at;
    r = frames[depth].registers;
  }
  act.pc = static_cast<uint32_t>(at - function->code.data());
  return Stop::failed;
}

}  // namespace sluice::vm
