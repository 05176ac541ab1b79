#include "vm/disasm.hpp"

#include <algorithm>
#include <set>

#include "vm/operands.hpp"
#include "vm/text.hpp"

namespace sluice::vm {
namespace {

constexpr size_t kNameColumn = 13;  // width of the mnemonic

std::string number(uint64_t value) {
  return std::to_string(value);
}
std::string reg(uint32_t index) {
  return "r" + number(index);
}

std::string padded(std::string text, size_t width) {
  if (text.size() < width) text.append(width - text.size(), ' ');
  return text;
}

template <class Items>
std::string name_at(const Items& items, uint32_t index, std::string_view what) {
  if (index < items.size()) return items[index].name;
  return std::string(what) + "#" + number(index);
}

std::string arguments(uint32_t first, uint32_t count) {
  if (count == 0) return "()";
  if (count == 1) return "(" + reg(first) + ")";
  return "(" + reg(first) + ".." + reg(first + count - 1) + ")";
}

std::string target(uint32_t pc) {
  return "-> " + number(pc);
}

// One member per operand kind: `i` as text behind the mnemonic.
struct Operands {
  const Program& program;
  const Instruction& i;

  std::string none() const { return ""; }
  std::string reg_() const { return reg(i.a); }
  std::string reg_reg() const { return reg(i.a) + ", " + reg(i.b); }
  std::string reg_reg_reg() const { return reg_reg() + ", " + reg(i.c); }
  std::string constant(uint32_t index) const {
    std::string text = "#" + number(index);
    if (index >= program.constants.size()) return text;
    auto value = decode_value(program.constants[index]);
    if (!value) return text;
    std::string shown = describe(program.types, *value);
    if (shown.size() > 60) shown = std::string(cut_text(shown, 57)) + "...";
    return text + "  ; " + shown;
  }
  std::string reg_const() const { return reg(i.a) + ", " + constant(i.wide()); }
  std::string reg_reg_float() const { return reg_reg() + ", " + constant(i.c); }
  std::string reg_imm() const { return reg(i.a) + ", " + std::to_string(i.immediate()); }
  std::string reg_reg_imm() const { return reg_reg() + ", " + std::to_string(i.short_immediate()); }
  std::string skip_imm() const { return reg(i.a) + ", " + std::to_string(i.short_immediate()); }
  std::string skip_case() const { return reg(i.a) + ", case " + number(i.c); }
  std::string loop() const { return reg(i.a) + ", " + target(i.wide()); }
  std::string reg_flag() const { return reg(i.a) + (i.x != 0 ? ", true" : ", false"); }
  std::string target_() const { return target(i.wide()); }
  std::string reg_target() const { return reg(i.a) + ", " + target(i.wide()); }
  std::string reg_range() const { return reg(i.a) + ", " + arguments(i.b, i.c); }
  std::string reg_pairs() const { return reg(i.a) + ", " + arguments(i.b, 2U * i.c); }
  std::string reg_regs_record() const {
    size_t fields =
        i.c < program.types.records.size() ? program.types.records[i.c].fields.size() : 0;
    return reg(i.a) + ", " + name_at(program.types.records, i.c, "record") +
           arguments(i.b, static_cast<uint32_t>(fields));
  }
  std::string reg_reg_field() const { return reg_reg() + ", ." + number(i.c); }
  std::string reg_regs_enum() const {
    std::string text = reg(i.a) + ", " + name_at(program.types.enums, i.c, "enum") + ".";
    size_t fields = 0;
    if (i.c < program.types.enums.size() && i.x < program.types.enums[i.c].cases.size()) {
      const EnumCase& which = program.types.enums[i.c].cases[i.x];
      fields = which.fields.size();
      text += which.name;
    } else {
      text += number(i.x);
    }
    return text + arguments(i.b, static_cast<uint32_t>(fields));
  }
  std::string reg_reg_case() const { return reg_reg() + ", case " + number(i.c); }
  std::string reg_reg_type() const { return reg_reg() + ", " + program.types.name_of({i.c}); }
  std::string reg_regs_function() const {
    uint32_t parameters = i.c < program.functions.size() ? program.functions[i.c].parameters : 0;
    return reg(i.a) + ", " + name_at(program.functions, i.c, "function") +
           arguments(i.b, parameters);
  }
  std::string reg_regs_builtin() const {
    if (i.c >= kBuiltinCount) return reg(i.a) + ", builtin#" + number(i.c);
    const BuiltinInfo& info = kBuiltins[i.c];
    return reg(i.a) + ", " + std::string(info.symbol) + arguments(i.b, info.parameter_count);
  }
  std::string reg_regs_site() const {
    std::string text = reg(i.a) + ", " + site(i.c);
    if (i.c >= program.steps.size()) return text;
    const StepSite& step = program.steps[i.c];
    text += " = " + (step.flow ? "flow " + name_at(program.flows, *step.flow, "flow")
                               : name_at(program.tasks, step.task, "task"));
    return text + arguments(i.b, step_arguments(program, i.c));
  }
  std::string reg_topic() const { return reg(i.a) + ", " + name_at(program.topics, i.b, "topic"); }
  std::string reg_regs_flow() const {
    const uint32_t count = start_arguments(program, i);
    return reg(i.a) + ", " + name_at(program.flows, i.c, "flow") + arguments(i.b, count) +
           (i.x != 0 ? " for the last" : "");
  }
  std::string reg_regs_receive() const {
    std::string text = reg(i.a) + ", #" + number(i.c) + " ";
    if (i.c >= program.receives.size()) return text;
    const ReceiveSite& site = program.receives[i.c];
    uint32_t count = site.topic ? 2 : 1;
    if (site.filter && *site.filter < program.functions.size()) {
      count += std::max<uint32_t>(program.functions[*site.filter].parameters, 1) - 1;
    }
    return text + site.name + ": " + name_at(program.events, site.event, "event") +
           arguments(i.b, count);
  }
  std::string reg_site() const { return reg(i.a) + ", " + site(i.c); }
  std::string closure_site() const {
    return name_at(program.functions, i.a, "function") + arguments(i.b, i.x) + ", " + site(i.c);
  }
  std::string branch() const {
    return name_at(program.functions, i.a, "function") + arguments(i.b, i.c);
  }
  std::string join() const { return arguments(i.a, i.c); }
  std::string reg_event_target() const {
    static constexpr std::string_view kTargets[] = {"run's client", "client", "group", "run"};
    std::string text = reg_event() + ", ";
    text += i.x < kNotifyTargets ? kTargets[i.x] : "?";
    return i.x == static_cast<uint8_t>(NotifyTo::run_client) ? text : text + " " + reg(i.c);
  }
  std::string round() const {
    std::string_view word = i.a < kRoundKinds ? round_word(static_cast<RoundKind>(i.a)) : "?";
    return std::string(word) + " at " + number(i.x);
  }
  std::string depth() const { return number(i.x); }
  std::string race() const { return reg(i.a) + ", " + number(i.c); }
  std::string reg_event() const { return reg(i.a) + ", " + name_at(program.events, i.b, "event"); }

