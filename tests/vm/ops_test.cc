#include <gtest/gtest.h>

#include <set>

#include "tests/vm/program_fixture.hpp"
#include "vm/evaluator.hpp"

// Every instruction in a row of its own: what it computes, and what it refuses.
namespace sluice::vm::testing {
namespace {

// A program with a record Pair { a: int, b: string } (1), an enum Shape { dot, circle(r: int) }
// (0), and pure functions: 0 is `twice`.
struct OpsProgram : ProgramBuilder {
  uint32_t twice;
  OpsProgram() {
    record("Pair", {{"a", kTypeInt}, {"b", kTypeString}});
    program.types.enums.push_back(
        {"Shape", {{"dot", {}}, {"circle", {{"r", kTypeInt, {}, {}, {}, 0}}}}});
    program.types.enum_type(0);
    twice = function("twice", FunctionKind::pure, 1, [](FunctionBuilder& f) {
      f.emit(Op::add_int, f.parameter(0), f.parameter(0), f.parameter(0));
      f.emit(Op::ret, f.parameter(0));
    });
  }
};

using Body = std::function<void(OpsProgram&, FunctionBuilder&)>;

struct Row {
  Op op;
  const char* expected;  // the value as described, or "KIND: message"
  Body body;             // leaves the value in register 0
};

std::string evaluate_row(const Row& row) {
  OpsProgram p;
  uint32_t index = p.function("row", FunctionKind::pure, 0, [&](FunctionBuilder& f) {
    f.allocate(8);
    row.body(p, f);
    f.emit(Op::ret, {0});
  });
  Unit unit(p.verified());
  auto value = evaluate(unit, index, {});
  if (value) return describe(p.program.types, *value);
  return value.error().kind + ": " + value.error().message;
}

Value text(const char* t) {
  return Value::string(t);
}
Value number(int64_t n) {
  return Value::integer(n);
}
Value money(std::string_view t) {
  return Value::decimal(parse_decimal(t).value());
}

// R(0) := op(R(1), R(2)) of two constants.
Body binary(Op op, Value a, Value b) {
  return [=](OpsProgram& p, FunctionBuilder& f) {
    f.emit_wide(Op::load_const, {1}, p.constants.add(a));
    f.emit_wide(Op::load_const, {2}, p.constants.add(b));
    f.emit(op, {0}, {1}, {2});
  };
}
Body unary(Op op, Value a) {
  return [=](OpsProgram& p, FunctionBuilder& f) {
    f.emit_wide(Op::load_const, {1}, p.constants.add(a));
    f.emit(op, {0}, {1});
  };
}
// Takes the jump or not: R(0) is whether it was taken.
Body jumping(Op op, Value a) {
  return [=](OpsProgram& p, FunctionBuilder& f) {
    Label away = f.make_label(), end = f.make_label();
    f.emit_wide(Op::load_const, {1}, p.constants.add(a));
    f.emit_flag(Op::load_bool, {0}, false);
    f.emit_jump(op, {1}, away);
    f.emit_jump(Op::jump, end);
    f.bind(away);
    f.emit_flag(Op::load_bool, {0}, true);
    f.bind(end);
  };
}

// Skips the jump or not: R(0) is whether it was skipped.
Body skipping(Op op, Value a, Value b, uint16_t which = 0) {
  return [=](OpsProgram& p, FunctionBuilder& f) {
    Label end = f.make_label();
    f.emit_wide(Op::load_const, {1}, p.constants.add(a));
    f.emit_wide(Op::load_const, {2}, p.constants.add(b));
    f.emit_flag(Op::load_bool, {0}, false);
    f.emit_indexed(op, {1}, {2}, which);
    f.emit_jump(Op::jump, end);
    f.emit_flag(Op::load_bool, {0}, true);
    f.bind(end);
  };
}
// The text of what the loop's variable was in each round, and of what it leaves.
Body looping(Op op, Value next, Value last) {
  return [=](OpsProgram& p, FunctionBuilder& f) {
    Label top = f.make_label(), again = f.make_label();
    f.emit_wide(Op::load_const, {0}, p.constants.add(Value::string("")));
    f.emit_wide(Op::load_const, {3}, p.constants.add(next));
    f.emit_wide(Op::load_const, {4}, p.constants.add(last));
    f.emit_jump(Op::jump, again);
    f.bind(top);
    f.emit(Op::to_text, {5}, {2});
    f.emit(Op::concat, {0}, {0}, {5});
    f.bind(again);
    f.emit_jump(op, {2}, top);
    f.emit(Op::to_text, {5}, {2});
    f.emit(Op::concat, {0}, {0}, {5});
  };
}

void load(OpsProgram& p, FunctionBuilder& f, uint32_t r, const Value& value) {
  f.emit_wide(Op::load_const, {r}, p.constants.add(value));
}

std::vector<Row> basic_rows() {
  return {
      {Op::nop, "1",
       [](OpsProgram&, FunctionBuilder& f) {
         f.emit(Op::nop);
         f.emit_imm(Op::load_int, {0}, 1);
       }},
      {Op::move, "\"x\"", unary(Op::move, text("x"))},
      {Op::load_const, "[1, \"a\"]",
       [](OpsProgram& p, FunctionBuilder& f) {
         load(p, f, 0, Value::list(std::vector<Value>{number(1), text("a")}));
       }},
      {Op::load_int, "-7",
       [](OpsProgram&, FunctionBuilder& f) { f.emit_imm(Op::load_int, {0}, -7); }},
      {Op::load_none, "none", [](OpsProgram&, FunctionBuilder& f) { f.emit(Op::load_none, {0}); }},
      {Op::load_bool, "true",
       [](OpsProgram&, FunctionBuilder& f) { f.emit_flag(Op::load_bool, {0}, true); }},
      {Op::jump, "2",
       [](OpsProgram&, FunctionBuilder& f) {
         Label end = f.make_label();
         f.emit_imm(Op::load_int, {0}, 2);
         f.emit_jump(Op::jump, end);
         f.emit_imm(Op::load_int, {0}, 3);
         f.bind(end);
       }},
      {Op::jump_if, "true", jumping(Op::jump_if, Value::boolean(true))},
      {Op::jump_if, "false", jumping(Op::jump_if, Value::boolean(false))},
      {Op::jump_if, "Fault: instruction jump_if of row found a value of kind int",
       jumping(Op::jump_if, number(1))},
      {Op::jump_if_not, "false", jumping(Op::jump_if_not, Value::boolean(true))},
      {Op::jump_if_not, "true", jumping(Op::jump_if_not, Value::boolean(false))},
      {Op::jump_if_none, "true", jumping(Op::jump_if_none, Value())},
      {Op::jump_if_none, "false", jumping(Op::jump_if_none, number(0))},
      {Op::jump_if_some, "false", jumping(Op::jump_if_some, Value())},
      {Op::jump_if_some, "true", jumping(Op::jump_if_some, text(""))},
      {Op::not_bool, "false", unary(Op::not_bool, Value::boolean(true))},
      {Op::is_none, "true", unary(Op::is_none, Value())},
      {Op::is_none, "false", unary(Op::is_none, number(1))},
      {Op::ret_none, "none",
       [](OpsProgram& p, FunctionBuilder& f) {
         uint32_t nothing = p.function("nothing", FunctionKind::pure, 0,
                                       [](FunctionBuilder& g) { g.emit(Op::ret_none); });
         f.emit_indexed(Op::call, {0}, {1}, nothing);
       }},
      {Op::ret, "14",
       [](OpsProgram& p, FunctionBuilder& f) {
         load(p, f, 1, number(7));
         f.emit_indexed(Op::call, {0}, {1}, p.twice);
       }},
      {Op::call, "Fault: the result does not fit in 64 bits",
       [](OpsProgram& p, FunctionBuilder& f) {
         load(p, f, 1, number(INT64_MAX));
         f.emit_indexed(Op::call, {0}, {1}, p.twice);
       }},
      {Op::builtin, "3",
       [](OpsProgram& p, FunctionBuilder& f) {
         load(p, f, 1, text("abc"));
         f.emit_indexed(Op::builtin, {0}, {1}, static_cast<uint32_t>(Builtin::len_string));
       }},
      {Op::fail, "Broken: it is",
       [](OpsProgram& p, FunctionBuilder& f) {
         load(p, f, 0, text("Broken"));
         load(p, f, 1, text("it is"));
         f.emit(Op::fail, {0}, {1});
         f.emit(Op::load_none, {0});
       }},
  };
}

Body with_float(Op op, Value a, double k) {
  return [=](OpsProgram& p, FunctionBuilder& f) {
    load(p, f, 1, a);
    f.emit_indexed(op, {0}, {1}, p.constants.add(Value::floating(k)));
  };
}

std::vector<Row> arithmetic_rows() {
  constexpr int64_t kMax = INT64_MAX, kMin = INT64_MIN;
  auto f = [](double x) { return Value::floating(x); };
  auto ms = [](int64_t n) { return Value::duration(n); };
  auto us = [](int64_t n) { return Value::timestamp(n); };
  const char* over = "Fault: the result does not fit in 64 bits";
  const char* long_duration = "Fault: the duration does not fit in 64 bits";
  const char* zero = "Fault: division by zero";
  const char* infinite = "Fault: the result is not a finite float";
  return {
      {Op::add_int, "5", binary(Op::add_int, number(2), number(3))},
      {Op::add_int, over, binary(Op::add_int, number(kMax), number(1))},
      {Op::add_int, "Fault: instruction add_int of row found a value of kind string",
       binary(Op::add_int, number(2), text("3"))},
      {Op::sub_int, "-1", binary(Op::sub_int, number(2), number(3))},
      {Op::sub_int, over, binary(Op::sub_int, number(kMin), number(1))},
      {Op::mul_int, "6", binary(Op::mul_int, number(2), number(3))},
      {Op::mul_int, over, binary(Op::mul_int, number(kMin), number(-1))},
      {Op::div_int, "-2", binary(Op::div_int, number(-7), number(3))},
      {Op::div_int, zero, binary(Op::div_int, number(1), number(0))},
      {Op::div_int, "Fault: the quotient does not fit in 64 bits",
       binary(Op::div_int, number(kMin), number(-1))},
      {Op::rem_int, "-1", binary(Op::rem_int, number(-7), number(3))},
      {Op::rem_int, "0", binary(Op::rem_int, number(kMin), number(-1))},
      {Op::rem_int, zero, binary(Op::rem_int, number(1), number(0))},
      {Op::neg_int, "-5", unary(Op::neg_int, number(5))},
      {Op::neg_int, "Fault: the negation does not fit in 64 bits",
       unary(Op::neg_int, number(kMin))},
      {Op::add_float, "0.75", binary(Op::add_float, f(0.5), f(0.25))},
      {Op::add_float, infinite, binary(Op::add_float, f(1.7e308), f(1.7e308))},
      {Op::sub_float, "0", binary(Op::sub_float, f(0.5), f(0.5))},
      {Op::mul_float, "-1", binary(Op::mul_float, f(0.5), f(-2))},
      {Op::mul_float, "0", binary(Op::mul_float, f(0), f(-2))},
      {Op::mul_float, infinite, binary(Op::mul_float, f(1e200), f(1e200))},
      {Op::div_float, "2.5", binary(Op::div_float, f(5), f(2))},
      {Op::div_float, zero, binary(Op::div_float, f(1), f(0))},
      {Op::add_float_const, "0.75", with_float(Op::add_float_const, f(0.5), 0.25)},
      {Op::add_float_const, infinite, with_float(Op::add_float_const, f(1.7e308), 1.7e308)},
      {Op::add_float_const, "Fault: instruction add_float_const of row found a value of kind int",
       with_float(Op::add_float_const, number(1), 1)},
      {Op::mul_float_const, "-1", with_float(Op::mul_float_const, f(-2), 0.5)},
      {Op::mul_float_const, "0", with_float(Op::mul_float_const, f(-2), 0)},
      {Op::mul_float_const, infinite, with_float(Op::mul_float_const, f(1e200), 1e200)},
      {Op::div_float_const, "2.5", with_float(Op::div_float_const, f(5), 2)},
      {Op::div_float_const, zero, with_float(Op::div_float_const, f(5), 0)},
      {Op::const_sub_float, "-1.5", with_float(Op::const_sub_float, f(2), 0.5)},
      {Op::const_sub_float, "Fault: instruction const_sub_float of row found a value of kind none",
       with_float(Op::const_sub_float, Value(), 0.5)},
      {Op::const_div_float, "0.25", with_float(Op::const_div_float, f(4), 1)},
      {Op::const_div_float, "0", with_float(Op::const_div_float, f(-4), 0)},
      {Op::const_div_float, zero, with_float(Op::const_div_float, f(0), 1)},
      {Op::neg_float, "-2.5", unary(Op::neg_float, f(2.5))},
      {Op::neg_float, "0", unary(Op::neg_float, f(0))},
      {Op::add_time, "1500ms", binary(Op::add_time, ms(1000), ms(500))},
      {Op::add_time, "1970-01-01T00:00:01Z", binary(Op::add_time, us(0), ms(1000))},
      {Op::add_time, long_duration, binary(Op::add_time, ms(kMax), ms(1))},
      {Op::add_time, "Fault: the timestamp is not within the years 0 to 9999",
       binary(Op::add_time, us(0), ms(kMax))},
      {Op::add_time, "9999-12-31T23:59:59.999999Z",
       binary(Op::add_time, us(253'402'300'799'998'999), ms(1))},
      {Op::add_time, "Fault: the timestamp is not within the years 0 to 9999",
       binary(Op::add_time, us(253'402'300'799'999'000), ms(1))},
      {Op::sub_time, "0000-01-01T00:00:00Z",
       binary(Op::sub_time, us(-62'167'219'199'999'000), ms(1))},
      {Op::sub_time, "Fault: the timestamp is not within the years 0 to 9999",
       binary(Op::sub_time, us(-62'167'219'200'000'000), ms(1))},
      {Op::add_time, "Fault: instruction add_time of row found a value of kind timestamp",
       binary(Op::add_time, ms(1), us(0))},
      {Op::sub_time, "-500ms", binary(Op::sub_time, ms(500), ms(1000))},
      {Op::sub_time, "1ms", binary(Op::sub_time, us(1999), us(0))},
      {Op::sub_time, "1970-01-01T00:00:00Z", binary(Op::sub_time, us(1'000'000), ms(1000))},
      {Op::sub_time, long_duration, binary(Op::sub_time, ms(kMin), ms(1))},
      {Op::sub_time, "Fault: instruction sub_time of row found a value of kind timestamp",
       binary(Op::sub_time, ms(1), us(1))},
      {Op::mul_time, "3s", binary(Op::mul_time, ms(1500), number(2))},
      {Op::mul_time, long_duration, binary(Op::mul_time, ms(kMax), number(2))},
      {Op::div_time, "750ms", binary(Op::div_time, ms(1500), number(2))},
      {Op::div_time, "3", binary(Op::div_time, ms(1500), ms(500))},
      {Op::div_time, zero, binary(Op::div_time, ms(1500), ms(0))},
      {Op::div_time, long_duration, binary(Op::div_time, ms(kMin), number(-1))},
      {Op::neg_time, "-2s", unary(Op::neg_time, ms(2000))},
      {Op::equal, "true", binary(Op::equal, text("a"), text("a"))},
      {Op::equal, "false", binary(Op::equal, number(0), Value())},
      {Op::not_equal, "true", binary(Op::not_equal, number(0), Value::boolean(false))},
      {Op::less, "true", binary(Op::less, number(1), number(2))},
      {Op::less, "true", binary(Op::less, text("B"), text("a"))},
      {Op::less, "false", binary(Op::less, f(2), f(2))},
      {Op::less, "true", binary(Op::less, f(-2), f(0.5))},
      {Op::less_equal, "true", binary(Op::less_equal, f(2), f(2))},
      {Op::less, "Fault: instruction less of row found a value of kind string",
       binary(Op::less, number(1), text("2"))},
      {Op::less_equal, "true", binary(Op::less_equal, ms(2), ms(2))},
      {Op::less_equal, "true", binary(Op::less_equal, number(2), number(2))},
      {Op::less_equal, "Fault: instruction less_equal of row found a value of kind bool",
       binary(Op::less_equal, Value::boolean(true), Value::boolean(true))},
  };
}

Body with_small(Op op, Value a, int16_t b) {
  return [=](OpsProgram& p, FunctionBuilder& f) {
    load(p, f, 1, a);
    f.emit_short(op, {0}, {1}, b);
  };
}
Body skipping_small(Op op, Value a, int16_t b) {
  return skipping(op, a, Value(), static_cast<uint16_t>(b));
}

std::vector<Row> short_rows() {
  constexpr int64_t kMax = INT64_MAX;
  Value list = Value::list(std::vector<Value>{number(7), text("x")});
  Value circle = Value::enumeration(0, 1, std::vector<Value>{number(5)});
  Value one = Value::floating(1), half = Value::floating(0.5);
  const char* over = "Fault: the result does not fit in 64 bits";
  return {
      {Op::add_imm, "-5", with_small(Op::add_imm, number(-2), -3)},
      {Op::add_imm, "32769", with_small(Op::add_imm, number(2), INT16_MAX)},
      {Op::add_imm, over, with_small(Op::add_imm, number(kMax), 1)},
      {Op::add_imm, "Fault: instruction add_imm of row found a value of kind string",
       with_small(Op::add_imm, text("a"), 1)},
      {Op::mul_imm, "-6", with_small(Op::mul_imm, number(2), -3)},
      {Op::mul_imm, over, with_small(Op::mul_imm, number(kMax), 2)},
      {Op::mul_imm, "Fault: instruction mul_imm of row found a value of kind none",
       with_small(Op::mul_imm, Value(), 1)},
      {Op::rem_imm, "-1", with_small(Op::rem_imm, number(-7), 3)},
      {Op::rem_imm, "-1", with_small(Op::rem_imm, number(-7), -3)},
      {Op::rem_imm, "0", with_small(Op::rem_imm, number(INT64_MIN), -1)},
      {Op::rem_imm, "Fault: division by zero", with_small(Op::rem_imm, number(1), 0)},
      {Op::rem_imm, "Fault: instruction rem_imm of row found a value of kind string",
       with_small(Op::rem_imm, text("7"), 3)},
      {Op::skip_if_less_imm, "true", skipping_small(Op::skip_if_less_imm, number(-8), -7)},
      {Op::skip_if_less_imm, "false", skipping_small(Op::skip_if_less_imm, number(-7), -7)},
      {Op::skip_if_less_imm,
       "Fault: instruction skip_if_less_imm of row found a value of kind float",
       skipping_small(Op::skip_if_less_imm, half, 1)},
      {Op::skip_if_not_less_imm, "true", skipping_small(Op::skip_if_not_less_imm, number(7), 7)},
      {Op::skip_if_not_less_imm, "false", skipping_small(Op::skip_if_not_less_imm, number(6), 7)},
      {Op::skip_if_equal_imm, "true", skipping_small(Op::skip_if_equal_imm, number(-1), -1)},
      {Op::skip_if_equal_imm, "false", skipping_small(Op::skip_if_equal_imm, number(65535), -1)},
      {Op::skip_if_not_equal_imm, "true", skipping_small(Op::skip_if_not_equal_imm, number(1), 2)},
      {Op::skip_if_not_equal_imm, "false", skipping_small(Op::skip_if_not_equal_imm, number(2), 2)},
      {Op::skip_if_less, "true", skipping(Op::skip_if_less, number(1), number(2))},
      {Op::skip_if_less, "false", skipping(Op::skip_if_less, number(2), number(2))},
      {Op::skip_if_less, "true", skipping(Op::skip_if_less, half, one)},
      {Op::skip_if_less, "true", skipping(Op::skip_if_less, text("a"), text("b"))},
      {Op::skip_if_less, "Fault: instruction less of row found a value of kind string",
       skipping(Op::skip_if_less, number(1), text("b"))},
      {Op::skip_if_less_equal, "true", skipping(Op::skip_if_less_equal, number(2), number(2))},
      {Op::skip_if_less_equal, "false", skipping(Op::skip_if_less_equal, one, half)},
      {Op::skip_if_equal, "true", skipping(Op::skip_if_equal, list, list)},
      {Op::skip_if_equal, "false", skipping(Op::skip_if_equal, number(0), Value())},
      {Op::skip_if_equal, "false", skipping(Op::skip_if_equal, text(""), text("a"))},
      {Op::skip_if_equal, "true", skipping(Op::skip_if_equal, text(""), text(""))},
      {Op::skip_if_not_equal, "false", skipping(Op::skip_if_not_equal, half, half)},
      {Op::skip_if_not_equal, "true", skipping(Op::skip_if_not_equal, circle, list)},
      {Op::skip_if_case, "true", skipping(Op::skip_if_case, circle, Value(), 1)},
      {Op::skip_if_case, "false", skipping(Op::skip_if_case, circle, Value(), 0)},
      {Op::skip_if_case, "Fault: instruction skip_if_case of row found a value of kind int",
       skipping(Op::skip_if_case, number(1), Value(), 0)},
      {Op::int_loop, "\"345none\"", looping(Op::int_loop, number(3), number(5))},
      {Op::int_loop, "\"none\"", looping(Op::int_loop, number(3), number(2))},
      {Op::int_loop, "\"9223372036854775807none\"",
       looping(Op::int_loop, number(kMax), number(kMax))},
      {Op::int_loop, "Fault: instruction int_loop of row found a value of kind string",
       looping(Op::int_loop, number(3), text("5"))},
      {Op::int_loop, "Fault: instruction int_loop of row found a value of kind bool",
       looping(Op::int_loop, Value::boolean(true), number(5))},
      {Op::list_loop, "\"7xnone\"", looping(Op::list_loop, number(0), list)},
      {Op::list_loop, "\"none\"", looping(Op::list_loop, number(-1), list)},
      {Op::list_loop, "Fault: instruction list_loop of row found a value of kind int",
       looping(Op::list_loop, number(0), number(1))},
      {Op::list_loop, "Fault: instruction list_loop of row found a value of kind none",
       looping(Op::list_loop, Value(), list)},
      {Op::interpolate, "\"a-7[7,\\\"x\\\"]none\"",
       [=](OpsProgram& p, FunctionBuilder& f) {
         load(p, f, 1, text("a"));
         load(p, f, 2, number(-7));
         load(p, f, 3, list);
         load(p, f, 4, Value());
         f.emit_indexed(Op::interpolate, {0}, {1}, 4);
       }},
  };
}

std::vector<Row> container_rows() {
  Value ab = Value::list(std::vector<Value>{text("a"), text("b")});
  Value map = Value::map({{text("k"), number(1)}});
  Value pair = Value::record(1, std::vector<Value>{number(1), text("x")});
  Value circle = Value::enumeration(0, 1, std::vector<Value>{number(5)});
  auto with = [](Op op, Value target, Value b, uint32_t c) -> Body {
    return [=](OpsProgram& p, FunctionBuilder& f) {
      load(p, f, 0, target);
      load(p, f, 1, b);
      f.emit_indexed(op, {0}, {1}, c);
    };
  };
  auto field = [](Op op, Value from, uint32_t which) -> Body {
    return [=](OpsProgram& p, FunctionBuilder& f) {
      load(p, f, 1, from);
      f.emit_indexed(op, {0}, {1}, which);
    };
  };
  return {
      {Op::concat, "\"ab\"", binary(Op::concat, text("a"), text("b"))},
      {Op::concat, "[\"a\", \"b\", \"a\", \"b\"]", binary(Op::concat, ab, ab)},
      {Op::concat, "Fault: instruction concat of row found a value of kind list",
       binary(Op::concat, text("a"), ab)},
      {Op::concat_all, "\"abc\"",
       [](OpsProgram& p, FunctionBuilder& f) {
         for (uint32_t r = 0; r < 3; ++r)
           load(p, f, r + 1, text(r == 0 ? "a" : r == 1 ? "b" : "c"));
         f.emit_indexed(Op::concat_all, {0}, {1}, 3);
       }},
      {Op::to_text, "\"2s\"", unary(Op::to_text, Value::duration(2000))},
      {Op::to_text, "\"dot\"", unary(Op::to_text, Value::enumeration(0, 0))},
      {Op::to_text, "\"{\\\"a\\\":1,\\\"b\\\":\\\"x\\\"}\"", unary(Op::to_text, pair)},
      {Op::make_list, "[\"a\", 1]",
       [](OpsProgram& p, FunctionBuilder& f) {
         load(p, f, 1, text("a"));
         load(p, f, 2, number(1));
         f.emit_indexed(Op::make_list, {0}, {1}, 2);
       }},
      {Op::make_map, "[\"a\": 2]",
       [](OpsProgram& p, FunctionBuilder& f) {
         for (uint32_t r : {1U, 3U}) {
           load(p, f, r, text("a"));
           load(p, f, r + 1, number(r == 1 ? 1 : 2));
         }
         f.emit_indexed(Op::make_map, {0}, {1}, 2);
       }},
      {Op::append, "[\"a\", \"b\", 3]", with(Op::append, ab, number(3), 0)},
      {Op::append, "Fault: instruction append of row found a value of kind int",
       with(Op::append, number(1), number(3), 0)},
      {Op::index, "\"b\"", binary(Op::index, ab, number(1))},
      {Op::index, "Fault: index 2 of a list of 2", binary(Op::index, ab, number(2))},
      {Op::index, "Fault: index -1 of a list of 2", binary(Op::index, ab, number(-1))},
      {Op::index, "1", binary(Op::index, map, text("k"))},
      {Op::index, "none", binary(Op::index, map, text("absent"))},
      {Op::list_next, "\"ab\"",
       [=](OpsProgram& p, FunctionBuilder& f) {
         Label again = f.make_label(), end = f.make_label();
         load(p, f, 0, text(""));
         load(p, f, 1, ab);
         load(p, f, 2, number(0));
         f.bind(again);
         f.emit(Op::list_next, {3}, {1}, {2});
         f.emit_jump(Op::jump, end);
         f.emit(Op::concat, {0}, {0}, {3});
         f.emit_jump(Op::jump, again);
         f.bind(end);
       }},
      {Op::map_put, "[\"k\": 1, \"z\": 9]",
       [=](OpsProgram& p, FunctionBuilder& f) {
         load(p, f, 0, map);
         load(p, f, 1, text("z"));
         load(p, f, 2, number(9));
         f.emit(Op::map_put, {0}, {1}, {2});
       }},
      {Op::make_record, "Pair { a: 1, b: \"x\" }",
       [](OpsProgram& p, FunctionBuilder& f) {
         load(p, f, 1, number(1));
         load(p, f, 2, text("x"));
         f.emit_indexed(Op::make_record, {0}, {1}, 1);
       }},
      {Op::get_field, "\"x\"", field(Op::get_field, pair, 1)},
      {Op::get_field, "Fault: there is no field 2", field(Op::get_field, pair, 2)},
      {Op::get_field, "Fault: instruction get_field of row found a value of kind enum",
       field(Op::get_field, circle, 0)},
      {Op::set_field, "Pair { a: 1, b: \"y\" }", with(Op::set_field, pair, text("y"), 1)},
      {Op::set_field, "Fault: there is no field 7", with(Op::set_field, pair, text("y"), 7)},
      {Op::make_enum, "Shape.dot",
       [](OpsProgram&, FunctionBuilder& f) { f.emit_indexed(Op::make_enum, {0}, {1}, 0, 0); }},
      {Op::make_enum, "Shape.circle(r: 4)",
       [](OpsProgram& p, FunctionBuilder& f) {
         load(p, f, 1, number(4));
         f.emit_indexed(Op::make_enum, {0}, {1}, 0, 1);
       }},
      {Op::is_case, "true", field(Op::is_case, circle, 1)},
      {Op::is_case, "false", field(Op::is_case, circle, 0)},
      {Op::is_case, "Fault: instruction is_case of row found a value of kind int",
       field(Op::is_case, number(1), 0)},
      {Op::case_field, "5", field(Op::case_field, circle, 0)},
      {Op::case_field, "Fault: there is no field 0",
       field(Op::case_field, Value::enumeration(0, 0), 0)},
  };
}

std::vector<Row> exact_rows() {
  const std::string nines(33, '9');
  auto as_pair = [](std::string_view json) -> Body {
    return [=](OpsProgram& p, FunctionBuilder& f) {
      load(p, f, 1, Value::json(json));
      f.emit_indexed(Op::as_type, {0}, {1}, p.program.types.record_type(1).index);
    };
  };
  auto decoded_pair = [](std::string_view json) -> Body {
    return [=](OpsProgram& p, FunctionBuilder& f) {
      load(p, f, 1, Value::string(json));
      f.emit_indexed(Op::decode_as, {0}, {1}, p.program.types.record_type(1).index);
    };
  };
  return {
      {Op::decode_as, "Pair { a: 1, b: \"x\" }", decoded_pair(R"( {"b":"x","more":[],"a":1} )")},
      {Op::decode_as,
       "Invalid: this is no Pair: /a: expected an int, found a string; /b: is missing",
       decoded_pair(R"({"a":"1"})")},
      {Op::decode_as, "Invalid: this is no JSON: expected a value at byte 5",
       decoded_pair(R"({"a":)")},
      {Op::decode_as, "Invalid: this is no JSON: duplicate key at byte 10",
       decoded_pair(R"({"a":1,"a":1,"b":""})")},
      {Op::decode_as, "Fault: `decode` got an argument of kind int",
       [](OpsProgram&, FunctionBuilder& f) {
         f.emit_imm(Op::load_int, {1}, 1);
         f.emit_indexed(Op::decode_as, {0}, {1}, kTypeInt.index);
       }},
      {Op::add_decimal, "0.3", binary(Op::add_decimal, money("0.1"), money("0.2"))},
      {Op::add_decimal, "Fault: the result has more than 33 digits",
       binary(Op::add_decimal, money(nines), money("1"))},
      {Op::add_decimal, "Fault: instruction add_decimal of row found a value of kind int",
       binary(Op::add_decimal, money("1"), number(1))},
      {Op::sub_decimal, "-0.1", binary(Op::sub_decimal, money("0.1"), money("0.2"))},
      {Op::mul_decimal, "0.02", binary(Op::mul_decimal, money("0.1"), money("0.2"))},
      {Op::mul_decimal, "37.5", binary(Op::mul_decimal, money("12.50"), number(3))},
      {Op::mul_decimal, "Fault: instruction mul_decimal of row found a value of kind float",
       binary(Op::mul_decimal, money("1"), Value::floating(2))},
      {Op::neg_decimal, "-1.5", unary(Op::neg_decimal, money("1.50"))},
      {Op::neg_decimal, "Fault: instruction neg_decimal of row found a value of kind int",
       unary(Op::neg_decimal, number(1))},
      {Op::as_json, R"(json {"a":1,"b":"x"})",
       unary(Op::as_json, Value::record(1, std::vector<Value>{number(1), text("x")}))},
      {Op::as_type, "Pair { a: 1, b: \"x\" }", as_pair(R"({"a":1,"b":"x","more":[]})")},
      {Op::as_type, "Invalid: this is no Pair: /a: expected an int, found a string; /b: is missing",
       as_pair(R"({"a":"1"})")},
      {Op::as_type, "Fault: `as` found a value of kind int",
       [](OpsProgram&, FunctionBuilder& f) {
         f.emit_imm(Op::load_int, {1}, 1);
         f.emit_indexed(Op::as_type, {0}, {1}, kTypeInt.index);
       }},
  };
}

TEST(Ops, every_pure_instruction_does_what_its_row_says) {
  std::set<Op> seen;
  for (const std::vector<Row>& rows :
       {basic_rows(), arithmetic_rows(), short_rows(), container_rows(), exact_rows()}) {
    for (const Row& row : rows) {
      EXPECT_EQ(evaluate_row(row), row.expected) << op_info(row.op)->name;
      seen.insert(row.op);
    }
  }
  // What acts is run_test's: these are the instructions whose commands it checks.
  for (Op op : {Op::step, Op::step_key, Op::arm_unsure, Op::on_undo, Op::spawn, Op::join,
                Op::notify, Op::finish, Op::finish_bare, Op::run_client, Op::run_id,
                // and tests/compiler/execute_blocks_test plays these:
                Op::sleep, Op::start_deadline, Op::round, Op::leave, Op::mark, Op::undo, Op::settle,
                Op::rethrow, Op::race, Op::slot, Op::gather, Op::now, Op::log,
                // and tests/compiler/execute_signals_test this:
                Op::receive,
                // and run_messages_test these:
                Op::publish, Op::start_run}) {
    seen.insert(op);
  }
  for (const OpInfo& info : kOps)
    EXPECT_TRUE(seen.contains(info.op)) << info.name << " is untested";
}

}  // namespace
}  // namespace sluice::vm::testing
