#include "vm/evaluator.hpp"

#include <gtest/gtest.h>

#include "tests/vm/program_fixture.hpp"

namespace sluice::vm::testing {
namespace {

// Ask { text: string where len(text) in 1..3, tags: [Tag], by: {string: Tag}?, odd: int? where odd
// loops for ever } Tag { n: int where n < 10 / n }, so 0 faults
struct Constrained : ::testing::Test {
  ProgramBuilder p;
  TypeId ask;
  std::unique_ptr<Unit> unit;

  void SetUp() override {
    uint32_t short_text = p.function("short", FunctionKind::pure, 1, [&](FunctionBuilder& f) {
      Register n = f.allocate(), three = f.allocate();
      f.emit_indexed(Op::builtin, n, f.parameter(0), static_cast<uint32_t>(Builtin::len_string));
      f.emit_imm(Op::load_int, three, 3);
      f.emit(Op::less_equal, n, n, three);
      f.emit(Op::ret, n);
    });
    uint32_t small = p.function("small", FunctionKind::pure, 1, [&](FunctionBuilder& f) {
      Register ten = f.allocate();
      f.emit_imm(Op::load_int, ten, 10);
      f.emit(Op::div_int, ten, ten, f.parameter(0));
      f.emit(Op::less, ten, f.parameter(0), ten);
      f.emit(Op::ret, ten);
    });
    uint32_t endless = p.function("endless", FunctionKind::pure, 1, [&](FunctionBuilder& f) {
      Label again = f.make_label();
      f.bind(again);
      f.emit_jump(Op::jump, again);
    });
    uint32_t tag = p.record("Tag", {{"n", kTypeInt}});
    p.program.types.records[tag].fields[0].where_function = small;
    p.program.types.records[tag].fields[0].where_text = "n < 10 / n";
    TypeTable& types = p.program.types;
    TypeId tag_type = types.record_type(tag);
    uint32_t record = p.record("Ask", {{"text", kTypeString},
                                       {"tags", types.list_of(tag_type)},
                                       {"by", types.optional_of(types.map_of(tag_type))},
                                       {"odd", types.optional_of(kTypeInt)}});
    types.records[record].fields[0].where_function = short_text;
    types.records[record].fields[0].where_text = "len(text) in 1..3";
    types.records[record].fields[3].where_function = endless;
    ask = types.record_type(record);
    unit = std::make_unique<Unit>(p.verified());
  }