  std::string site(uint32_t index) const {
    return "#" + number(index) + " " + name_at(program.steps, index, "step");
  }
};

// Of what may go on elsewhere than behind itself.
std::string jump_text(const Operands& operands, OperandKind kind) {
  switch (kind) {
    case OperandKind::target:
      return operands.target_();
    case OperandKind::skip_imm:
      return operands.skip_imm();
    case OperandKind::skip_case:
      return operands.skip_case();
    case OperandKind::loop:
      return operands.loop();
    default:
      return operands.reg_target();
  }
}

std::string operands_text(const Program& program, const Instruction& i, OperandKind kind) {
  Operands operands{program, i};
  switch (kind) {
    case OperandKind::none:
      return operands.none();
    case OperandKind::reg:
      return operands.reg_();
    case OperandKind::reg_reg:
    case OperandKind::skip:
      return operands.reg_reg();
    case OperandKind::reg_reg_imm:
      return operands.reg_reg_imm();
    case OperandKind::reg_reg_float:
      return operands.reg_reg_float();
    case OperandKind::reg_reg_reg:
      return operands.reg_reg_reg();
    case OperandKind::reg_const:
      return operands.reg_const();
    case OperandKind::reg_imm:
      return operands.reg_imm();
    case OperandKind::reg_flag:
      return operands.reg_flag();
    case OperandKind::target:
    case OperandKind::reg_target:
    case OperandKind::skip_imm:
    case OperandKind::skip_case:
    case OperandKind::loop:
      return jump_text(operands, kind);
    case OperandKind::reg_range:
      return operands.reg_range();
    case OperandKind::reg_pairs:
      return operands.reg_pairs();
    case OperandKind::reg_regs_record:
      return operands.reg_regs_record();
    case OperandKind::reg_reg_field:
      return operands.reg_reg_field();
    case OperandKind::reg_regs_enum:
      return operands.reg_regs_enum();
    case OperandKind::reg_reg_case:
      return operands.reg_reg_case();
    case OperandKind::reg_reg_type:
      return operands.reg_reg_type();
    case OperandKind::reg_regs_function:
      return operands.reg_regs_function();
    case OperandKind::reg_regs_builtin:
      return operands.reg_regs_builtin();
    case OperandKind::reg_regs_site:
      return operands.reg_regs_site();
    case OperandKind::reg_site:
      return operands.reg_site();
    case OperandKind::closure_site:
      return operands.closure_site();
    case OperandKind::branch:
      return operands.branch();
    case OperandKind::join:
      return operands.join();
    case OperandKind::reg_event_target:
      return operands.reg_event_target();
    case OperandKind::reg_event:
      return operands.reg_event();
    case OperandKind::round:
      return operands.round();
    case OperandKind::depth:
      return operands.depth();
    case OperandKind::race:
      return operands.race();
    case OperandKind::reg_regs_receive:
      return operands.reg_regs_receive();
    case OperandKind::reg_topic:
      return operands.reg_topic();
    case OperandKind::reg_regs_flow:
      return operands.reg_regs_flow();
  }
  return "";
}

const char* kind_word(FunctionKind kind) {
  switch (kind) {
    case FunctionKind::pure:
      return "fn";
    case FunctionKind::flow:
      return "flow";
    case FunctionKind::branch:
      return "branch";
    case FunctionKind::compensation:
      return "compensation";
    case FunctionKind::handler:
      return "on failure";
  }
  return "function";
}

std::string duration_text(uint64_t ms) {
  std::string text;
  append_duration(static_cast<int64_t>(ms), text);
  return text;
}

std::string parameters_text(const Program& program, const std::vector<Parameter>& parameters) {
  std::string text = "(";
  for (size_t i = 0; i < parameters.size(); ++i) {
    if (i > 0) text += ", ";
    text += parameters[i].name + ": " + program.types.name_of(parameters[i].type);
  }
  return text + ")";
}

void append_types(const Program& program, std::string& out) {
  auto fields = [&](const std::vector<FieldType>& list) {
    for (size_t i = 0; i < list.size(); ++i) {
      out += i > 0 ? ", " : " ";
      out += list[i].name + ": " + program.types.name_of(list[i].type);
      if (!list[i].where_text.empty()) out += " where " + list[i].where_text;
    }
  };
  for (const RecordType& record : program.types.records) {
    out += "record " + record.name + " {";
    fields(record.fields);
    out += " }\n";
  }
  for (const EnumType& enumeration : program.types.enums) {
    out += "enum " + enumeration.name + " {";
    for (const EnumCase& which : enumeration.cases) {
      out += " " + which.name;
      if (which.fields.empty()) continue;
      out += '(';
      fields(which.fields);
      out += " )";
    }
    out += " }\n";
  }
}

std::string per_text(const Program& program, Per per, const std::optional<uint32_t>& function) {
  switch (per) {
    case Per::client:
      return " per client";
    case Per::tenant:
      return " per tenant";
    case Per::key:
      return " per " + (function ? name_at(program.functions, *function, "function") : "key");
  }
  return " per ?";
}

std::string limit_text(const Program& program, const std::optional<RateLimit>& limit) {
  if (!limit) return {};
  std::string text = " limit " + number(limit->count) + "/" + duration_text(limit->per_ms) +
                     per_text(program, limit->per, limit->key_function);
  if (limit->burst != 0) text += " burst " + number(limit->burst);
  return text;
}

std::string concurrency_text(const Program& program, const Concurrency& concurrency) {
  static constexpr const char* kWords[] = {"", " newest wins", " queue ", " reject", " joins"};
  std::string text = " concurrency " + number(concurrency.runs) +
                     per_text(program, concurrency.per, concurrency.key_function) +
                     kWords[static_cast<size_t>(concurrency.overload)];
  if (concurrency.overload == Overload::queue) text += number(concurrency.waiting);
  return text;
}

void append_tables(const Program& program, std::string& out) {
  for (const EventInfo& event : program.events) {
    out += "event " + event.name + " v" + number(event.version) + "\n";
    for (const EventUpgrade& upgrade : event.upgrades) {
      out += "  upgrade v" + number(upgrade.from) + " -> v" + number(upgrade.to) + " by " +
             name_at(program.functions, upgrade.function, "function") + "\n";
    }
  }
  for (const TopicInfo& topic : program.topics) {
    out += "topic " + topic.name + " of " + name_at(program.events, topic.event, "event");
    out += topic.order_function
               ? " ordered by " + name_at(program.functions, *topic.order_function, "function")
               : " ordered by client";
    out +=
        " dedupe " + duration_text(topic.dedupe_ms) + " retain " + duration_text(topic.retain_ms);
    if (topic.ttl_ms != 0) out += " ttl " + duration_text(topic.ttl_ms);
    out += limit_text(program, topic.limit) + "\n";
  }
  for (const PoolInfo& pool : program.pools) {
    out += "pool " + pool.name;
    if (pool.slots != 0) out += " slots " + number(pool.slots);
    out += "\n";
  }
  for (const TaskInfo& task : program.tasks) {
    out += "task " + task.name + parameters_text(program, task.parameters) + " -> " +
           program.types.name_of(task.result) + " in " + name_at(program.pools, task.pool, "pool") +
           "\n";
  }
  for (size_t i = 0; i < program.steps.size(); ++i) {
    const StepSite& step = program.steps[i];
    out += "step #" + number(i) + " " + step.name + " = " +
           name_at(program.tasks, step.task, "task") + ", attempts " + number(step.attempts);
    if (step.timeout_ms != 0) out += ", timeout " + duration_text(step.timeout_ms);
    if (step.within_ms != 0) out += ", within " + duration_text(step.within_ms);
    out += step.readonly     ? ", readonly"
           : step.idempotent ? ", idempotent"
           : step.keyed      ? ", keyed"
                             : "";
    if (step.priority != kPriorityNormal) {
      out += ", priority " + std::string(kPriorities[step.priority]);
    }
    if (const auto& breaker = step.breaker) {
      out += ", breaker " + number(breaker->percent) + "% of " + number(breaker->calls) +
             " within " + duration_text(breaker->within_ms) + " cooldown " +
             duration_text(breaker->cooldown_ms);
    }
    out += "\n";
  }
  for (size_t i = 0; i < program.receives.size(); ++i) {
    const ReceiveSite& site = program.receives[i];
    out += "receive #" + number(i) + " " + site.name + ": " +
           name_at(program.events, site.event, "event") + " from ";
    out += site.topic ? name_at(program.topics, *site.topic, "topic") : "client";
    if (site.filter) out += " where " + name_at(program.functions, *site.filter, "function");
    out += " in " + name_at(program.flows, site.flow, "flow") + "\n";
  }
  for (const FlowInfo& flow : program.flows) {
    out += "flow " + flow.name + parameters_text(program, flow.parameters);
    if (flow.trigger) out += " on " + name_at(program.topics, *flow.trigger, "topic");
    if (flow.schedule) {
      out += " on schedule \"" + flow.schedule->cron + "\" in \"" + flow.schedule->zone + "\"";
    }
    if (flow.timeout_ms != 0) out += " timeout " + duration_text(flow.timeout_ms);
    if (flow.ttl_ms != 0) out += " ttl " + duration_text(flow.ttl_ms);
    if (flow.concurrency) out += concurrency_text(program, *flow.concurrency);
    out += limit_text(program, flow.limit);
    out += "\n";
  }
}

}  // namespace

std::string disassemble(const Program& program, const Instruction& instruction) {
  const OpInfo* info = op_info(instruction.op);
  if (info == nullptr) return "?" + number(static_cast<uint8_t>(instruction.op));
  std::string operands = operands_text(program, instruction, info->operands);
  if (operands.empty()) return std::string(info->name);
  return padded(std::string(info->name), kNameColumn) + " " + operands;
}

std::string disassemble(const Program& program, const Function& function) {
  std::string out = std::string(kind_word(function.kind)) + " " + function.name + ": " +
                    number(function.parameters) + " parameters, " + number(function.registers) +
                    " registers\n";
  std::set<uint32_t> targets;
  for (const Instruction& i : function.code) {
    const OpInfo* info = op_info(i.op);
    if (info == nullptr) continue;
    if (info->operands == OperandKind::target || info->operands == OperandKind::reg_target) {
      targets.insert(i.wide());
    }
  }
  for (const Handler& handler : function.handlers) targets.insert(handler.handler_pc);
  size_t line = 0;
  for (uint32_t pc = 0; pc < function.code.size(); ++pc) {
    std::string row = targets.contains(pc) ? "> " : "  ";
    std::string address = number(pc);
    row += std::string(5 - std::min<size_t>(5, address.size()), ' ') + address + "  ";
    row += disassemble(program, function.code[pc]);
    while (line < function.lines.size() && function.lines[line].pc < pc) ++line;
    if (line < function.lines.size() && function.lines[line].pc == pc) {
      const LineEntry& entry = function.lines[line];
      row = padded(std::move(row), 60) + "  ; " +
            (entry.source < program.sources.size() ? program.sources[entry.source] : "?") + ":" +
            number(entry.line) + ":" + number(entry.column);
    }
    out += row + "\n";
  }
  for (const Handler& handler : function.handlers) {
    out += handler.flags == Handler::kHandlerDeadline ? "  deadline in " : "  failure in ";
    out +=
        number(handler.begin_pc) + ".." + number(handler.end_pc) + " " + target(handler.handler_pc);
    if (handler.failure_register != kNoRegister) out += " with " + reg(handler.failure_register);
    out += "\n";
  }
  return out;
}

std::string disassemble(const Program& program) {
  std::string out = "isa " + number(program.isa) + "\n";
  append_types(program, out);
  append_tables(program, out);
  for (const Function& function : program.functions) {
    out += "\n" + disassemble(program, function);
  }
  return out;
}

}  // namespace sluice::vm
