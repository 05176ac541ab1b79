#include "vm/operands.hpp"

namespace sluice::vm {
namespace {

uint32_t record_fields(const Program& program, uint32_t record) {
  const auto& records = program.types.records;
  return record < records.size() ? static_cast<uint32_t>(records[record].fields.size()) : 0;
}

uint32_t case_fields(const Program& program, uint32_t enumeration, uint32_t which) {
  const auto& enums = program.types.enums;
  if (enumeration >= enums.size() || which >= enums[enumeration].cases.size()) return 0;
  return static_cast<uint32_t>(enums[enumeration].cases[which].fields.size());
}

// The numbers of vm/ops.def: int, float, decimal, duration and timestamp.
bool is_arithmetic(Op op) {
  return (op >= Op::add_int && op <= Op::neg_time) ||
         (op >= Op::add_float_const && op <= Op::const_div_float);
}

// One result in a, one range read.
RegisterUse value_of(uint32_t a, uint32_t first, uint32_t count) {
  return {{{first, count}}, {{a, 1}}};
}

// Of the instructions with one register: whether it is read; the others write it.
bool reads_its_register(Op op) {
  return op == Op::ret || op == Op::sleep || op == Op::undo || op == Op::rethrow ||
         op == Op::slot || op == Op::log;
}

// Of a notify: whether R(c) says to whom.
bool names_target(const Instruction& i) {
  return i.x != static_cast<uint8_t>(NotifyTo::run_client);
}

// Of what may go on elsewhere than behind itself.
RegisterUse jump_use(const Instruction& i) {
  const uint32_t a = i.a, b = i.b;
  switch (op_info(i.op)->operands) {
    case OperandKind::target:
      return {};
    case OperandKind::skip:
      return {{{a, 1}, {b, 1}}, {}};
    case OperandKind::loop:
      return {{{a + 1, 2}}, {{a, 2}}};
    default:
      return {{{a, 1}}, {}};
  }
}

}  // namespace

const std::vector<Parameter>& step_parameters(const Program& program, const StepSite& step) {
  static const std::vector<Parameter> kNone;
  if (step.flow) {
    return *step.flow < program.flows.size() ? program.flows[*step.flow].parameters : kNone;
  }
  return step.task < program.tasks.size() ? program.tasks[step.task].parameters : kNone;
}

uint32_t step_arguments(const Program& program, uint32_t site) {
  if (site >= program.steps.size()) return 0;
  const StepSite& step = program.steps[site];
  const auto count = [&](const StepSite& of) {
    return static_cast<uint32_t>(step_parameters(program, of).size());
  };
  const bool hedged = step.hedge_site && *step.hedge_site < program.steps.size();
  return count(step) + (step.has_key_expr ? 1 : 0) +
         (hedged ? count(program.steps[*step.hedge_site]) : 0);
}

uint32_t start_arguments(const Program& program, const Instruction& i) {
  if (i.c >= program.flows.size()) return 0;
  return static_cast<uint32_t>(program.flows[i.c].parameters.size()) + (i.x != 0 ? 1 : 0);
}

bool receives_from_topic(const Program& program, uint32_t site) {
  return site < program.receives.size() && program.receives[site].topic.has_value();
}

RegisterRange kept_while_waiting(const Program& program, const Instruction& i) {
  if (i.op != Op::receive || i.c >= program.receives.size()) return {};
  const std::optional<uint32_t>& filter = program.receives[i.c].filter;
  if (!filter || *filter >= program.functions.size()) return {};
  const uint32_t parameters = program.functions[*filter].parameters;
  return {i.b + 1U, parameters == 0 ? 0 : parameters - 1};
}

// How long it waits, what its filter captured, and a topic's key.
uint32_t receive_arguments(const Program& program, const Instruction& i) {
  return 1 + kept_while_waiting(program, i).count + (receives_from_topic(program, i.c) ? 1 : 0);
}

bool writes_flat(const Program& program, const Instruction& i) {
  switch (i.op) {
    case Op::load_int:
    case Op::load_none:
    case Op::load_bool:
    case Op::not_bool:
    case Op::equal:
    case Op::not_equal:
    case Op::less:
    case Op::less_equal:
    case Op::is_none:
    case Op::is_case:
    case Op::int_loop:
      return true;
    case Op::load_const: {
      if (i.wide() >= program.constants.size()) return false;
      auto value = decode_value(program.constants[i.wide()]);
      return value && value->is_flat();
    }
    default:
      return is_arithmetic(i.op);
  }
}

RegisterUse register_use(const Program& program, const Instruction& i) {
  const uint32_t a = i.a, b = i.b, c = i.c;
  switch (op_info(i.op)->operands) {
    case OperandKind::none:
    case OperandKind::round:
    case OperandKind::depth:
      return {};
    case OperandKind::target:
    case OperandKind::reg_target:
    case OperandKind::skip:
    case OperandKind::skip_imm:
    case OperandKind::skip_case:
    case OperandKind::loop:
      return jump_use(i);
    case OperandKind::reg:
      return reads_its_register(i.op) ? RegisterUse{{{a, 1}}, {}} : RegisterUse{{}, {{a, 1}}};
    case OperandKind::reg_reg:
      if (i.op == Op::fail) return {{{a, 1}, {b, 1}}, {}};
      if (i.op == Op::append) return {{{a, 1}, {b, 1}}, {{a, 1}}};
      return value_of(a, b, 1);
    case OperandKind::reg_reg_reg:
      if (i.op == Op::map_put) return {{{a, 1}, {b, 1}, {c, 1}}, {{a, 1}}};
      if (i.op == Op::list_next) return {{{b, 1}, {c, 1}}, {{a, 1}, {c, 1}}};
      return {{{b, 1}, {c, 1}}, {{a, 1}}};
    case OperandKind::reg_const:
    case OperandKind::reg_imm:
    case OperandKind::reg_flag:
    case OperandKind::reg_site:
    case OperandKind::race:
      return {{}, {{a, 1}}};
    case OperandKind::reg_range:
      return value_of(a, b, c);
    case OperandKind::reg_pairs:
      return value_of(a, b, 2 * c);
    case OperandKind::reg_regs_record:
      return value_of(a, b, record_fields(program, c));
    case OperandKind::reg_reg_field:
      if (i.op == Op::set_field) return {{{a, 1}, {b, 1}}, {{a, 1}}};
      return value_of(a, b, 1);
    case OperandKind::reg_regs_enum:
      return value_of(a, b, case_fields(program, c, i.x));
    case OperandKind::reg_reg_imm:
    case OperandKind::reg_reg_float:
    case OperandKind::reg_reg_case:
    case OperandKind::reg_reg_type:
      return value_of(a, b, 1);
    case OperandKind::reg_regs_function:
      return value_of(a, b, c < program.functions.size() ? program.functions[c].parameters : 0);
    case OperandKind::reg_regs_builtin:
      return value_of(a, b, c < kBuiltinCount ? kBuiltins[c].parameter_count : 0);
    case OperandKind::reg_regs_site:
      return value_of(a, b, step_arguments(program, c));
    case OperandKind::closure_site:
      return {{{b, i.x}}, {}};
    case OperandKind::branch:
      return {{{b, c}}, {}};
    case OperandKind::join:
      return {{}, {{a, c}}};
    case OperandKind::reg_event_target:
      return {{{a, 1}, {c, names_target(i) ? 1U : 0U}}, {}};
    case OperandKind::reg_event:
    case OperandKind::reg_topic:
      return {{{a, 1}}, {}};
    case OperandKind::reg_regs_receive:
      return value_of(a, b, receive_arguments(program, i));
    case OperandKind::reg_regs_flow:
      return value_of(a, b, start_arguments(program, i));
  }
  return {};
}

}  // namespace sluice::vm
