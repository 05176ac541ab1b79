// What a `deadline` means for the steps in it.
#include <gtest/gtest.h>

#include "tests/core/driver.hpp"
#include "vm/builder.hpp"
#include "vm/verifier.hpp"

namespace sluice::core::test {
namespace {

using vm::Op;

// deadline OUTER { deadline INNER { step s1 } else {} } else {}
std::shared_ptr<const vm::VerifiedProgram> nested(std::int64_t outer_ms, std::int64_t inner_ms) {
  Pipeline pipeline;
  pipeline.steps.resize(1);
  vm::Program made = make_program(pipeline);
  vm::ConstantPool constants(made);
  vm::FunctionBuilder b("flow", vm::FunctionKind::flow, 1, made.flows[0].name);
  const vm::Register text = b.allocate(), length = b.allocate();
  const vm::Register outer = b.allocate(), inner = b.allocate();
  b.emit_indexed(Op::get_field, text, b.parameter(0), 0);
  const vm::Label begin = b.make_label(), within = b.make_label(), end = b.make_label();
  const vm::Label late = b.make_label();
  b.emit_wide(Op::load_const, length, constants.add(vm::Value::duration(outer_ms)));
  b.emit(Op::start_deadline, outer, length);
  b.bind(begin);
  b.emit_wide(Op::load_const, length, constants.add(vm::Value::duration(inner_ms)));
  b.emit(Op::start_deadline, inner, length);
  b.bind(within);
  b.emit_indexed(Op::step, text, text, 1);
  b.bind(end);
  b.bind(late);
  const vm::Register answer = b.allocate();
  b.emit_indexed(Op::make_record, answer, text, made.events[1].record);
  b.emit_finish(answer, 1);
  b.add_handler(within, end, late, inner, vm::Handler::kHandlerDeadline);
  b.add_handler(begin, end, late, outer, vm::Handler::kHandlerDeadline);
  made.functions[made.flows[0].function] = b.finish().value();
  return vm::verify(std::move(made)).value();
}

TEST(Deadline, TheShortestRoundAStepIsItsWorkers) {
  const std::int64_t rows[][2] = {{2000, 10'000}, {10'000, 2000}};
  for (const auto& [outer, inner] : rows) {
    Driver driver;
    driver.programs.add(1, nested(outer, inner));
    const Offer offer = only<Offer>(driver.publish("ada", "1"));
    EXPECT_EQ(offer.step_deadline, driver.now + 2000 * kMs) << outer << " round " << inner;
  }
}

}  // namespace
}  // namespace sluice::core::test
