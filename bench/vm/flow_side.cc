#include <fmt/format.h>

#include <fstream>
#include <sstream>
#include <stdexcept>

#include "bench/vm/sides.hpp"
#include "compiler/compile.hpp"
#include "vm/run.hpp"

namespace sluice::bench {
namespace {

std::shared_ptr<const vm::VerifiedProgram> compiled(const std::string& file) {
  std::stringstream text;
  std::ifstream stream(file);
  if (!(text << stream.rdbuf())) throw std::runtime_error(file + " cannot be read");
  compiler::SourceSet sources;
  sources.add(file, "bench", text.str());
  compiler::Diagnostics diagnostics;
  auto result = compiler::compile(sources, diagnostics);
  if (!result.artifact) {
    std::string findings = file + " does not compile:";
    for (const auto& each : diagnostics.items()) findings += "\n  " + each.message;
    throw std::runtime_error(findings);
  }
  auto program = vm::load_artifact(*result.artifact);
  if (!program) throw std::runtime_error(program.error().message);
  return *program;
}

class FlowSide : public Side {
 public:
  explicit FlowSide(const std::string& file) : unit_(compiled(file)) {}

  std::string run(const Input& input) override {
    commands_.clear();
    vm::Run run(unit_, 0, {vm::Value::integer(input.n), vm::Value::string(input.text)},
                {"01890a5d-ac96-774b-bcce-b302099a8057", "ann", "acme"});
    run.begin(commands_);
    const auto* end = commands_.empty() ? nullptr : std::get_if<vm::Finish>(&commands_.back());
    if (end == nullptr || !end->event) throw std::runtime_error("the flow did not answer");
    return std::string(end->value.elements()[0].as_text());
  }

 private:
  vm::Unit unit_;
  vm::Commands commands_;
};

}  // namespace

std::unique_ptr<Side> flow_side(const std::string& file) {
  return std::make_unique<FlowSide>(file);
}

}  // namespace sluice::bench
