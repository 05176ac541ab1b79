#include "vm/verifier.hpp"

#include <algorithm>
#include <map>

#include "vm/dataflow.hpp"
#include "vm/operands.hpp"
#include "vm/verifier_tables.hpp"

namespace sluice::vm {

const SuspensionPoint* FunctionFacts::suspension_at(uint32_t pc) const {
  auto at = std::lower_bound(suspensions.begin(), suspensions.end(), pc,
                             [](const SuspensionPoint& point, uint32_t p) { return point.pc < p; });
  return at != suspensions.end() && at->pc == pc ? &*at : nullptr;
}

namespace {

bool may_wait(FunctionKind kind) {
  return kind != FunctionKind::pure;
}

// Whether a function of that kind may leave, or act, by that instruction.
bool fits_kind(Op op, FunctionKind kind) {
  switch (op) {
    case Op::ret:
    case Op::ret_none:
      return kind == FunctionKind::pure || kind == FunctionKind::branch ||
             kind == FunctionKind::compensation;
    case Op::finish:
    case Op::finish_bare:
      return kind == FunctionKind::flow || kind == FunctionKind::branch ||
             kind == FunctionKind::handler;
    case Op::rethrow:
      return may_wait(kind);
    case Op::arm_unsure:
    case Op::on_undo:
    case Op::receive:
      return kind == FunctionKind::flow || kind == FunctionKind::branch;
    default: {
      Effect effect = op_info(op)->effect;
      return may_wait(kind) || effect == Effect::pure || effect == Effect::ends;
    }
  }
}

// Checks one function's code, instruction by instruction.
class CodeCheck {
 public:
  CodeCheck(const Program& program, const Function& function)
      : program_(program), function_(function) {}

  std::optional<CodeError> run() {
    if (function_.code.empty()) return CodeError{0, "has no code"};
    if (function_.parameters > function_.registers) return CodeError{0, "has too few registers"};
    const bool nameless = function_.kind == FunctionKind::flow && function_.segment.empty();
    if (nameless || function_.segment.find_first_of("/#") != std::string::npos) {
      return CodeError{0, "has a name unfit for a path"};
    }
    for (uint32_t pc = 0; pc < size(); ++pc) {
      if (const char* wrong = check(pc, function_.code[pc])) return CodeError{pc, wrong};
    }
    if (auto error = handlers()) return error;
    return lines();
  }

 private:
  uint32_t size() const { return static_cast<uint32_t>(function_.code.size()); }

  const char* check(uint32_t pc, const Instruction& i) const {
    const OpInfo* info = op_info(i.op);
    if (info == nullptr) return "unknown instruction";
    if (!fits_kind(i.op, function_.kind)) return "instruction does not fit the kind of function";
    if (const char* wrong = operands(pc, i, info->operands)) return wrong;
    RegisterUse use = register_use(program_, i);
    for (const RegisterRange& range : use.reads) {
      if (range.first + range.count > function_.registers && range.count > 0) {
        return "register out of range";
      }
    }
    for (const RegisterRange& range : use.writes) {
      if (range.first + range.count > function_.registers && range.count > 0) {
        return "register out of range";
      }
    }
    bool leaves = info->effect == Effect::ends || i.op == Op::jump;
    uint32_t furthest = pc + (may_skip(i.op) ? 2 : 1);
    if (!leaves && furthest >= size()) return "code runs off the end";
    return nullptr;
  }

