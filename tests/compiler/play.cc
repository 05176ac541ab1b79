#include "tests/compiler/play.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "compiler/compile.hpp"
#include "tests/vm/program_fixture.hpp"
#include "vm/evaluator.hpp"
#include "vm/json.hpp"

namespace sluice::compiler::testing {

namespace {

std::string describe_all(const SourceSet& sources, const Diagnostics& diagnostics) {
  std::string text;
  for (const Diagnostic& each : diagnostics.items()) {
    const Position at = sources.file(each.span.file).position(each.span.begin);
    text += fmt::format("{} {} {}:{} {}\n", each.severity == Severity::kError ? "error" : "warning",
                        info(each.code).name, at.line, at.column, each.message);
  }
  return text;
}

// A signal; whether the run takes it is as the line says.
void bring(vm::testing::Driver& driver, const std::string& event, const std::string& json,
           bool taken, const std::string& line) {
  const vm::Program& program = driver.unit.program();
  const auto index = vm::find_by_name(program.events, event);
  ASSERT_TRUE(index.has_value()) << line;
  vm::TypeTable types = program.types;
  auto value = vm::decode_json(types, types.record_type(program.events[*index].record), json);
  ASSERT_TRUE(value.has_value()) << line;
  EXPECT_EQ(driver.signal({*index, std::nullopt, std::move(*value)}), taken) << line;
}

// Settles one step as a line of the script says.
void settle(vm::testing::Driver& driver, const std::string& line) {
  const std::size_t space = line.find(' ');
  const std::string path = line.substr(0, space);
  const char how = line[space + 1];
  const std::string rest = line.size() > space + 3 ? line.substr(space + 3) : "";
  if (how == '^') {
    EXPECT_TRUE(driver.fire(static_cast<std::uint32_t>(std::stoul(path)))) << line;
    return;
  }
  if (how == '.') {
    driver.cancel();
    return;
  }
  if (how == '<' || how == '#') return bring(driver, path, rest, how == '<', line);
  if (how == '!' || how == '?') {
    driver.fail(path, rest, how == '?');
    return;
  }
  const vm::Program& program = driver.unit.program();
  for (const auto& open : driver.run.open_steps()) {
    if (open.path != path) continue;
    const vm::TypeId type = program.tasks[program.steps[open.site_index].task].result;
    auto value = vm::decode_json(program.types, type, rest);
    ASSERT_TRUE(value.has_value()) << line;
    driver.succeed(path, std::move(*value));
    return;
  }
  ADD_FAILURE() << path << " is not open";
}

}  // namespace

std::shared_ptr<const vm::VerifiedProgram> compile_text(std::string_view text) {
  SourceSet sources;
  sources.add("play.flow", "play", std::string(text));
  Diagnostics diagnostics;
  const CompileResult result = compile(sources, diagnostics);
  if (!result.artifact) {
    ADD_FAILURE() << describe_all(sources, diagnostics) << text;
    return nullptr;
  }
  auto verified = vm::load_artifact(*result.artifact);
  if (!verified) {
    ADD_FAILURE() << verified.error().message << "\n" << text;
    return nullptr;
  }
  return *verified;
}

std::string findings(const std::vector<std::pair<std::string, std::string>>& files) {
  SourceSet sources;
  for (const auto& [path, text] : files) sources.add(path, text);
  Diagnostics diagnostics;
  compile(sources, diagnostics);
  return describe_all(sources, diagnostics);
}

std::string value_of(std::string_view type, std::string_view expr, std::string_view declarations) {
  const auto program =
      compile_text(fmt::format("{}\nfn it() -> {} = {}\n", declarations, type, expr));
  if (program == nullptr) return "does not compile";
  const auto& functions = program->program().functions;
  std::uint32_t index = 0;
  while (functions[index].name != "play.it") ++index;
  vm::Unit unit(program);
  const auto value = vm::evaluate(unit, index, {});
  if (!value) return value.error().kind + ": " + value.error().message;
  return vm::describe(unit.types(), *value);
}

std::string play(std::string_view text, std::string_view arguments,
                 const std::vector<std::string>& script) {
  const auto program = compile_text(text);
  if (program == nullptr) return "does not compile";
  std::vector<vm::JsonParameter> parameters;
  for (const vm::Parameter& each : program->program().flows[0].parameters) {
    parameters.push_back({each.name, each.type});
  }
  auto values = vm::decode_json_parameters(program->program().types, parameters, arguments);
  if (!values) return "arguments: " + values.error()[0].message;
  vm::testing::Driver driver(program, 0, std::move(*values));
  driver.begin();
  std::string log = driver.log();
  for (const std::string& line : script) {
    driver.restore();
    settle(driver, line);
    log += driver.log();
  }
  return log;
}

}  // namespace sluice::compiler::testing
