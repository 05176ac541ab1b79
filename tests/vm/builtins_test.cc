#include <gtest/gtest.h>

#include <set>

#include "tests/vm/program_fixture.hpp"
#include "vm/evaluator.hpp"

namespace sluice::vm::testing {
namespace {

Value text(std::string_view t) {
  return Value::string(t);
}
Value number(int64_t n) {
  return Value::integer(n);
}
Value real(double x) {
  return Value::floating(x);
}
Value ms(int64_t n) {
  return Value::duration(n);
}
Value list(std::vector<Value> items) {
  return Value::list(std::move(items));
}
Value map(std::vector<std::pair<Value, Value>> entries) {
  return Value::map(std::move(entries));
}

struct Row {
  Builtin builtin;
  std::vector<Value> arguments;
  const char* expected;  // the value as described, or "KIND: message"
};

std::string call(Builtin builtin, const std::vector<Value>& arguments) {
  ProgramBuilder p;
  auto count = static_cast<uint16_t>(arguments.size());
  uint32_t index = p.function("row", FunctionKind::pure, count, [&](FunctionBuilder& f) {
    Register out = f.allocate();
    f.emit_indexed(Op::builtin, out, {0}, static_cast<uint32_t>(builtin));
    f.emit(Op::ret, out);
  });
  Unit unit(p.verified());
  auto value = evaluate(unit, index, arguments);
  if (value) return describe(p.program.types, *value);
  return value.error().kind + ": " + value.error().message;
}

const std::vector<Row>& text_rows() {
  static const std::vector<Row> rows = {
      {Builtin::len_string, {text("gr\xc3\xbc\xc3\x9f")}, "4"},
      {Builtin::len_string, {number(1)}, "Fault: `len` got an argument of kind int"},
      {Builtin::len_bytes, {Value::bytes("\xff\xfe")}, "2"},
      {Builtin::join, {list({text("a"), text("b")}), text(", ")}, "\"a, b\""},
      {Builtin::join, {list({}), text(", ")}, "\"\""},
      {Builtin::join, {list({number(1)}), text("")}, "Fault: `join` got an argument of kind list"},
      {Builtin::split, {text("a,b,,c"), text(",")}, "[\"a\", \"b\", \"\", \"c\"]"},
      {Builtin::split, {text(""), text(",")}, "[\"\"]"},
      {Builtin::split, {text("a"), text("")}, "Fault: `split`: the separator is empty"},
      {Builtin::contains_string, {text("hello"), text("ell")}, "true"},
      {Builtin::contains_string, {text("hello"), text("")}, "true"},
      {Builtin::starts_with, {text("hello"), text("he")}, "true"},
      {Builtin::starts_with, {text("h"), text("he")}, "false"},
      {Builtin::ends_with, {text("hello"), text("lo")}, "true"},
      {Builtin::replace, {text("aaa"), text("aa"), text("b")}, "\"ba\""},
      {Builtin::replace,
       {text("a"), text(""), text("b")},
       "Fault: `replace`: what is to be replaced is empty"},
      {Builtin::trim, {text(" \t a b \n")}, "\"a b\""},
      {Builtin::lower,
       {text("\xc3\x84"
             "B")},
       "\"\xc3\xa4"
       "b\""},
      {Builtin::upper,
       {text("\xc3\xa4"
             "b")},
       "\"\xc3\x84"
       "B\""},
      {Builtin::str, {number(-5)}, "\"-5\""},
      {Builtin::str, {text("plain")}, "\"plain\""},
      {Builtin::str, {Value()}, "\"none\""},
      {Builtin::str, {list({text("a"), number(1)})}, "\"[\\\"a\\\",1]\""},
      {Builtin::encode, {text("a\"b")}, "\"\\\"a\\\\\\\"b\\\"\""},
      {Builtin::encode, {map({{text("k"), ms(2000)}})}, "\"{\\\"k\\\":\\\"2s\\\"}\""},
      {Builtin::take_string, {text("gr\xc3\xbc\xc3\x9f"), number(3)}, "\"gr\xc3\xbc\""},
      {Builtin::take_string, {text("ab"), number(9)}, "\"ab\""},
      {Builtin::take_string, {text("ab"), number(-1)}, "Fault: `take`: the count is negative"},
      {Builtin::drop_string, {text("gr\xc3\xbc\xc3\x9f"), number(3)}, "\"\xc3\x9f\""},
      {Builtin::drop_string, {text("ab"), number(INT64_MAX)}, "\"\""},
      {Builtin::text_of_bytes, {Value::bytes("\xff")}, "\"/w==\""},
      {Builtin::parse_int, {text("-12")}, "-12"},
      {Builtin::parse_int, {text("12x")}, "none"},
      {Builtin::parse_float, {text("1.5e3")}, "1500"},
      {Builtin::parse_float, {text("NaN")}, "none"},
  };
  return rows;
}

const std::vector<Row>& number_rows() {
  static const std::vector<Row> rows = {
      {Builtin::abs_int, {number(-5)}, "5"},
      {Builtin::abs_int,
       {number(INT64_MIN)},
       "Overflow: `abs`: the result does not fit in 64 bits"},
      {Builtin::abs_float, {real(-0.5)}, "0.5"},
      {Builtin::min_value, {number(2), number(1)}, "1"},
      {Builtin::min_value, {text("b"), text("a")}, "\"a\""},
      {Builtin::min_value, {number(1), text("a")}, "Fault: `min` got an argument of kind string"},
      {Builtin::min_value,
       {Value::boolean(true), Value::boolean(true)},
       "Fault: `min` got an argument of kind bool"},
      {Builtin::max_value, {ms(2), ms(1)}, "2ms"},
      {Builtin::to_float, {number(3)}, "3"},
      {Builtin::round_float, {real(2.5)}, "3"},
      {Builtin::round_float, {real(-2.5)}, "-3"},
      {Builtin::round_float, {real(0.49999999999999994)}, "0"},
      {Builtin::round_float,
       {real(1e300)},
       "Overflow: `round`: the result does not fit in 64 bits"},
      {Builtin::floor_float, {real(-1.5)}, "-2"},
      {Builtin::floor_float,
       {real(9.3e18)},
       "Overflow: `floor`: the result does not fit in 64 bits"},
      {Builtin::ceil_float, {real(-1.5)}, "-1"},
      {Builtin::ceil_float, {real(-9223372036854775808.0)}, "-9223372036854775808"},
      {Builtin::millis, {ms(2500)}, "2500"},
  };
  return rows;
}

const std::vector<Row>& collection_rows() {
  static const Value numbers = list({number(3), number(1), number(2)});
  static const Value letters = map({{text("b"), number(2)}, {text("a"), number(1)}});
  static const std::vector<Row> rows = {
      {Builtin::len_list, {numbers}, "3"},
      {Builtin::len_map, {letters}, "2"},
      {Builtin::contains_list, {numbers, number(2)}, "true"},
      {Builtin::contains_list, {numbers, text("2")}, "false"},
      {Builtin::index_of, {numbers, number(2)}, "2"},
      {Builtin::index_of, {numbers, number(9)}, "none"},
      {Builtin::min_list, {numbers}, "1"},
      {Builtin::min_list, {list({})}, "none"},
      {Builtin::min_list, {list({list({})})}, "Fault: `min`: nothing to order"},
      {Builtin::max_list, {numbers}, "3"},
      {Builtin::sum_int, {numbers}, "6"},
      {Builtin::sum_int, {list({})}, "0"},
      {Builtin::sum_int,
       {list({number(INT64_MAX), number(1)})},
       "Overflow: `sum`: the result does not fit in 64 bits"},
      {Builtin::sum_float, {list({real(0.5), real(0.25)})}, "0.75"},
      {Builtin::sum_float,
       {list({real(1.7e308), real(1.7e308)})},
       "Fault: `sum`: the sum is not a finite float"},
      {Builtin::sum_duration, {list({ms(500), ms(500)})}, "1s"},
      {Builtin::sort, {numbers}, "[1, 2, 3]"},
      {Builtin::sort, {list({text("b"), number(1)})}, "Fault: `sort`: nothing to order"},
      {Builtin::reverse, {numbers}, "[2, 1, 3]"},
      {Builtin::first, {numbers}, "3"},
      {Builtin::first, {list({})}, "none"},
      {Builtin::last, {numbers}, "2"},
      {Builtin::take, {numbers, number(2)}, "[3, 1]"},
      {Builtin::take, {numbers, number(-2)}, "Fault: `take`: the count is negative"},
      {Builtin::drop, {numbers, number(2)}, "[2]"},
      {Builtin::drop, {numbers, number(7)}, "[]"},
      {Builtin::range, {number(1), number(4)}, "[1, 2, 3, 4]"},
      {Builtin::range, {number(2), number(1)}, "[]"},
      {Builtin::range, {number(INT64_MAX), number(INT64_MAX)}, "[9223372036854775807]"},
      {Builtin::range,
       {number(INT64_MIN), number(INT64_MAX)},
       "Fault: `range`: the range is too long"},
      {Builtin::keys, {letters}, "[\"a\", \"b\"]"},
      {Builtin::values, {letters}, "[1, 2]"},
      {Builtin::has, {letters, text("a")}, "true"},
      {Builtin::has, {letters, text("z")}, "false"},
      {Builtin::put, {letters, text("c"), number(3)}, "[\"a\": 1, \"b\": 2, \"c\": 3]"},
      {Builtin::remove, {letters, text("a")}, "[\"b\": 2]"},
      {Builtin::remove, {letters, text("z")}, "[\"a\": 1, \"b\": 2]"},
      {Builtin::merge, {letters, map({{text("a"), number(9)}})}, "[\"a\": 9, \"b\": 2]"},
      {Builtin::unique, {list({number(1), text("1"), number(1)})}, "[1, \"1\"]"},
  };
  return rows;
}

TEST(Builtins, every_one_does_what_its_row_says) {
  std::set<Builtin> seen;
  for (const std::vector<Row>* rows : {&text_rows(), &number_rows(), &collection_rows()}) {
    for (const Row& row : *rows) {
      const BuiltinInfo& info = kBuiltins[static_cast<size_t>(row.builtin)];
      ASSERT_EQ(row.arguments.size(), info.parameter_count) << info.symbol;
      EXPECT_EQ(call(row.builtin, row.arguments), row.expected) << info.symbol;
      seen.insert(row.builtin);
    }
  }
  for (const BuiltinInfo& info : kBuiltins) {
    EXPECT_TRUE(seen.contains(info.builtin)) << info.symbol << " is untested";
  }
}

TEST(Builtins, no_kind_of_argument_breaks_one) {
  const Value kinds[] = {Value(),
                         Value::boolean(true),
                         number(1),
                         real(1),
                         ms(1),
                         Value::timestamp(1),
                         text("x"),
                         Value::bytes("x"),
                         list({Value()}),
                         map({{text("x"), Value()}}),
                         Value::record(0, std::vector<Value>{}),
                         Value::enumeration(9, 9)};
  for (const BuiltinInfo& info : kBuiltins) {
    for (const Value& a : kinds) {
      for (const Value& b : kinds) {
        std::vector<Value> arguments{a, b, a};
        arguments.resize(info.parameter_count);
        EXPECT_FALSE(call(info.builtin, arguments).empty());
      }
    }
  }
}

TEST(Builtins, signatures_are_well_formed) {
  EXPECT_EQ(count_parameters("{string: T}, [T], T"), 3);
  EXPECT_EQ(count_parameters(""), 0);
  std::set<std::string_view> symbols;
  for (const BuiltinInfo& info : kBuiltins) {
    EXPECT_TRUE(symbols.insert(info.symbol).second);
    EXPECT_GE(info.parameter_count, 1);
    EXPECT_FALSE(info.result.empty());
  }
}

}  // namespace
}  // namespace sluice::vm::testing
