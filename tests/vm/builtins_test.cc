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
Value money(std::string_view t) {
  return Value::decimal(parse_decimal(t).value());
}
Value us(int64_t n) {
  return Value::timestamp(n);
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
      {Builtin::abs_int, {number(INT64_MIN)}, "Fault: `abs`: the result does not fit in 64 bits"},
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
      {Builtin::round_float, {real(1e300)}, "Fault: `round`: the result does not fit in 64 bits"},
      {Builtin::floor_float, {real(-1.5)}, "-2"},
      {Builtin::floor_float, {real(9.3e18)}, "Fault: `floor`: the result does not fit in 64 bits"},
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
       "Fault: `sum`: the result does not fit in 64 bits"},
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

const std::vector<Row>& exact_rows() {
  static const std::vector<Row> rows = {
      {Builtin::bytes_of_text, {text("hi")}, "bytes aGk="},
      {Builtin::parse_base64, {text("aGk=")}, "bytes aGk="},
      {Builtin::parse_base64, {text("aGk")}, "none"},
      {Builtin::parse_utf8, {Value::bytes("hi")}, "\"hi\""},
      {Builtin::parse_utf8, {Value::bytes("\xff")}, "none"},
      {Builtin::hex, {Value::bytes("\x0f\xa0")}, "\"0fa0\""},
      {Builtin::sha256, {Value::bytes("")}, "bytes 47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="},
      {Builtin::decode, {text(" { \"b\" : 1.50 , \"a\":[ ] } ")}, "json {\"a\":[],\"b\":1.50}"},
      {Builtin::decode, {text("{")}, "Invalid: this is no JSON: object without end at byte 1"},
      {Builtin::parse_json, {text("[1]")}, "json [1]"},
      {Builtin::parse_json, {text("[1")}, "none"},
      {Builtin::extract_json, {text("[1] says ```json\n{\"a\": 2}\n``` ok")}, "json {\"a\":2}"},
      {Builtin::extract_json, {text("[1] says {\"a\": {}} ok")}, "json {\"a\":{}}"},
      {Builtin::extract_json, {text("so [1, 2] it is")}, "json [1,2]"},
      {Builtin::extract_json, {text("``` { ```")}, "none"},
      {Builtin::decimal_of_int, {number(-5)}, "-5"},
      {Builtin::decimal_of_float, {real(0.1)}, "0.1"},
      {Builtin::decimal_of_float, {real(1e-7)}, "0.0000001"},
      {Builtin::decimal_of_float, {real(2e20)}, "200000000000000000000"},
      {Builtin::decimal_of_float,
       {real(1e40)},
       "Fault: `decimal`: the result has more than 33 digits"},
      {Builtin::decimal_of_text, {text("12.50")}, "12.5"},
      {Builtin::decimal_of_text,
       {text("1,5")},
       "Invalid: this is no decimal of at most 33 digits: 1,5"},
      {Builtin::parse_decimal, {text("-0.010")}, "-0.01"},
      {Builtin::parse_decimal, {text("01")}, "none"},
      {Builtin::abs_decimal, {money("-1.5")}, "1.5"},
      {Builtin::sum_decimal, {list({money("0.1"), money("0.2")})}, "0.3"},
      {Builtin::round_decimal, {money("-2.5")}, "-3"},
      {Builtin::round_decimal, {money("2.49")}, "2"},
      {Builtin::round_decimal_to, {money("2.345"), number(2)}, "2.35"},
      {Builtin::round_decimal_to,
       {money("1"), number(34)},
       "Fault: `round`: the number of places is not within 0..33"},
      {Builtin::floor_decimal, {money("-2.1")}, "-3"},
      {Builtin::ceil_decimal, {money("2.1")}, "3"},
      {Builtin::divide, {money("1"), money("3"), number(4)}, "0.3333"},
      {Builtin::divide, {money("2"), money("3"), number(4)}, "0.6667"},
      {Builtin::divide, {money("-1"), money("8"), number(2)}, "-0.13"},
      {Builtin::divide, {money("1"), money("0"), number(2)}, "Fault: `divide`: division by zero"},
      {Builtin::fixed, {money("12.5"), number(2)}, "\"12.50\""},
      {Builtin::fixed, {money("0.005"), number(2)}, "\"0.01\""},
      {Builtin::float_of_decimal, {money("0.1")}, "0.1"},
      {Builtin::timestamp_of_text, {text("1970-01-01T00:00:01Z")}, "1970-01-01T00:00:01Z"},
      {Builtin::timestamp_of_text, {text("today")}, "Invalid: this is no RFC 3339 time: today"},
      {Builtin::timestamp_of_ms, {number(-1)}, "1969-12-31T23:59:59.999Z"},
      {Builtin::timestamp_of_ms,
       {number(INT64_MAX)},
       "Fault: `timestamp`: the result does not fit in 64 bits"},
      {Builtin::parse_timestamp, {text("2026-01-01T01:00:00+01:00")}, "2026-01-01T00:00:00Z"},
      {Builtin::parse_timestamp, {text("2026-13-01T00:00:00Z")}, "none"},
      {Builtin::epoch_ms, {us(-1)}, "-1"},
      {Builtin::epoch_ms, {us(1999)}, "1"},
      {Builtin::parse_duration, {text("250ms")}, "250ms"},
      {Builtin::parse_duration, {text("soon")}, "none"},
  };
  return rows;
}

