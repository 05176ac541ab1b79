#include "engine/sim/workload_program.hpp"

#include <fmt/format.h>

#include <array>
#include <stdexcept>

#include "vm/builder.hpp"
#include "vm/json.hpp"

namespace sluice::sim {

namespace {

using vm::FunctionBuilder;
using vm::FunctionKind;
using vm::Op;
using vm::Register;

enum Record : std::uint32_t { kAsk = 1, kNote, kAnswer, kProgress, kFailedRecord };
enum EventIndex : std::uint32_t {
  kAskEvent,
  kNoteEvent,
  kAnswerEvent,
  kProgressEvent,
  kFailedEvent
};
enum Task : std::uint32_t { kLookup, kCharge, kRefund, kLeft, kRight, kFile };
enum Site : std::uint32_t {
  kLookupSite,
  kChargeSite,
  kRefundSite,
  kLeftSite,
  kRightSite,
  kMemoLookupSite,
  kFileSite,
  kReviewSite,  // runs the flow of that name
  kReviewLookupSite
};
enum Index : std::uint32_t {
  kAnswerFlow,
  kUndoCharge,
  kLeftBranch,
  kRightBranch,
  kOnFailure,
  kMemoFlow,
  kMemoFailure,
  kOrderKey,
  kTurnFlow,
  kTurnFailure,
  kReviewFlow,
  kEchoFlow
};
enum Flow : std::uint32_t {
  kAnswerFlowInfo,
  kMemoFlowInfo,
  kTurnFlowInfo,
  kReviewFlowInfo,
  kEchoFlowInfo
};

// Of flows whose runs wait for each other: longer than any queue takes.
constexpr std::uint64_t kPatientMs = 3'600'000;

class Assembler {
 public:
  vm::Program build() {
    program_.features = {"core"};
    types();
    tasks();
    steps();
    functions();
    const vm::TypeId ask = program_.types.record_type(kAsk);
    const vm::TypeId note = program_.types.record_type(kNote);
    program_.topics = {{"asks", kAskEvent, std::nullopt, kAsksDedupeMs, 86'400'000},
                       {"notes", kNoteEvent, kOrderKey, kNotesDedupeMs, 86'400'000},
                       {"turns", kAskEvent, std::nullopt, kAsksDedupeMs, 86'400'000},
                       {"echoes", kNoteEvent, kOrderKey, kNotesDedupeMs, 86'400'000}};
    program_.flows = {
        {"answer",
         {{"ask", ask}},
         kAnswerFlow,
         kOnFailure,
         {kAnswerEvent, kFailedEvent},
         kTopicAsks,
         45'000},
        {"memo",
         {{"note", note}},
         kMemoFlow,
         kMemoFailure,
         {kAnswerEvent, kFailedEvent},
         kTopicNotes,
         kPatientMs},
        {"turn",
         {{"ask", ask}},
         kTurnFlow,
         kTurnFailure,
         {kAnswerEvent, kFailedEvent},
         kTopicTurns,
         kPatientMs},
        {"review",
         {{"note", note}},
         kReviewFlow,
         std::nullopt,
         {kAnswerEvent},
         std::nullopt,
         50'000},
        {"echo", {{"note", note}}, kEchoFlow, std::nullopt, {kAnswerEvent}, kTopicEchoes, 50'000},
    };
    program_.flows[kMemoFlowInfo].concurrency = vm::Concurrency{
        1, vm::Overload::queue, kNotesQueue, vm::Per::key, std::uint32_t{kOrderKey}};
    program_.flows[kTurnFlowInfo].concurrency = vm::Concurrency{1, vm::Overload::newest_wins};
    return std::move(program_);
  }

 private:
  void types() {
    const auto text = [](const char* name) { return vm::FieldType{name, vm::kTypeString}; };
    program_.types.records.push_back({"Ask", {text("text")}});
    program_.types.records.push_back({"Note", {text("text"), text("key")}});
    program_.types.records.push_back({"Answer", {text("text")}});
    program_.types.records.push_back({"Progress", {text("text")}});
    program_.types.records.push_back({"Failed", {text("reason")}});
    for (std::uint32_t record = kAsk; record <= kFailedRecord; ++record) {
      program_.types.record_type(record);
      program_.events.push_back({program_.types.records[record].name, 1, record});
    }
  }

  void tasks() {
    program_.pools = {{"cpu", 0}};
    for (const char* name : {"lookup", "charge", "refund", "left", "right", "file"}) {
      program_.tasks.push_back({name, {{"text", vm::kTypeString}}, vm::kTypeString, 0, {}});
    }
  }

  void steps() {
    const auto add = [&](const char* name, Task task, unsigned attempts) -> vm::StepSite& {
      vm::StepSite site;
      site.name = name;
      site.task = task;
      site.attempts = attempts;
      site.timeout_ms = 3000;
      site.backoff_min_ms = 50;
      site.backoff_max_ms = 400;
      return program_.steps.emplace_back(std::move(site));
    };
    vm::StepSite& lookup = add("lookup", kLookup, 4);
    lookup.idempotent = lookup.readonly = lookup.jitter = true;
    lookup.within_ms = 20'000;
    vm::StepSite& charge = add("charge", kCharge, 2);
    charge.has_compensation = charge.has_unsure = true;
    charge.heartbeat_ms = 1000;
    add("refund", kRefund, 6).keyed = true;
    vm::StepSite& left = add(kHedgedTask, kLeft, 3);
    left.keyed = true;
    left.hedge_after_ms = 150;
    vm::StepSite& right = add("right", kRight, 3);
    right.idempotent = true;
    right.heartbeat_ms = 700;
    vm::StepSite& again = add("lookup", kLookup, 3);
    again.idempotent = again.readonly = true;
    vm::StepSite& file = add("file", kFile, 1);
    file.keep = true;
    file.within_ms = 15'000;
    vm::StepSite review;
    review.name = "review";
    review.flow = kReviewFlowInfo;
    review.keep = true;
    review.within_ms = 40'000;
    program_.steps.push_back(std::move(review));
    add("lookup", kLookup, 5).idempotent = true;
  }

  void functions() {
    add(answer_flow());
    add(one_step("answer/charge/undo", FunctionKind::compensation, "", kRefundSite));
    add(one_step("answer/left", FunctionKind::branch, "left", kLeftSite));
    add(one_step("answer/right", FunctionKind::branch, "right", kRightSite));
    add(on_failure("answer/failure"));
    add(memo_flow());
    add(on_failure("memo/failure"));
    add(order_key());
    add(turn_flow());
    add(on_failure("turn/failure"));
    add(looking_flow("review"));
    add(looking_flow("echo"));
  }

  void add(FunctionBuilder&& builder) {
    auto function = builder.finish();
    if (!function) throw std::logic_error(function.error());
    program_.functions.push_back(std::move(*function));
  }

  static FunctionBuilder answer_flow() {
    FunctionBuilder f("answer", FunctionKind::flow, 1, "answer");
    const Register text = f.allocate();
    f.emit_indexed(Op::get_field, text, f.parameter(0), 0);
    const Register parts = f.allocate(4);
    f.emit_indexed(Op::step, parts, text, kLookupSite);
    f.emit_closure(Op::arm_unsure, kUndoCharge, text, 1, kChargeSite);
    f.emit_indexed(Op::step, {parts.index + 1}, text, kChargeSite);
    f.emit_closure(Op::on_undo, kUndoCharge, text, 1, kChargeSite);
    const Register event = f.allocate();
    f.emit_indexed(Op::make_record, event, parts, kProgress);
    f.emit_notify(event, kProgressEvent);
    f.emit_spawn(kLeftBranch, text, 1);
    f.emit_spawn(kRightBranch, text, 1);
    f.emit_join({parts.index + 2}, 2);
    const Register all = f.allocate();
    f.emit_indexed(Op::concat_all, all, parts, 4);
    f.emit_indexed(Op::make_record, event, all, kAnswer);
    f.emit_finish(event, kAnswerEvent);
    return f;
  }

  static FunctionBuilder memo_flow() {
    FunctionBuilder f("memo", FunctionKind::flow, 1, "memo");
    const Register text = f.allocate();
    f.emit_indexed(Op::get_field, text, f.parameter(0), 0);
    const Register parts = f.allocate(3);
    f.emit_indexed(Op::step, parts, text, kMemoLookupSite);
    const Register event = f.allocate();
    f.emit_indexed(Op::make_record, event, parts, kProgress);
    f.emit_notify(event, kProgressEvent);
    f.emit_indexed(Op::step, {parts.index + 1}, text, kFileSite);
    f.emit_publish(f.parameter(0), kTopicEchoes);
    f.emit_start_run(event, f.parameter(0), kReviewFlowInfo, false);
    f.emit_indexed(Op::step, event, f.parameter(0), kReviewSite);
    f.emit_indexed(Op::get_field, {parts.index + 2}, event, 0);
    const Register all = f.allocate();
    f.emit_indexed(Op::concat_all, all, parts, 3);
    f.emit_indexed(Op::make_record, event, all, kAnswer);
    f.emit_finish(event, kAnswerEvent);
    return f;
  }

  static FunctionBuilder turn_flow() {
    FunctionBuilder f("turn", FunctionKind::flow, 1, "turn");
    const Register text = f.allocate();
    f.emit_indexed(Op::get_field, text, f.parameter(0), 0);
    const Register parts = f.allocate(2);
    f.emit_closure(Op::arm_unsure, kUndoCharge, text, 1, kChargeSite);
    f.emit_indexed(Op::step, parts, text, kChargeSite);
    f.emit_closure(Op::on_undo, kUndoCharge, text, 1, kChargeSite);
    f.emit_indexed(Op::step, {parts.index + 1}, text, kMemoLookupSite);
    const Register all = f.allocate();
    f.emit_indexed(Op::concat_all, all, parts, 2);
    const Register event = f.allocate();
    f.emit_indexed(Op::make_record, event, all, kAnswer);
    f.emit_finish(event, kAnswerEvent);
    return f;
  }

  // Of a note, by one step.
  static FunctionBuilder looking_flow(const char* name) {
    FunctionBuilder f(name, FunctionKind::flow, 1, name);
    const Register text = f.allocate();
    f.emit_indexed(Op::get_field, text, f.parameter(0), 0);
    f.emit_indexed(Op::step, text, text, kReviewLookupSite);
    const Register event = f.allocate();
    f.emit_indexed(Op::make_record, event, text, kAnswer);
    f.emit_finish(event, kAnswerEvent);
    return f;
  }

  static FunctionBuilder one_step(const char* name, FunctionKind kind, const char* segment,
                                  Site site) {
    FunctionBuilder f(name, kind, 1, segment);
    const Register result = f.allocate();
    f.emit_indexed(Op::step, result, f.parameter(0), site);
    f.emit(Op::ret, result);
    return f;
  }

  static FunctionBuilder on_failure(const char* name) {
    FunctionBuilder f(name, FunctionKind::handler, 2);
    const Register kind = f.allocate();
    f.emit_indexed(Op::get_field, kind, f.parameter(1), 0);
    const Register event = f.allocate();
    f.emit_indexed(Op::make_record, event, kind, kFailedRecord);
    f.emit_finish(event, kFailedEvent);
    return f;
  }

  static FunctionBuilder order_key() {
    FunctionBuilder f("notes/order", FunctionKind::pure, 1);
    const Register key = f.allocate();
    f.emit_indexed(Op::get_field, key, f.parameter(0), 1);
    f.emit(Op::ret, key);
    return f;
  }

  vm::Program program_;
};

}  // namespace

std::shared_ptr<const vm::VerifiedProgram> workload_program() {
  auto verified = vm::verify(Assembler().build());
  if (!verified) throw std::logic_error("the workload's program: " + verified.error().message);
  return *verified;
}

std::string ask_value(std::string_view text) {
  const std::array fields{vm::Value::string(text)};
  return vm::encode_value(vm::Value::record(kAsk, fields));
}

std::string note_value(std::string_view text, std::string_view key) {
  const std::array fields{vm::Value::string(text), vm::Value::string(key)};
  return vm::encode_value(vm::Value::record(kNote, fields));
}

std::string task_result(std::string_view task, std::string_view text) {
  return fmt::format("{}({})", task, text);
}

std::string answer_json(std::uint32_t topic, std::string_view text) {
  if (topic == kTopicTurns) {
    return fmt::format("{{\"text\":\"{}{}\"}}", task_result("charge", text),
                       task_result("lookup", text));
  }
  std::string all = task_result("lookup", text);
  if (topic == kTopicAsks) {
    for (const char* task : {"charge", "left", "right"}) all += task_result(task, text);
  } else {
    all += task_result("file", text);
    all += task_result("lookup", text);  // the review's
  }
  return fmt::format("{{\"text\":\"{}\"}}", all);
}

}  // namespace sluice::sim