  const char* operands(uint32_t pc, const Instruction& i, OperandKind kind) const {
    const TypeTable& types = program_.types;
    switch (kind) {
      case OperandKind::reg_const:
        return i.wide() < program_.constants.size() ? nullptr : "constant out of range";
      case OperandKind::reg_reg_float:
        return is_float(i.c) ? nullptr : "constant is no float";
      case OperandKind::target:
      case OperandKind::reg_target:
      case OperandKind::loop:
        return i.wide() < size() ? nullptr : "jump out of the function";
      case OperandKind::reg_regs_record:
        return i.c < types.records.size() ? nullptr : "record out of range";
      case OperandKind::reg_regs_enum:
        return i.c < types.enums.size() && i.x < types.enums[i.c].cases.size()
                   ? nullptr
                   : "enum case out of range";
      case OperandKind::reg_reg_type:
        return types.contains({i.c}) ? nullptr : "type out of range";
      case OperandKind::reg_regs_function:
        return is_function(i.c, FunctionKind::pure) ? nullptr : "calls no pure function";
      case OperandKind::reg_regs_builtin:
        return i.c < kBuiltinCount ? nullptr : "builtin out of range";
      case OperandKind::reg_regs_site:
      case OperandKind::reg_site:
        return i.c < program_.steps.size() ? nullptr : "step site out of range";
      case OperandKind::closure_site:
        return closure(pc, i);
      case OperandKind::branch:
        return is_function(i.a, FunctionKind::branch) && program_.functions[i.a].parameters == i.c
                   ? nullptr
                   : "spawns no branch of that many values";
      case OperandKind::reg_event_target:
        if (i.x >= kNotifyTargets) return "unknown target of a notify";
        return i.b < program_.events.size() ? nullptr : "event out of range";
      case OperandKind::reg_event:
        return i.b < program_.events.size() ? nullptr : "event out of range";
      case OperandKind::reg_regs_receive:
        return i.c < program_.receives.size() ? nullptr : "receive site out of range";
      case OperandKind::reg_topic:
        return i.b < program_.topics.size() ? nullptr : "topic out of range";
      case OperandKind::reg_regs_flow:
        if (i.x > 1) return "unknown client of a start";
        return i.c < program_.flows.size() ? nullptr : "flow out of range";
      case OperandKind::round:
        return i.a < kRoundKinds ? nullptr : "unknown kind of loop";
      default:
        return nullptr;
    }
  }

  const char* closure(uint32_t pc, const Instruction& i) const {
    if (i.c >= program_.steps.size()) return "step site out of range";
    if (!is_function(i.a, FunctionKind::compensation) ||
        program_.functions[i.a].parameters != i.x) {
      return "registers no compensation of that many values";
    }
    if (i.op != Op::arm_unsure) return nullptr;
    bool before_step =
        pc + 1 < size() && function_.code[pc + 1].op == Op::step && function_.code[pc + 1].c == i.c;
    return before_step ? nullptr : "arm_unsure does not stand before its step";
  }

  bool is_float(uint32_t constant) const {
    if (constant >= program_.constants.size()) return false;
    auto value = decode_value(program_.constants[constant]);
    return value && value->is(Kind::floating);
  }

  bool is_function(uint32_t index, FunctionKind kind) const {
    return index < program_.functions.size() && program_.functions[index].kind == kind;
  }

  std::optional<CodeError> handlers() const {
    if (!function_.handlers.empty() && !may_wait(function_.kind)) {
      return CodeError{0, "is pure and has a handler"};
    }
    for (const Handler& h : function_.handlers) {
      bool fits = h.begin_pc < h.end_pc && h.end_pc <= size() && h.handler_pc < size() &&
                  known_flags(h) &&
                  (h.failure_register == kNoRegister || h.failure_register < function_.registers);
      if (!fits) return CodeError{h.begin_pc, "has a malformed handler"};
    }
    return std::nullopt;
  }

  static bool known_flags(const Handler& h) {
    return h.flags == Handler::kHandlerFailure ||
           (h.flags == Handler::kHandlerDeadline && h.failure_register != kNoRegister);
  }

  std::optional<CodeError> lines() const {
    uint32_t last = 0;
    for (const LineEntry& line : function_.lines) {
      if (line.pc < last || line.pc >= size() || line.source >= program_.sources.size()) {
        return CodeError{line.pc, "has a malformed line table"};
      }
      last = line.pc;
    }
    return std::nullopt;
  }

  const Program& program_;
  const Function& function_;
};

}  // namespace

class Verifier {
 public:
  using Result = tl::expected<std::shared_ptr<const VerifiedProgram>, ArtifactError>;

  static Result run(Program program) {
    auto verified = std::make_shared<VerifiedProgram>();
    verified->program_ = std::move(program);
    Verifier verifier(*verified);
    if (auto error = verifier.check()) return tl::unexpected(std::move(*error));
    return std::shared_ptr<const VerifiedProgram>(std::move(verified));
  }

 private:
  explicit Verifier(VerifiedProgram& out) : out_(out), program_(out.program_) {}

  static ArtifactError invalid(std::string message) {
    return {ArtifactError::Code::invalid, std::move(message)};
  }

