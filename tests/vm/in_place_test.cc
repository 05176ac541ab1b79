#include <gtest/gtest.h>

#include "tests/vm/program_fixture.hpp"
#include "vm/evaluator.hpp"
#include "vm/interpreter_ops.hpp"

// What changes a value where it is: nobody else sees it, and a failure leaves all as it was.
namespace sluice::vm::testing {
namespace {

Value text(const char* t) {
  return Value::string(t);
}
Value number(int64_t n) {
  return Value::integer(n);
}

struct TwiceProgram : ProgramBuilder {
  uint32_t twice;
  TwiceProgram() {
    record("Pair", {{"a", kTypeInt}, {"b", kTypeString}});
    twice = function("twice", FunctionKind::pure, 1, [](FunctionBuilder& f) {
      f.emit(Op::add_int, f.parameter(0), f.parameter(0), f.parameter(0));
      f.emit(Op::ret, f.parameter(0));
    });
  }
};

TEST(InPlace, changes_in_place_leave_copies_alone) {
  TwiceProgram p;
  uint32_t index = p.function("row", FunctionKind::pure, 1, [](FunctionBuilder& f) {
    Register copy = f.allocate(), both = f.allocate(2);
    f.emit(Op::move, copy, f.parameter(0));
    f.emit(Op::append, copy, f.parameter(0));
    f.emit(Op::move, both, f.parameter(0));
    f.emit(Op::move, {both.index + 1}, copy);
    f.emit_indexed(Op::make_list, both, both, 2);
    f.emit(Op::ret, both);
  });
  Unit unit(p.verified());
  Value list = Value::list(std::vector<Value>{number(1)});
  auto value = evaluate(unit, index, std::span<const Value>(&list, 1));
  ASSERT_TRUE(value);
  EXPECT_EQ(describe(p.program.types, *value), "[[1], [1, [1]]]");
}

// What fails because it would grow too large leaves what was there as it was: a `catch` may read
// it.
TEST(InPlace, what_would_grow_too_large_stays_as_it_was) {
  TwiceProgram p;
  const Value half = Value::string(std::string(kValueBytesMax / 2, 'x'));
  const Value pair = Value::record(1, std::vector<Value>{number(1), half});
  const struct {
    Op op;
    Value whole;
    uint32_t c;
  } rows[] = {{Op::concat, half, 1},
              {Op::append, Value::list(std::vector<Value>{half}), 0},
              {Op::map_put, Value::map({{text("a"), half}}), 1},
              {Op::set_field, pair, 0}};
  for (const auto& row : rows) {
    Activation act;
    act.function = &p.program.functions[p.twice];
    Value whole = row.whole;
    bool done = true;
    switch (row.op) {
      case Op::concat:
        done = ops::concat(act, &whole, whole, half);
        break;
      case Op::append:
        done = ops::append(act, &whole, half);
        break;
      case Op::map_put:
        done = ops::map_put(act, &whole, text("b"), half);
        break;
      default:
        done = ops::set_field(act, &whole, half, row.c);
    }
    EXPECT_FALSE(done) << op_info(row.op)->name;
    EXPECT_EQ(act.failure.kind, "Fault");
    EXPECT_EQ(whole, row.whole) << op_info(row.op)->name;
  }
  Activation act;
  Value map = Value::map({{text("a"), half}});
  EXPECT_TRUE(ops::map_put(act, &map, text("a"), half)) << "what goes makes room";
}

TEST(InPlace, the_stack_is_empty_after_failures_inside_calls) {
  TwiceProgram p;
  uint32_t outer = p.function("outer", FunctionKind::pure, 1, [&](FunctionBuilder& f) {
    f.emit_indexed(Op::call, f.parameter(0), f.parameter(0), p.twice);
    f.emit(Op::ret, f.parameter(0));
  });
  Unit unit(p.verified());
  Value bad = Value::list(std::vector<Value>{text("kept by nobody")});
  EXPECT_FALSE(evaluate(unit, outer, std::span<const Value>(&bad, 1)));
  EXPECT_TRUE(bad.unique());
  Value good = number(4);
  EXPECT_EQ(evaluate(unit, outer, std::span<const Value>(&good, 1)).value(), number(8));
}

// A record of scalars, of which a copy is kept: the short way must not be taken.
TEST(InPlace, fields_of_shared_records_are_not_touched) {
  const Value record = Value::record(1, std::vector<Value>{number(1), number(2)});
  Value copy = record;
  EXPECT_FALSE(copy.replace_flat(0, number(7)));
  copy.set_element(0, number(7));
  EXPECT_EQ(record.elements()[0], number(1));
  EXPECT_TRUE(copy.replace_flat(1, number(8)));
  EXPECT_FALSE(copy.replace_flat(2, number(8))) << "there is no such field";
  EXPECT_FALSE(copy.replace_flat(1, text("no scalar")));
  EXPECT_EQ(copy, Value::record(1, std::vector<Value>{number(7), number(8)}));
}

TEST(InPlace, values_of_shared_maps_are_not_touched) {
  const Value map = Value::map({{text("a"), number(1)}, {text("b"), number(2)}});
  Value copy = map;
  copy.put(text("a"), number(7));
  EXPECT_EQ(*map.find("a"), number(1));
  copy.put(text("b"), number(8));
  copy.put(text("b"), text("no scalar"));
  EXPECT_EQ(copy, Value::map({{text("a"), number(7)}, {text("b"), text("no scalar")}}));
  EXPECT_EQ(copy.logical_bytes(),
            Value::map({{text("a"), number(7)}, {text("b"), text("no scalar")}}).logical_bytes());
}

// What a function leaves in its registers it gives back: also where only some can hold memory.
TEST(InPlace, a_call_that_returns_holds_nothing) {
  TwiceProgram p;
  const uint32_t inner = p.function("inner", FunctionKind::pure, 1, [&](FunctionBuilder& f) {
    const Register kept = f.allocate(), scalars = f.allocate(2);
    f.emit_imm(Op::load_int, scalars, 1);
    f.emit(Op::move, kept, f.parameter(0));
    f.emit(Op::add_int, {scalars.index + 1}, scalars, scalars);
    f.emit(Op::ret, {scalars.index + 1});
  });
  const uint32_t outer = p.function("outer", FunctionKind::pure, 1, [&](FunctionBuilder& f) {
    const Register n = f.allocate();
    f.emit_indexed(Op::call, n, f.parameter(0), inner);
    f.emit(Op::ret, n);
  });
  Unit unit(p.verified());
  EXPECT_EQ(unit.verified().facts(inner).may_hold, 2U);
  EXPECT_EQ(unit.verified().facts(p.twice).may_hold, 1U);
  const Value list = Value::list(std::vector<Value>{text("kept by nobody")});
  EXPECT_EQ(evaluate(unit, outer, std::span<const Value>(&list, 1)).value(), number(2));
  EXPECT_TRUE(list.unique());
}

}  // namespace
}  // namespace sluice::vm::testing
