// Steps, what hangs on them, and the blocks in which several run at once.
#include <fmt/format.h>

#include <algorithm>

#include "compiler/check/builtins.hpp"
#include "compiler/check/flows.hpp"

namespace sluice::compiler {

using namespace ir;

namespace {

// The names of a callee, if it is a chain of names: `f`, `retry.f`.
std::optional<ast::QualifiedName> callee_name(const ast::CallExpr& call) {
  ast::QualifiedName name;
  const ast::Expr* at = call.callee.get();
  while (const auto* field = ast::as<ast::FieldExpr>(*at)) {
    name.parts.insert(name.parts.begin(), field->field);
    at = field->base.get();
  }
  const auto* first = ast::as<ast::NameExpr>(*at);
  if (first == nullptr) return std::nullopt;
  name.parts.insert(name.parts.begin(), ast::Name{first->name, at->span});
  name.span = call.callee->span;
  return name;
}

}  // namespace

FlowChecker::Work FlowChecker::report_no_work(const ast::CallExpr& call, const Symbol& symbol) {
  const Span span = call.callee->span;
  if (TaskDef* task = symbol.as<TaskDef>()) return {task, nullptr};
  if (FlowDef* flow = symbol.as<FlowDef>()) return {nullptr, flow};
  Diagnostic& diagnostic = context_.diagnostics.report(
      Code::E0203, span,
      fmt::format("a step runs a task, and this is {}", kind_with_article(symbol)));
  diagnostic.also(symbol.span, "declared here");
  if (symbol.as<FnDef>() != nullptr) {
    diagnostic.because("a function is pure and needs no step: `let x = f(…)`");
  }
  return {};
}

FlowChecker::Work FlowChecker::work_of(const ast::CallExpr& call) {
  const auto name = callee_name(call);
  if (!name) return {};
  ModuleScope* where = &scope_;
  if (!name->is_simple()) {
    const Symbol* symbol = context_.resolve(scope_, Space::kValue, *name, "task");
    return symbol == nullptr ? Work{} : report_no_work(call, *symbol);
  }
  const std::string& word = name->last().text;
  if (const Symbol* symbol = where->find(Space::kValue, word)) return report_no_work(call, *symbol);
  if (is_builtin(word)) {
    context_.diagnostics
        .report(Code::E0203, call.callee->span,
                fmt::format("a step runs a task, and `{}` is built in", word))
        .because("it is pure and needs no step: `let x = f(…)`");
    return {};
  }
  std::vector<std::string_view> known_work;
  for (const auto& [known, symbol] : where->spaces[static_cast<std::size_t>(Space::kValue)]) {
    if (symbol.as<TaskDef>() != nullptr || symbol.as<FlowDef>() != nullptr) {
      known_work.push_back(known);
    }
  }
  std::sort(known_work.begin(), known_work.end());
  Diagnostic* told =
      context_.unknown(Code::E0201, "there is no task or flow", name->last(), known_work);
  if (told != nullptr && told->fixes.empty()) {
    told->because(fmt::format("`task {}(…) {{ … }}` declares one that a worker does", word));
  }
  return {};
}

// The arms of a `match` on it are written `case Answer(a)`: each binds the event whole.
TypeId FlowChecker::outcome_of(FlowDef& flow) {
  if (flow.outcomes.empty() || !flow.outcomes_known) return kPoison;
  if (flow.outcomes.size() == 1) return flow.outcomes[0]->type;
  if (flow.outcome == nullptr) {
    EnumDef& made = context_.program.enums.emplace_back();
    made.name = flow.name + "'s outcome";
    made.module = flow.module;
    made.index = static_cast<std::uint32_t>(context_.program.enums.size() - 1);
    for (std::size_t i = 0; i < flow.outcomes.size(); ++i) {
      CaseDef& which = made.cases.emplace_back();
      which.name = flow.outcomes[i]->name;
      which.span = flow.tree->name.span;
      FieldDef& event = which.fields.emplace_back();
      event.name = "event";
      event.span = event.type_span = which.span;
      event.type = flow.outcomes[i]->type;
      event.module = flow.module;
      event.state = FieldDef::State::kDone;
    }
    made.type = types_.enumeration(made);
    flow.outcome = &made;
  }
  return flow.outcome->type;
}

Expr* FlowChecker::as_outcome(const StepDef& step, Expr* value) {
  if (step.flow == nullptr || step.flow->outcome == nullptr) return value;
  const auto& outcomes = step.flow->outcomes;
  const auto found = std::find_if(outcomes.begin(), outcomes.end(), [&](const RecordDef* event) {
    return event->type == value->type;
  });
  if (found == outcomes.end()) return value;
  CaseValue made;
  made.def = step.flow->outcome;
  made.which = static_cast<std::uint32_t>(found - outcomes.begin());
  made.fields = {value};
  return context_.expr(value->span, step.flow->outcome->type, std::move(made));
}

void FlowChecker::take_work(StepDef& step, const ast::CallExpr& call, Span span) {
  if (step.task != nullptr) {
    step.arguments =
        exprs_.arguments(call, span, step.task->parameters,
                         {step.task->name, step.task->tree->name.span, step.task->damaged});
    step.policies = step.task->policies;
  } else if (step.flow != nullptr) {
    step.arguments =
        exprs_.arguments(call, span, step.flow->parameters,
                         {step.flow->name, step.flow->tree->name.span, step.flow->damaged});
  } else {
    for (const ast::Argument& argument : call.arguments) exprs_.infer(*argument.value);
  }
}

// `step x = f(…)`, where `let` is meant.
bool FlowChecker::is_let_with_a_wrong_word(const ast::Stmt& tree, const ast::StepStmt& node) {
  const auto& call = std::get<ast::CallExpr>(node.call->node);
  const auto* name = ast::as<ast::NameExpr>(*call.callee);
  const Symbol* symbol = name == nullptr ? nullptr : scope_.find(Space::kValue, name->name);
  const bool pure = symbol != nullptr ? symbol->as<FnDef>() != nullptr
                                      : name != nullptr && is_builtin(name->name);
  if (!pure || !node.named || node.has_policies) return false;
  Diagnostic& diagnostic = context_.diagnostics.report(
      Code::E0203, call.callee->span,
      symbol != nullptr ? std::string("a step runs a task, and this is a function")
                        : fmt::format("a step runs a task, and `{}` is built in", name->name));
  if (symbol != nullptr) diagnostic.also(symbol->span, "declared here");
  const Span word{tree.span.file, tree.span.begin, tree.span.begin + 4};
  diagnostic.because("a function is pure and needs no step").mend("write `let`", {{word, "let"}});
  return true;
}

Stmt* FlowChecker::step_statement(const ast::Stmt& tree, const ast::StepStmt& node) {
  if (is_let_with_a_wrong_word(tree, node)) {
    Expr* value = exprs_.infer(*node.call);
    Local* local = context_.local(node.name, value->type, Local::Kind::kLet);
    locals_.declare(local);
    return made(tree, Let{local, value});
  }
  StepDef* def = step(tree, node);
  return made(tree, Step{def});
}

StepDef* FlowChecker::step(const ast::Stmt& tree, const ast::StepStmt& node) {
  const auto& call = std::get<ast::CallExpr>(node.call->node);
  StepDef& def = context_.program.steps.emplace_back();
  def.number = static_cast<std::uint32_t>(context_.program.steps.size() - 1);
  def.name = node.name.text;
  def.path = path_ + def.name;
  def.name_span = node.name.span;
  def.span = tree.span;
  def.in_on_failure = place_ == Place::kOnFailure;
  def.in_compensation = place_ == Place::kCompensation;
  const Work work = work_of(call);
  def.task = work.task;
  def.flow = work.flow;
  flow_.steps.push_back(&def);
  scope_.module->steps[tree.id] = &def;
  take_work(def, call, node.call->span);
  TypeId type = kPoison;
  if (def.task != nullptr && def.task->result) type = *def.task->result;
  if (def.flow != nullptr) type = outcome_of(*def.flow);
  def.result = context_.local(node.name, type, Local::Kind::kStep);
  def.result->step = &def;
  policies(def, node.policies);
  return &def;
}

// Lines of the step over those of its task; declares the step's name on the way, as some lines come
// before it and some after.
void FlowChecker::policies(StepDef& step, const std::vector<ast::Policy>& lines) {
  PolicyReader reader(context_, scope_,
                      step.flow != nullptr ? PolicyPlace::kChild : PolicyPlace::kStep);
  const StepLines found = reader.read(lines, step.policies);
  if (context_.program.damage_in(step.span.file).within(step.span)) step.policies.damaged = true;
  if (found.keyed != nullptr) {
    Expr* key = nullptr;
    if (found.keyed->key != nullptr) {
      key = exprs_.want(*found.keyed->key, {kString, found.keyed_span, "a key is text"});
    }
    step.policies.keyed = {key, found.keyed_span};
  }
  if (found.hedge != nullptr) hedge(step, *found.hedge);
  if (found.fallback != nullptr) fallback(step, *found.fallback, found.fallback_span);
  locals_.declare(step.result);
  const auto undo = [&](Span span, const ast::Block& body, bool unsure) {
    if (place_ != Place::kBody) {
      context_.diagnostics
          .report(place_ == Place::kOnFailure ? Code::E0406 : Code::E0407, span,
                  place_ == Place::kOnFailure ? "nothing would undo a step of `on failure`"
                                              : "a compensation is not compensated itself")
          .because(place_ == Place::kOnFailure
                       ? "compensations run before `on failure` does"
                       : "when it fails for good it makes a dead letter, and the next goes on");
    }
    return compensation(step, body, unsure);
  };
  if (found.compensate != nullptr) {
    step.policies.compensate = {undo(found.compensate_span, found.compensate->body, false),
                                found.compensate_span};
  }
  if (found.unsure != nullptr) {
    step.policies.unsure = {undo(found.unsure_span, found.unsure->body, true), found.unsure_span};
  }
  if (step.policies.keep && step.policies.compensate) {
    context_.diagnostics
        .report(Code::E0502, *step.policies.keep, "a step is either kept or compensated")
        .also(step.policies.compensate->span, "this undoes it");
  }
}

void FlowChecker::fallback(StepDef& step, const ast::FallbackPolicy& line, Span span) {
  const auto* call = ast::as<ast::CallExpr>(*line.value);
  const auto name = call == nullptr ? std::nullopt : callee_name(*call);
  const Symbol* symbol = nullptr;
  if (name && name->is_simple()) symbol = scope_.find(Space::kValue, name->last().text);
  if (name && name->parts.size() == 2 && locals_.find(name->parts[0].text) == nullptr) {
    const auto imported = scope_.imports.find(name->parts[0].text);
    if (imported != scope_.imports.end() && imported->second.module != nullptr) {
      symbol = imported->second.module->find(Space::kValue, name->last().text);
    }
  }
  const bool is_work =
      symbol != nullptr && (symbol->as<TaskDef>() != nullptr || symbol->as<FlowDef>() != nullptr);
  if (!is_work) {
    const bool has_result = step.task != nullptr && step.task->result;
    const bool has_outcome = step.flow != nullptr && !step.flow->outcomes.empty();
    if ((step.task != nullptr && !has_result) || (step.flow != nullptr && !has_outcome)) {
      Expr* value = exprs_.infer(*line.value);
      if (value->type != kNone && value->type != kPoison) {
        const Span where =
            step.task != nullptr ? step.task->tree->name.span : step.flow->tree->name.span;
        exprs_.mismatch(
            line.value->span, value->type,
            {kNone, where,
             step.task != nullptr ? "the task has no result" : "the flow has no outcome"});
      }
      step.policies.fallback_value = {value, span};
      return;
    }
    if (has_outcome) {
      Expr* value = as_outcome(step, exprs_.infer(*line.value));
      if (!types_.fits(value->type, step.result->type)) {
        exprs_.mismatch(line.value->span, value->type,
                        {step.result->type, step.flow->tree->name.span,
                         "the step's value is an outcome of this flow"});
      }
      step.policies.fallback_value = {value, span};
      return;
    }
    Want want{step.result->type, std::nullopt, ""};
    if (has_result) want = {step.result->type, step.task->result_span, "the step's result"};
    step.policies.fallback_value = {exprs_.want(*line.value, want), span};
    return;
  }
  StepDef& other = instead(step, *call, line.value->span, ".fallback");
  flow_.steps.push_back(&other);
  step.policies.fallback_step = {&other, span};
}

// The call of other work whose result stands for the step's.
StepDef& FlowChecker::instead(StepDef& step, const ast::CallExpr& call, Span span,
                              std::string_view suffix) {
  StepDef& other = context_.program.steps.emplace_back();
  other.number = static_cast<std::uint32_t>(context_.program.steps.size() - 1);
  other.name = step.name + std::string(suffix);
  other.path = step.path + std::string(suffix);
  other.name_span = call.callee->span;
  other.span = span;
  other.in_on_failure = step.in_on_failure;
  other.in_compensation = step.in_compensation;
  const Work work = work_of(call);
  other.task = work.task;
  other.flow = work.flow;
  other.result = step.result;
  take_work(other, call, span);
  if (work && (step.task != nullptr || step.flow != nullptr)) check_other_work(step, other);
  return other;
}

void FlowChecker::hedge(StepDef& step, const ast::HedgePolicy& line) {
  const auto& call = std::get<ast::CallExpr>(line.call->node);
  StepDef& other = instead(step, call, line.call->span, ".hedge");
  if (other.flow != nullptr) {
    context_.diagnostics
        .report(Code::E0203, call.callee->span,
                fmt::format("`hedge` tries a task, and `{}` is a flow", other.flow->name))
        .also(other.flow->tree->name.span, "declared here");
    return;
  }
  if (step.policies.hedge && other.task != nullptr) step.policies.hedge->value.call = &other;
}

void FlowChecker::check_other_work(const StepDef& step, const StepDef& other) {
  const auto unknown = [](const StepDef& of) {
    return of.flow != nullptr && !of.flow->outcomes_known;
  };
  if (unknown(step) || unknown(other)) return;
  const auto result = [&](const StepDef& of) -> std::optional<TypeId> {
    if (of.task != nullptr) return of.task->result;
    if (of.flow->outcomes.empty()) return std::nullopt;
    return outcome_of(*of.flow);
  };
  const std::optional<TypeId> wants = result(step), gives = result(other);
  if (wants.has_value() == gives.has_value() && (!wants || types_.fits(*gives, *wants))) return;
  const std::string wanted = wants ? with_article(types_.name(*wants)) : std::string("no result");
  const std::string found = gives ? with_article(types_.name(*gives)) : std::string("none");
  const auto place = [](const StepDef& of) {
    return of.task != nullptr ? of.task->tree->name.span : of.flow->tree->name.span;
  };
  context_.diagnostics
      .report(Code::E0301, other.span, fmt::format("expected {}, found {}", wanted, found))
      .also(place(step),
            fmt::format("the step's {} gives {}", step.task != nullptr ? "task" : "flow", wanted))
      .also(place(other), fmt::format("this one gives {}", found));
}

Block* FlowChecker::compensation(StepDef& step, const ast::Block& tree, bool unsure) {
  const Place outer = place_;
  const std::string path = path_;
  const Around around = around_;
  around_ = {};
  place_ = Place::kCompensation;
  path_ = step.path + "/undo/";
  locals_.enter_frame();
  if (unsure) exprs_.set_unsure(&step);
  Block& made = context_.program.blocks.emplace_back(block(tree));
  if (unsure) exprs_.set_unsure(nullptr);
  locals_.leave_frame();
  path_ = path;
  place_ = outer;
  around_ = around;
  return &made;
}

bool FlowChecker::concurrent_in_compensation(const ast::Stmt& tree, std::string_view word) {
  if (place_ != Place::kCompensation) return false;
  context_.diagnostics
      .report(Code::E0407, first_word(tree, word), "a compensation does one thing after the other")
      .because("so that a dead letter says exactly how far the undoing came");
  return true;
}

Stmt* FlowChecker::parallel(const ast::Stmt& tree, const ast::ParallelStmt& node) {
  const bool refused = concurrent_in_compensation(tree, "parallel");
  const Around outer = around_;
  around_ = {Loop::kNone, nullptr, outer.loop != Loop::kNone || outer.loop_outside};
  Parallel out{branches(node.branches)};
  around_ = outer;
  // Only now, so that siblings do not see each other.
  for (const Branch& each : out.branches) {
    if (each.name != nullptr) locals_.declare(each.name);
    if (each.step != nullptr) locals_.declare(each.step->result);
  }
  return refused ? nullptr : made(tree, std::move(out));
}

std::vector<Branch> FlowChecker::branches(const std::vector<ast::Branch>& trees) {
  auto& siblings = exprs_.siblings();
  const std::size_t outer = siblings.size();
  for (const ast::Branch& each : trees) {
    if (const auto* stmt = std::get_if<ast::StmtPtr>(&each.node)) {
      if (const auto* found = ast::as<ast::StepStmt>(**stmt)) {
        siblings.emplace_back(found->name.text, found->name.span);
      }
    }
  }
  std::vector<Branch> made;
  for (const ast::Branch& each : trees) made.push_back(branch(each));
  siblings.resize(outer);
  return made;
}

Branch FlowChecker::branch(const ast::Branch& tree) {
  Branch made;
  made.span = tree.span;
  locals_.enter_frame();
  locals_.open();
  if (const auto* stmt = std::get_if<ast::StmtPtr>(&tree.node)) {
    if (const auto* found = ast::as<ast::StepStmt>(**stmt)) made.step = step(**stmt, *found);
  } else {
    const auto& arm = std::get<ast::BranchArm>(tree.node);
    const std::string path = path_;
    path_ += arm.name.text + "/";
    made.name = context_.local(arm.name, kPoison, Local::Kind::kBranch);
    made.body = block(arm.body);
    path_ = path;
  }
  locals_.close();
  locals_.leave_frame();
  return made;
}

}  // namespace sluice::compiler