  std::optional<ArtifactError> check() {
    if (program_.isa != kIsa) {
      return ArtifactError{
          ArtifactError::Code::unsupported,
          "instruction set " + std::to_string(program_.isa) + " is not known here"};
    }
    if (program_.functions.size() > kFunctionsMax) return invalid("too many functions");
    if (auto problem = check_tables(program_)) return invalid(std::move(*problem));
    for (uint32_t f = 0; f < program_.functions.size(); ++f) {
      if (auto error = CodeCheck(program_, program_.functions[f]).run()) return at(f, *error);
    }
    for (uint32_t f = 0; f < program_.functions.size(); ++f) {
      auto facts = analyse_registers(program_, program_.functions[f]);
      if (!facts) return at(f, facts.error());
      facts->may_hold = may_hold(program_.functions[f]);
      out_.facts_.push_back(std::move(*facts));
    }
    if (auto error = measure_calls()) return error;
    name_paths();
    return std::nullopt;
  }

  ArtifactError at(uint32_t f, const CodeError& error) const {
    const Function& function = program_.functions[f];
    std::string message = "function `" + function.name + "` (" + std::to_string(f) + ") at " +
                          std::to_string(error.pc);
    for (size_t i = function.lines.size(); i-- > 0;) {
      const LineEntry& line = function.lines[i];
      if (line.pc > error.pc) continue;
      if (line.source >= program_.sources.size()) break;
      message += ", " + program_.sources[line.source] + ":" + std::to_string(line.line);
      break;
    }
    return invalid(message + ": " + error.message);
  }

  uint32_t may_hold(const Function& function) const {
    uint32_t end = function.parameters;
    for (const Instruction& i : function.code) {
      if (writes_flat(program_, i)) continue;
      for (const RegisterRange& range : register_use(program_, i).writes) {
        if (range.count > 0) end = std::max(end, range.first + range.count);
      }
    }
    return end;
  }

  // Depth and registers of the calls under each function, callees first. The walk keeps its own
  // stack, so that a long chain of calls is refused rather than followed by recursion.
  std::optional<ArtifactError> measure_calls() {
    enum class Mark : uint8_t { fresh, open, done };
    size_t count = program_.functions.size();
    std::vector<Mark> marks(count, Mark::fresh);
    std::vector<uint32_t> depth(count, 0);
    std::vector<std::pair<uint32_t, uint32_t>> stack;  // function, pc to look at next
    for (uint32_t root = 0; root < count; ++root) {
      if (marks[root] == Mark::fresh) stack.emplace_back(root, 0);
      while (!stack.empty()) {
        auto& [f, pc] = stack.back();
        marks[f] = Mark::open;
        const std::vector<Instruction>& code = program_.functions[f].code;
        while (pc < code.size() && code[pc].op != Op::call) ++pc;
        if (pc == code.size()) {
          marks[f] = Mark::done;
          stack.pop_back();
          continue;
        }
        uint32_t callee = code[pc].c;
        if (marks[callee] == Mark::open) {
          return at(f, {pc, "calls itself through " + program_.functions[callee].name});
        }
        if (marks[callee] == Mark::fresh) {
          stack.emplace_back(callee, 0);
          continue;
        }
        depth[f] = std::max(depth[f], depth[callee] + 1);
        uint32_t needed =
            program_.functions[callee].registers + out_.facts_[callee].stack_registers;
        out_.facts_[f].stack_registers = std::max(out_.facts_[f].stack_registers, needed);
        if (depth[f] > kCallDepthMax) return at(f, {pc, "calls too deeply"});
        if (needed > kStackRegistersMax) return at(f, {pc, "calls need too many registers"});
        ++pc;
      }
    }
    // A pure function may also be evaluated by itself.
    for (uint32_t f = 0; f < count; ++f) {
      uint32_t own = program_.functions[f].kind == FunctionKind::pure
                         ? program_.functions[f].registers
                         : uint32_t{0};
      out_.stack_registers_ = std::max(out_.stack_registers_, own + out_.facts_[f].stack_registers);
    }
    return std::nullopt;
  }

  void name_paths() {
    std::map<std::string_view, uint32_t> known;
    auto number = [&](const std::string& name) {
      return known.emplace(name, static_cast<uint32_t>(known.size())).first->second;
    };
    for (const StepSite& step : program_.steps) out_.site_names_.push_back(number(step.name));
    for (const Function& function : program_.functions) {
      out_.segment_names_.push_back(number(function.segment));
    }
  }

  VerifiedProgram& out_;
  const Program& program_;
};

tl::expected<std::shared_ptr<const VerifiedProgram>, ArtifactError> verify(Program program) {
  return Verifier::run(std::move(program));
}

tl::expected<std::shared_ptr<const VerifiedProgram>, ArtifactError> load_artifact(
    std::string_view bytes) {
  auto program = decode_artifact(bytes);
  if (!program) return tl::unexpected(std::move(program.error()));
  return verify(std::move(*program));
}

}  // namespace sluice::vm
