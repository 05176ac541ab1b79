#include "tests/core/programs.hpp"

#include "engine/core/check.hpp"
#include "vm/builder.hpp"
#include "vm/verifier.hpp"

namespace sluice::core::test {
namespace {

using vm::FunctionBuilder;
using vm::FunctionKind;
using vm::Label;
using vm::Op;
using vm::Register;

constexpr std::uint32_t kAsk = 0, kAnswer = 1, kFailed = 2, kProgress = 3;  // events
constexpr std::uint32_t kUndoTask = 0;

class Assembler {
 public:
  explicit Assembler(const Pipeline& pipeline) : pipeline_(pipeline), constants_(program_) {}

  vm::Program assemble() {
    declare();
    for (unsigned i = 0; i < pipeline_.flows; ++i) add_flow(i);
    if (pipeline_.scheduled) add_scheduled_flow();
    return std::move(program_);
  }

 private:
  std::uint32_t add_event(const std::string& name, const std::string& field) {
    vm::RecordType record;
    record.name = name;
    record.fields.push_back({field, vm::kTypeString, {}, {}, {}, 0});
    program_.types.records.push_back(record);
    const auto index = static_cast<std::uint32_t>(program_.types.records.size() - 1);
    program_.types.record_type(index);
    program_.events.push_back({name, 1, index});
    return index;
  }

  void declare() {
    program_.features = {"core"};
    program_.sources = {"test.flow"};
    add_event("Ask", "text");
    add_event("Answer", "text");
    add_event("Failed", "reason");
    add_event("Progress", "text");
    program_.pools.push_back({"cpu", 0});
    program_.topics.push_back({"asks", kAsk, {}, pipeline_.dedupe_ms, 0});
    add_task("undo");
    vm::StepSite undo;
    undo.name = "undo";
    undo.task = kUndoTask;
    undo.idempotent = true;
    program_.steps.push_back(undo);
    for (std::size_t i = 0; i < pipeline_.steps.size(); ++i) {
      add_task("t" + std::to_string(i + 1));
      vm::StepSite site = pipeline_.steps[i].policies;
      site.name = "s" + std::to_string(i + 1);
      site.task = static_cast<std::uint32_t>(program_.tasks.size() - 1);
      site.has_compensation = pipeline_.steps[i].compensated;
      site.has_unsure = pipeline_.steps[i].unsure;
      program_.steps.push_back(site);
    }
  }

  void add_task(const std::string& name) {
    program_.tasks.push_back(
        {name, {{"text", vm::kTypeString}}, vm::kTypeString, 0, pipeline_.kinds});
  }

  std::uint32_t add_function(FunctionBuilder& builder) {
    auto function = builder.finish();
    SLUICE_CHECK(function.has_value());
    program_.functions.push_back(std::move(*function));
    return static_cast<std::uint32_t>(program_.functions.size() - 1);
  }

  void load_text(FunctionBuilder& b, Register into, const std::string& text) {
    b.emit_wide(Op::load_const, into, constants_.add(vm::Value::string(text)));
  }

  // compensate { step undo(captured) }
  std::uint32_t undo_function() {
    FunctionBuilder b("undo", FunctionKind::compensation, 1);
    const Register result = b.allocate();
    b.emit_indexed(Op::step, result, b.parameter(0), 0);
    b.emit(Op::ret_none);
    return add_function(b);
  }

  // One step with its policies; its result or the fallback's in `result`.
  void emit_step(FunctionBuilder& b, std::size_t i, Register argument, Register result) {
    const Pipeline::Step& step = pipeline_.steps[i];
    const auto site = static_cast<std::uint32_t>(i + 1);
    const Label begin = b.make_label(), end = b.make_label();
    if (step.unsure) {
      const std::uint32_t undo = undo_function();
      const Register captured = b.allocate();
      load_text(b, captured, "unsure");
      b.emit_closure(Op::arm_unsure, undo, captured, 1, site);
    }
    b.bind(begin);
    b.emit_indexed(Op::step, result, argument, site);
    b.bind(end);
    if (step.compensated) b.emit_closure(Op::on_undo, undo_function(), result, 1, site);
    if (!step.fallback) return;
    const Label handler = b.make_label(), after = b.make_label();
    b.emit_jump(Op::jump, after);
    b.bind(handler);
    load_text(b, result, "fallen");
    b.bind(after);
    b.add_handler(begin, end, handler, {});
  }

