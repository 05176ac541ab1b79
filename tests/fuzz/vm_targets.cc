// The machine: artifacts, snapshots, programs.
#include "tests/fuzz/drive.hpp"
#include "tests/fuzz/targets.hpp"
#include "tests/vm/program_fixture.hpp"
#include "vm/disasm.hpp"
#include "vm/hash.hpp"
#include "vm/wire.hpp"

namespace sluice::fuzz {
namespace {

using vm::testing::Random;

constexpr int kInputsMax = 12;

void spoil(Random& random, vm::Program& program) {
  vm::Function& function = program.functions[random.below(program.functions.size())];
  if (function.code.empty()) return;
  vm::Instruction& i = function.code[random.below(function.code.size())];
  switch (random.below(5)) {
    case 0:
      i.op = vm::kOps[random.below(vm::kOpCount)].op;
      return;
    case 1:
      i.a = static_cast<std::uint16_t>(random.below(24));
      return;
    case 2:
      i.b = static_cast<std::uint16_t>(random.below(24));
      return;
    case 3:
      i.c = static_cast<std::uint16_t>(random.below(24));
      return;
    default:
      i.x = static_cast<std::uint8_t>(random.below(24));
      return;
  }
}

}  // namespace

void artifact(std::string_view input) {
  std::string bytes(input);
  const vm::Sha256 sum = vm::sha256(bytes);
  bytes.append(reinterpret_cast<const char*>(sum.data()), sum.size());
  auto program = vm::decode_artifact(bytes);
  if (!program) {
    FUZZ_CHECK(!program.error().message.empty());
    return;
  }
  auto again = vm::decode_artifact(vm::encode_artifact(*program));
  FUZZ_CHECK(again.has_value() && *again == *program);
  FUZZ_CHECK(!vm::disassemble(*program).empty());
  auto verified = vm::verify(std::move(*program));
  if (!verified) {
    FUZZ_CHECK(!verified.error().message.empty());
    return;
  }
  evaluate_all(*verified);
  Random random(vm::hash64(input));
  drive_flow(random, *verified, kInputsMax);
}

void snapshot(std::string_view input) {
  if (input.empty()) return;
  vm::Unit unit(program_of(static_cast<std::uint8_t>(input[0])));
  std::string bytes(input.substr(1));
  vm::wire::put_fixed64(bytes, vm::hash64(bytes));
  auto run = vm::Run::restore(unit, bytes);
  if (!run) {
    FUZZ_CHECK(!run.error().message.empty());
    return;
  }
  FUZZ_CHECK(run->snapshot() == bytes);
  auto restored = vm::Run::restore(unit, bytes);
  FUZZ_CHECK(restored.has_value());
  Random random(vm::hash64(input));
  drive(random, unit, *run, *restored, kInputsMax);
}

void machine(std::string_view input) {
  Random random(input);
  vm::Program program = vm::testing::random_program(random);
  for (std::uint64_t n = random.below(3); n > 0; --n) spoil(random, program);
  auto verified = vm::verify(std::move(program));
  if (!verified) return;
  drive_flow(random, *verified, kInputsMax);
}

}  // namespace sluice::fuzz
