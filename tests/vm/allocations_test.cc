#include <gtest/gtest.h>

#include <cstdlib>

#include "tests/vm/program_fixture.hpp"
#include "vm/evaluator.hpp"

// Scalar code allocates nothing: malloc is counted. A program of its own, because it puts its own
// malloc in the place of the library's.
extern "C" void* __libc_malloc(std::size_t size) noexcept;
extern "C" void* __libc_realloc(void* memory, std::size_t size) noexcept;

namespace {
std::size_t allocations = 0;
}

extern "C" void* malloc(std::size_t size) noexcept {
  ++allocations;
  return __libc_malloc(size);
}
extern "C" void* realloc(void* memory, std::size_t size) noexcept {
  ++allocations;
  return __libc_realloc(memory, size);
}

namespace sluice::vm::testing {
namespace {

constexpr int64_t kRounds = 1000;

// Emits a loop of kRounds around what `body` emits; its value is register 0.
uint32_t looping(ProgramBuilder& p, const std::function<void(FunctionBuilder&)>& body) {
  return p.function("loop", FunctionKind::pure, 0, [&](FunctionBuilder& f) {
    f.allocate(24);
    f.emit_imm(Op::load_int, {0}, 7);
    f.emit_wide(Op::load_const, {1}, p.constants.add(Value::floating(1.5)));
    f.emit_wide(Op::load_const, {2}, p.constants.add(Value::duration(250)));
    f.emit_wide(Op::load_const, {3}, p.constants.add(Value::timestamp(1)));
    f.emit_flag(Op::load_bool, {4}, true);
    f.emit_wide(Op::load_const, {5}, p.constants.add(Value::enumeration(0, 1)));
    f.emit_imm(Op::load_int, {21}, 1);
    f.emit_imm(Op::load_int, {22}, static_cast<int32_t>(kRounds));
    Label top = f.make_label(), next = f.make_label();
    f.emit_jump(Op::jump, next);
    f.bind(top);
    body(f);
    f.bind(next);
    f.emit_jump(Op::int_loop, {20}, top);
    f.emit(Op::ret, {0});
  });
}

std::size_t allocations_of(ProgramBuilder& p, uint32_t function) {
  Unit unit(p.verified());
  const std::size_t before = allocations;
  auto value = evaluate(unit, function, {});
  const std::size_t made = allocations - before;
  EXPECT_TRUE(value) << value.error().message;
  return made;
}

TEST(Allocations, scalar_code_makes_none) {
  ProgramBuilder p;
  p.program.types.enums.push_back({"Colour", {{"red", {}}, {"green", {}}}});
  const uint32_t twice = p.function("twice", FunctionKind::pure, 1, [](FunctionBuilder& f) {
    f.emit(Op::add_int, f.parameter(0), f.parameter(0), f.parameter(0));
    f.emit(Op::ret, f.parameter(0));
  });
  const uint32_t loop = looping(p, [&](FunctionBuilder& f) {
    Label past = f.make_label();
    f.emit(Op::mul_int, {6}, {20}, {20});
    f.emit_short(Op::rem_imm, {6}, {6}, 13);
    f.emit_indexed(Op::call, {7}, {6}, twice);
    f.emit(Op::mul_float, {8}, {1}, {1});
    f.emit(Op::div_float, {8}, {8}, {1});
    for (Op op : {Op::add_float_const, Op::mul_float_const, Op::div_float_const,
                  Op::const_sub_float, Op::const_div_float}) {
      f.emit_indexed(op, {8}, {1}, p.constants.add(Value::floating(0.5)));
    }
    f.emit(Op::add_time, {9}, {2}, {2});
    f.emit(Op::add_time, {10}, {3}, {9});
    f.emit(Op::not_bool, {11}, {4});
    f.emit(Op::less, {12}, {8}, {1});
    f.emit(Op::equal, {13}, {6}, {7});
    f.emit(Op::neg_int, {14}, {7});
    f.emit_indexed(Op::builtin, {15}, {14}, static_cast<uint32_t>(Builtin::abs_int));
    f.emit_indexed(Op::builtin, {16}, {15}, static_cast<uint32_t>(Builtin::to_float));
    f.emit_indexed(Op::make_enum, {17}, {6}, 0, 0);
    f.emit_indexed(Op::skip_if_case, {17}, {0}, 1);
    f.emit_jump(Op::jump, past);
    f.emit(Op::load_none, {18});
    f.bind(past);
    f.emit(Op::move, {0}, {15});
  });
  EXPECT_EQ(allocations_of(p, loop), 0U);
}

// That it is counted at all.
TEST(Allocations, of_texts_are_seen) {
  ProgramBuilder p;
  const uint32_t loop = looping(p, [](FunctionBuilder& f) { f.emit(Op::to_text, {6}, {20}); });
  EXPECT_GE(allocations_of(p, loop), static_cast<std::size_t>(kRounds));
}

}  // namespace
}  // namespace sluice::vm::testing
