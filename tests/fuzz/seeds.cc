#include "tests/fuzz/seeds.hpp"

#include <fstream>
#include <string>

#include "tests/fuzz/drive.hpp"
#include "tests/vm/program_fixture.hpp"
#include "vm/json.hpp"

namespace sluice::fuzz {
namespace {

namespace fs = std::filesystem;
using vm::testing::Random;

void write(const fs::path& corpora, const char* target, const std::string& name,
           const std::string& content) {
  const fs::path folder = corpora / "corpus" / target;
  fs::create_directories(folder);
  std::ofstream(folder / name, std::ios::binary) << content;
}

std::string without_end(std::string bytes, std::size_t end) {
  bytes.resize(bytes.size() - end);
  return bytes;
}

// The program's artifact, and the snapshots of a run of it after each step that succeeds.
void write_program(const fs::path& corpora, std::uint8_t number) {
  constexpr std::size_t kSum = 32, kHash = 8;
  const auto program = program_of(number);
  const std::string name = "program" + std::to_string(number);
  write(corpora, "artifact", name, without_end(vm::encode_artifact(program->program()), kSum));
  vm::Unit unit(program);
  std::vector<vm::Value> arguments;
  for (const vm::Parameter& parameter : program->program().flows[0].parameters) {
    arguments.push_back(vm::smallest_value(program->program().types, parameter.type));
  }
  vm::Run run(unit, 0, arguments, {"run", "ann", "acme"});
  vm::Commands commands;
  run.begin(commands);
  for (int i = 0; i < 3 && run.phase() != vm::Phase::ended; ++i) {
    write(corpora, "snapshot", name + "-" + std::to_string(i),
          static_cast<char>(number) + without_end(run.snapshot(), kHash));
    const auto steps = run.open_steps();
    if (steps.empty()) return;
    const vm::TaskInfo& task =
        program->program().tasks[program->program().steps[steps[0].site_index].task];
    run.step_succeeded(steps[0].id, vm::smallest_value(program->program().types, task.result),
                       commands);
  }
}

}  // namespace

void write_seeds(const fs::path& corpora) {
  for (std::uint8_t number = 0; number < kPrograms; ++number) write_program(corpora, number);
  for (std::uint64_t seed = 1; seed <= 8; ++seed) {
    Random random(seed);
    std::string choices;
    for (int i = 0; i < 400; ++i) choices += static_cast<char>(random.below(256));
    write(corpora, "vm", "choices" + std::to_string(seed), choices);
  }
  Random random(7);
  const vm::TypeTable types = vm::testing::random_types(random);
  for (std::uint32_t type = 0; type < types.types.size(); ++type) {
    const vm::Value value = vm::testing::random_value_of(random, types, {type}, 3);
    std::string text{static_cast<char>(type), '\0'};
    vm::append_json(types, {type}, value, text);
    write(corpora, "json", "type" + std::to_string(type), text);
  }
}

}  // namespace sluice::fuzz