  std::uint32_t branch_function(std::size_t i) {
    FunctionBuilder b("branch", FunctionKind::branch, 1, "b" + std::to_string(i + 1));
    const Register result = b.allocate();
    emit_step(b, i, b.parameter(0), result);
    b.emit(Op::ret, result);
    return add_function(b);
  }

  Register emit_parallel(FunctionBuilder& b, Register text) {
    const auto count = static_cast<std::uint32_t>(pipeline_.steps.size());
    for (std::size_t i = 0; i < count; ++i) b.emit_spawn(branch_function(i), text, 1);
    const Register first = b.allocate(count);
    b.emit_join(first, count);
    return first;
  }

  void emit_finish(FunctionBuilder& b, Register text, std::uint32_t event) {
    if (!pipeline_.outcomes) {
      b.emit(Op::finish_bare);
      return;
    }
    const Register record = b.allocate();
    b.emit_indexed(Op::make_record, record, text, program_.events[event].record);
    b.emit_finish(record, event);
  }

  void add_scheduled_flow() {
    FunctionBuilder b("tick", FunctionKind::flow, 0, "tick");
    b.emit(Op::finish_bare);
    vm::FlowInfo flow;
    flow.name = "tick";
    flow.function = add_function(b);
    flow.schedule = vm::Schedule{"0 0 1 1 *", "UTC"};
    program_.flows.push_back(std::move(flow));
  }

  void add_flow(unsigned number) {
    const std::string name = number == 0 ? "answer" : "answer" + std::to_string(number + 1);
    FunctionBuilder b(name, FunctionKind::flow, 1, name);
    Register text = b.allocate();
    b.emit_indexed(Op::get_field, text, b.parameter(0), 0);
    if (pipeline_.notify) {
      const Register record = b.allocate();
      b.emit_indexed(Op::make_record, record, text, program_.events[kProgress].record);
      b.emit_notify(record, kProgress);
    }
    if (pipeline_.parallel) {
      text = emit_parallel(b, text);
    } else {
      for (std::size_t i = 0; i < pipeline_.steps.size(); ++i) {
        const Register result = b.allocate();
        emit_step(b, i, text, result);
        text = result;
      }
    }
    emit_finish(b, text, kAnswer);
    vm::FlowInfo flow;
    flow.name = name;
    flow.parameters.push_back({"ask", program_.types.record_type(program_.events[kAsk].record)});
    flow.function = add_function(b);
    if (pipeline_.on_failure) flow.on_failure = handler_function();
    if (pipeline_.outcomes) flow.outcomes = {kAnswer, kFailed};
    flow.trigger = 0;
    flow.timeout_ms = pipeline_.timeout_ms;
    program_.flows.push_back(flow);
  }

  std::uint32_t handler_function() {
    FunctionBuilder b("failure", FunctionKind::handler, 2, "failure");
    const Register message = b.allocate();
    b.emit_indexed(Op::get_field, message, b.parameter(1),
                   static_cast<std::uint32_t>(vm::FailureField::message));
    if (pipeline_.failing_step) {
      const Register result = b.allocate();
      b.emit_indexed(Op::step, result, message, 1);
    }
    emit_finish(b, message, kFailed);
    return add_function(b);
  }

  const Pipeline& pipeline_;
  vm::Program program_;
  vm::ConstantPool constants_;
};

}  // namespace

vm::Program make_program(const Pipeline& pipeline) {
  return Assembler(pipeline).assemble();
}

void TestPrograms::add(DeploymentNumber number, const Pipeline& pipeline) {
  auto verified = vm::verify(make_program(pipeline));
  if (!verified) std::fprintf(stderr, "%s\n", verified.error().message.c_str());
  SLUICE_CHECK(verified.has_value());
  add(number, *verified);
}

void TestPrograms::add(DeploymentNumber number,
                       std::shared_ptr<const vm::VerifiedProgram> program) {
  units_[number] = std::make_unique<vm::Unit>(std::move(program));
}

vm::Unit* TestPrograms::unit(DeploymentNumber number) {
  const auto it = units_.find(number);
  return it == units_.end() ? nullptr : it->second.get();
}

std::string ask(const std::string& text) {
  // Record 1 of every table made here: record 0 is the builtin Failure.
  const vm::Value field = vm::Value::string(text);
  return vm::encode_value(vm::Value::record(1, {&field, 1}));
}

std::string text_value(const std::string& text) {
  return vm::encode_value(vm::Value::string(text));
}

}  // namespace sluice::core::test
