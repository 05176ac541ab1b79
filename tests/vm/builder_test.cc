#include "vm/builder.hpp"

#include <gtest/gtest.h>

namespace sluice::vm {
namespace {

TEST(Builder, equal_constants_are_one) {
  Program program;
  ConstantPool pool(program);
  EXPECT_EQ(pool.add(Value::integer(1)), 0U);
  EXPECT_EQ(pool.add(Value::string("1")), 1U);
  EXPECT_EQ(pool.add(Value::integer(1)), 0U);
  EXPECT_EQ(ConstantPool(program).add(Value::string("1")), 1U);
  EXPECT_EQ(program.constants.size(), 2U);
}

TEST(Builder, temporaries_are_used_again) {
  FunctionBuilder f("f", FunctionKind::pure, 2);
  EXPECT_EQ(f.allocate().index, 2U);
  uint32_t mark = f.mark();
  EXPECT_EQ(f.allocate(3).index, 3U);
  f.release_to(mark);
  EXPECT_EQ(f.allocate().index, 3U);
  f.emit(Op::ret_none);
  EXPECT_EQ(f.finish()->registers, 6);
}

TEST(Builder, labels_work_both_ways) {
  FunctionBuilder f("f", FunctionKind::pure, 0);
  Label back = f.make_label(), ahead = f.make_label();
  f.bind(back);
  f.emit_jump(Op::jump, ahead);
  f.emit_jump(Op::jump, back);
  f.bind(ahead);
  f.emit(Op::ret_none);
  auto function = f.finish();
  ASSERT_TRUE(function);
  EXPECT_EQ(function->code[0].wide(), 2U);
  EXPECT_EQ(function->code[1].wide(), 0U);
}

TEST(Builder, lines_are_told_once) {
  FunctionBuilder f("f", FunctionKind::pure, 0);
  f.at(0, 1, 1);
  f.at(0, 2, 1);
  f.emit(Op::nop);
  f.at(0, 2, 1);
  f.emit(Op::nop);
  f.at(0, 3, 1);
  f.emit(Op::ret_none);
  EXPECT_EQ(f.finish()->lines, (std::vector<LineEntry>{{0, 0, 2, 1}, {2, 0, 3, 1}}));
}

TEST(Builder, says_which_bound_is_exceeded) {
  struct Row {
    const char* error;
    void (*emit)(FunctionBuilder&);
  };
  const Row rows[] = {
      {"too many registers", [](FunctionBuilder& f) { f.allocate(70'000); }},
      {"too many registers", [](FunctionBuilder& f) { f.emit(Op::ret, {70'000}); }},
      {"too many captured values",
       [](FunctionBuilder& f) { f.emit_closure(Op::on_undo, 0, {0}, 256, 0); }},
      {"too many step sites", [](FunctionBuilder& f) { f.emit_site({0}, 70'000); }},
      {"label 0 was never bound",
       [](FunctionBuilder& f) { f.emit_jump(Op::jump, f.make_label()); }},
  };
  for (const Row& row : rows) {
    FunctionBuilder f("f", FunctionKind::pure, 0);
    row.emit(f);
    auto function = f.finish();
    ASSERT_FALSE(function) << row.error;
    EXPECT_EQ(function.error(), row.error);
  }
}

}  // namespace
}  // namespace sluice::vm