  std::string check(std::string_view json) {
    auto value = decode_checked(*unit, ask, json);
    if (value) return "ok";
    std::string all;
    for (const JsonProblem& problem : value.error()) {
      all += problem.path + ": " + problem.message + "\n";
    }
    return all;
  }
};

TEST_F(Constrained, hold_or_are_named_with_their_path) {
  EXPECT_EQ(check(R"({"text":"abc","tags":[{"n":1},{"n":2}]})"), "ok");
  EXPECT_EQ(check(R"({"text":"abcd","tags":[{"n":1},{"n":9}],"by":{"x/y":{"n":8}}})"),
            "/text: does not satisfy `where len(text) in 1..3`\n"
            "/tags/1/n: does not satisfy `where n < 10 / n`\n"
            "/by/x~1y/n: does not satisfy `where n < 10 / n`\n");
}

TEST_F(Constrained, that_fail_themselves_are_problems) {
  EXPECT_EQ(check(R"({"text":"a","tags":[{"n":0}]})"),
            "/tags/0/n: the constraint failed: division by zero\n");
  EXPECT_EQ(
      check(R"({"text":"a","tags":[],"odd":1})"),
      "/odd: the constraint failed: out of fuel: the run computes too long without waiting\n");
}

// One pass tells shapes and constraints, in the order of the document; what holds a part of the
// wrong shape is not asked, what stands beside it is.
TEST_F(Constrained, are_asked_of_what_has_its_shape_whatever_is_wrong_beside_it) {
  EXPECT_EQ(check(R"({"text":7,"tags":[]})"), "/text: expected a string, found a number\n");
  EXPECT_EQ(check(R"({"text":7,"tags":[{"n":9}]})"),
            "/text: expected a string, found a number\n"
            "/tags/0/n: does not satisfy `where n < 10 / n`\n");
  EXPECT_EQ(check(R"({"by":{"b":{"n":8},"a":{"n":"1"}},"tags":[{"n":9},{},{"n":1,"m":2}],)"
                  R"("text":"abcd","more":0})"),
            "/by/b/n: does not satisfy `where n < 10 / n`\n"
            "/by/a/n: expected an int, found a string\n"
            "/tags/0/n: does not satisfy `where n < 10 / n`\n"
            "/tags/1/n: is missing\n"
            "/tags/2/m: unknown field\n"
            "/text: does not satisfy `where len(text) in 1..3`\n"
            "/more: unknown field\n");
  EXPECT_EQ(check(R"({"text":"abcd","tags":[},"by":1})"),
            "/text: does not satisfy `where len(text) in 1..3`\n"
            "/tags/0: expected a value at byte 23\n");
}

// Box { tags: [Tag] where …, size: int = 9 where n < 10 / n }: the field around what does not fit.
TEST_F(Constrained, of_a_field_are_asked_if_all_it_holds_has_its_shape) {
  TypeTable& types = p.program.types;
  uint32_t never = p.function("never", FunctionKind::pure, 1, [](FunctionBuilder& f) {
    f.emit_flag(Op::load_bool, f.parameter(0), false);
    f.emit(Op::ret, f.parameter(0));
  });
  uint32_t box = p.record("Box", {{"tags", types.records[2].fields[1].type}, {"size", kTypeInt}});
  types.records[box].fields[1].default_value = encode_value(Value::integer(9));
  types.records[box].fields[0].where_function = never;
  types.records[box].fields[1].where_function = 1;
  types.records[box].fields[1].where_text = "n < 10 / n";
  ask = types.record_type(box);
  unit = std::make_unique<Unit>(p.verified());
  const std::string size = "/size: does not satisfy `where n < 10 / n`\n";
  EXPECT_EQ(check(R"({"tags":[]})"), "/tags: does not satisfy `where`\n" + size)
      << "a default is asked, too";
  EXPECT_EQ(check(R"({"tags":[{"n":"x"}],"size":1})"),
            "/tags/0/n: expected an int, found a string\n");
  EXPECT_EQ(check(R"({"tags":[{"n":9}],"size":1})"),
            "/tags/0/n: does not satisfy `where n < 10 / n`\n/tags: does not satisfy `where`\n");
}

TEST_F(Constrained, parameters_are_told_in_the_same_pass) {
  const std::vector<JsonParameter> wanted{{"ask", ask}, {"n", kTypeInt}};
  const auto told = [&](std::string_view json) {
    auto values = decode_parameters(*unit, wanted, json);
    return values ? "ok" : list_problems(values.error());
  };
  EXPECT_EQ(told(R"({"ask":{"text":"a","tags":[]},"n":1})"), "ok");
  EXPECT_EQ(told(R"({"ask":{"text":"","tags":[{"n":9}]},"n":"1"})"),
            "/ask/tags/0/n: does not satisfy `where n < 10 / n`; "
            "/n: expected an int, found a string");
}

TEST_F(Constrained, problems_are_bounded) {
  std::string json = R"({"text":"a","tags":[)";
  for (int i = 0; i < 100; ++i) json += std::string(i > 0 ? "," : "") + "{\"n\":9}";
  auto value = decode_checked(*unit, ask, json + "]}");
  ASSERT_FALSE(value);
  EXPECT_EQ(value.error().size(), kJsonProblemsMax);
  value = decode_checked(*unit, ask, json + R"(,{"n":""}],"by":0})");
  ASSERT_FALSE(value);
  EXPECT_EQ(value.error().size(), kJsonProblemsMax);
}

TEST(OrderKey, is_the_text_of_the_functions_value) {
  ProgramBuilder p;
  uint32_t record = p.record("Ask", {{"thread", kTypeInt}});
  p.event("Ask", record);
  uint32_t key = p.function("key", FunctionKind::pure, 1, [](FunctionBuilder& f) {
    f.emit_indexed(Op::get_field, f.parameter(0), f.parameter(0), 0);
    f.emit(Op::ret, f.parameter(0));
  });
  p.program.topics.push_back({"asks", 0, key, 0, 0});
  Unit unit(p.verified());
  EXPECT_EQ(order_key(unit, 0, Value::record(record, std::vector<Value>{Value::integer(42)})),
            "42");
  auto bad = order_key(unit, 0, Value::integer(1));
  ASSERT_FALSE(bad);
  EXPECT_EQ(bad.error().kind, "Fault");
}

}  // namespace
}  // namespace sluice::vm::testing
