// What a suspended run of the support example costs to keep.
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "tests/compiler/play.hpp"
#include "vm/json.hpp"

namespace sluice::compiler::testing {
namespace {

constexpr std::size_t kSnapshotBytesMax = 1024;

constexpr std::string_view kQuestion =
    R"({"text":"How do I change the address on my invoice? I moved last month, and the old )"
    R"(invoice is already paid. Can you send it to me again with the new address, please?"})";

TEST(SnapshotSize, of_a_suspended_run_of_the_support_example) {
  std::stringstream text;
  text << std::ifstream(SLUICE_SOURCE_DIR "/examples/support/support.flow").rdbuf();
  // The tests' module has another name.
  const std::string source = text.str();
  const auto verified = compile_text(source.substr(source.find('\n')));
  ASSERT_NE(verified, nullptr);
  const vm::Program& program = verified->program();
  auto ask = vm::decode_json(program.types, program.flows[0].parameters[0].type, kQuestion);
  ASSERT_TRUE(ask.has_value());
  vm::Unit unit(verified);
  vm::Run run(unit, 0, {*ask}, {"01890a5d-ac96-774b-bcce-b302099a8057", "ann", "acme"});
  vm::Commands commands;
  run.begin(commands);
  int suspensions = 0;
  while (run.phase() == vm::Phase::running && suspensions < 20) {
    ++suspensions;
    EXPECT_LE(run.snapshot().size(), kSnapshotBytesMax) << "waiting for the " << suspensions << ".";
    const auto steps = run.open_steps();
    ASSERT_FALSE(steps.empty());
    const vm::TypeId result = program.tasks[program.steps[steps[0].site_index].task].result;
    run.step_succeeded(steps[0].id, vm::smallest_value(program.types, result), commands);
  }
  EXPECT_GE(suspensions, 3) << "the example has several steps";
  EXPECT_EQ(run.phase(), vm::Phase::ended);
}

}  // namespace
}  // namespace sluice::compiler::testing