const std::vector<Row>& shape_rows() {
  static const std::vector<Row> rows = {
      {Builtin::index_of_text, {text("gr\xc3\xbcn"), text("n")}, "3"},
      {Builtin::index_of_text, {text("a"), text("b")}, "none"},
      {Builtin::chars, {text("g\xc3\xbc")}, "[\"g\", \"\xc3\xbc\"]"},
      {Builtin::flatten, {list({list({number(1)}), list({}), list({number(2)})})}, "[1, 2]"},
      {Builtin::chunks, {list({number(1), number(2), number(3)}), number(2)}, "[[1, 2], [3]]"},
      {Builtin::chunks,
       {list({}), number(0)},
       "Fault: `chunks`: the size of the pieces is less than 1"},
      {Builtin::sort_by_float,
       {list({text("a"), text("b")}), list({real(2), real(1)})},
       "[\"b\", \"a\"]"},
      {Builtin::sort_by_int,
       {list({text("a"), text("b")}), list({number(1), number(1)})},
       "[\"a\", \"b\"]"},
      {Builtin::sort_by_int,
       {list({text("a")}), list({})},
       "Fault: `sort_by`: there are 1 elements and 0 keys"},
      {Builtin::sort_by_string,
       {list({number(1), number(2)}), list({text("z"), text("y")})},
       "[2, 1]"},
      {Builtin::sort_by_decimal,
       {list({number(1), number(2)}), list({money("0.2"), money("0.10")})},
       "[2, 1]"},
      {Builtin::sort_by_timestamp, {list({number(1), number(2)}), list({us(2), us(1)})}, "[2, 1]"},
      {Builtin::zip,
       {list({text("b"), text("a")}), list({number(1), number(2)})},
       "[\"a\": 2, \"b\": 1]"},
      {Builtin::zip, {list({text("b")}), list({})}, "Fault: `zip`: there are 1 keys and 0 values"},
      {Builtin::sqrt, {real(9)}, "3"},
      {Builtin::sqrt, {real(-1)}, "Fault: `sqrt`: the number is below zero"},
      {Builtin::pow, {number(-2), number(63)}, "-9223372036854775808"},
      {Builtin::pow, {number(2), number(63)}, "Fault: `pow`: the result does not fit in 64 bits"},
      {Builtin::pow, {number(2), number(-1)}, "Fault: `pow`: the exponent is negative"},
  };
  return rows;
}

TEST(Builtins, every_one_does_what_its_row_says) {
  std::set<Builtin> seen;
  for (const std::vector<Row>* rows :
       {&text_rows(), &number_rows(), &collection_rows(), &exact_rows(), &shape_rows()}) {
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
                         money("1.5"),
                         Value::json("[1]"),
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
