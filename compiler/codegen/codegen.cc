#include "compiler/codegen/codegen.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "compiler/codegen/generator.hpp"

namespace sluice::compiler {

using namespace ir;

namespace {

// Names in an artifact are for people; one that is too long keeps its end.
std::string shortened(std::string name) {
  if (name.size() <= vm::kNameBytesMax) return name;
  std::size_t from = name.size() - (vm::kNameBytesMax - 3);
  while (from < name.size() && (static_cast<unsigned char>(name[from]) & 0xC0) == 0x80) ++from;
  return "..." + name.substr(from);
}

// Pieces of straight code, as the verifier of an engine will count them.
std::uint64_t count_blocks(const vm::Function& function) {
  std::vector<bool> leads(function.code.size() + 1);
  leads[0] = true;
  for (std::uint32_t pc = 0; pc < function.code.size(); ++pc) {
    const vm::Instruction& instruction = function.code[pc];
    const vm::OpInfo* row = vm::op_info(instruction.op);
    const bool jumps = vm::may_jump(instruction.op), skips = vm::may_skip(instruction.op);
    if (jumps) leads[instruction.wide()] = true;
    if (skips) leads[pc + 2] = true;
    if (jumps || skips || row->effect == vm::Effect::ends) {
      leads[pc + 1] = true;
    }
  }
  for (const vm::Handler& handler : function.handlers) {
    leads[handler.begin_pc] = leads[handler.end_pc] = leads[handler.handler_pc] = true;
  }
  return static_cast<std::uint64_t>(std::count(leads.begin(), leads.end(), true));
}

}  // namespace

FunctionCode::FunctionCode(Generator& generator, std::string name, vm::FunctionKind kind,
                           std::uint16_t parameters, std::string segment)
    : generator_(generator),
      builder_(shortened(name), kind, parameters, std::move(segment)),
      name_(std::move(name)),
      kind_(kind) {}

Generator::Generator(const Program& program, const SourceSet& sources, Diagnostics& diagnostics,
                     const CompileOptions& options)
    : program_(program),
      sources_(sources),
      diagnostics_(diagnostics),
      options_(options),
      constants_(out_) {}

void Generator::too_large(Span span, const std::string& what) {
  diagnostics_.report(Code::E0321, span, what)
      .because("an artifact is checked by every engine that runs it, so its parts have limits");
}

std::uint32_t Generator::reserve() {
  out_.functions.emplace_back();
  return static_cast<std::uint32_t>(out_.functions.size() - 1);
}

void Generator::put(std::uint32_t index, vm::FunctionBuilder& builder, Span span) {
  auto function = builder.finish();
  if (!function) {
    too_large(span, fmt::format("this is too large to compile: {}", function.error()));
    return;
  }
  const std::uint64_t registers = std::max<std::uint64_t>(function->registers, 64);
  if (count_blocks(*function) * registers > vm::kDataflowBitsMax) {
    too_large(span, "this has too many names and branches for one piece of code");
  }
  out_.functions[index] = std::move(*function);
}

// Files in the order of their modules' names, so that the order in which they were given does not
// show.
void Generator::list_sources() {
  for (const Module& module : program_.modules) {
    files_.emplace(module.file, static_cast<std::uint32_t>(out_.sources.size()));
    // The module's own path, wherever the file was found: the same program has the same bytes.
    std::string path = module.name;
    std::replace(path.begin(), path.end(), '.', '/');
    out_.sources.push_back(shortened(path + ".flow"));
  }
}

void Generator::number_functions() {
  for (const FnDef& fn : program_.fns) fns_.emplace(&fn, reserve());
  for (const FlowDef& flow : program_.flows) {
    flows_.emplace(&flow, static_cast<std::uint32_t>(flows_.size()));
  }
}

void Generator::functions() {
  for (const FnDef& fn : program_.fns) {
    FunctionCode code(*this, fn.module->name + "." + fn.name, vm::FunctionKind::pure,
                      static_cast<std::uint16_t>(fn.locals.size()));
    for (std::uint32_t i = 0; i < fn.locals.size(); ++i) code.bind(fn.locals[i], {i});
    code.pure_body(*fn.body);
    put(fns_.at(&fn), code.builder(), fn.tree->name.span);
  }
  for (const FlowDef& def : program_.flows) flow(def);
}

vm::Concurrency Generator::concurrency(const FlowDef& def) {
  const ConcurrencyDef& from = *def.concurrency;
  vm::Concurrency made;
  made.runs = static_cast<std::uint32_t>(from.runs);
  made.overload = from.overload;
  made.waiting = static_cast<std::uint32_t>(from.waiting);
  made.per = from.per;
  if (from.key != nullptr) {
    made.key_function = key_function(def.name + " key", *from.key, def.locals);
  }
  return made;
}

void Generator::flow(const FlowDef& def) {
  vm::FlowInfo info;
  info.name = def.name;
  for (const FieldDef& parameter : def.parameters) {
    info.parameters.push_back({parameter.name, type(parameter.type)});
  }
  for (const RecordDef* outcome : def.outcomes) info.outcomes.push_back(event_of(*outcome));
  if (def.trigger != nullptr) info.trigger = topics_.at(def.trigger);
  if (def.timeout_ms) info.timeout_ms = static_cast<std::uint64_t>(def.timeout_ms->value);
  info.ttl_ms = static_cast<std::uint64_t>(def.ttl_ms);
  if (def.concurrency) info.concurrency = concurrency(def);
  if (def.limit) info.limit = limit(*def.limit, def.locals);
  info.schedule = def.schedule;
  const auto parameters = static_cast<std::uint16_t>(def.parameters.size());
  info.function = reserve();
  FunctionCode body(*this, def.name, vm::FunctionKind::flow, parameters, def.name);
  body.flow_body(def, def.body);
  put(info.function, body.builder(), def.tree->name.span);
  if (def.on_failure) {
    info.on_failure = reserve();
    FunctionCode handler(*this, def.name + "/on failure", vm::FunctionKind::handler,
                         static_cast<std::uint16_t>(parameters + 1));
    handler.flow_body(def, *def.on_failure);
    put(*info.on_failure, handler.builder(), def.tree->name.span);
  }
  out_.flows.push_back(std::move(info));
}

std::optional<vm::Program> Generator::run() {
  if (!check_limits()) return std::nullopt;
  std::set<std::string> features{"core"};
  for (const Unexecuted& each : program_.unexecuted) features.emplace(each.feature);
  out_.features.assign(features.begin(), features.end());
  list_sources();
  number_functions();
  types_of_data();
  events();
  topics();
  pools_and_tasks();
  functions();
  if (options_.tests) tests();
  if (diagnostics_.has_errors()) return std::nullopt;
  return std::move(out_);
}

std::optional<std::string> generate(
    const Program& program, const SourceSet& sources, Diagnostics& diagnostics,
    const CompileOptions& options, std::unordered_map<const Expr*, std::uint32_t>* test_functions) {
  Generator generator(program, sources, diagnostics, options);
  auto made = generator.run();
  if (!made) return std::nullopt;
  *test_functions = generator.test_functions();
  std::string bytes = vm::encode_artifact(*made);
  if (bytes.size() <= vm::kArtifactBytesMax) return bytes;
  diagnostics.report(Code::E0321, {program.modules.front().file, 0, 0},
                     fmt::format("the program is too large: its artifact has {} bytes, {} at most",
                                 bytes.size(), vm::kArtifactBytesMax));
  return std::nullopt;
}

}  // namespace sluice::compiler
