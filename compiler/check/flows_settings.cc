// What stands in the head of a flow: what starts it, how long it may take, how many runs go on at
// once.
#include <fmt/format.h>

#include <algorithm>

#include "compiler/check/flows.hpp"
#include "vm/cron.hpp"

namespace sluice::compiler {

using namespace ir;

namespace {

// Runs of one key at once, and those that wait for them, at most.
constexpr std::int64_t kRunsAtOnceMax = 10'000;
constexpr std::int64_t kQueueMax = 1'000'000;

// The text of a string without parts; a schedule that has any says nothing.
std::string text_of(const ast::Expr& tree) {
  const auto* literal = ast::as<ast::StringLiteral>(tree);
  return literal == nullptr ? std::string() : literal->plain().value_or("");
}

// The part of a string that an error speaks of; the whole string where that is not sure.
Span part_of(const ast::Expr& tree, const std::string& text, const vm::CronError& error) {
  const Span whole = tree.span;
  const bool as_written = whole.end - whole.begin == text.size() + 2;
  if (!as_written || error.begin == error.end) return whole;
  return {whole.file, whole.begin + 1 + error.begin, whole.begin + 1 + error.end};
}

}  // namespace

void FlowChecker::settings() {
  std::vector<const ast::FlowSetting*> seen;
  for (const ast::FlowSetting& each : tree_.settings) {
    // Each task may have a budget of its own.
    const bool many = std::holds_alternative<ast::BudgetCallsSetting>(each.node);
    const auto same = std::find_if(seen.begin(), seen.end(), [&](const auto* other) {
      return !many && other->node.index() == each.node.index();
    });
    if (same != seen.end()) {
      context_.diagnostics.report(Code::E0501, each.span, "this setting is given twice")
          .also((*same)->span, "first here")
          .mend("remove it", {{each.span, ""}});
      continue;
    }
    seen.push_back(&each);
    setting(each);
  }
  exprs_.set_run_client(flow_.head_damaged  ? kPoison
                        : flow_.has_trigger ? kString
                                            : types_.optional_of(kString));
  for (const ast::FlowSetting* each : seen) {
    if (std::holds_alternative<ast::TtlSetting>(each->node) && !flow_.concurrency &&
        !flow_.head_damaged) {
      context_.diagnostics.report(Code::W0015, each->span, "nothing makes a run of this flow wait")
          .because(
              "the `ttl` of a flow ends the wait for a place under `concurrency`; without it a "
              "run begins with its event");
    }
  }
}

void FlowChecker::setting(const ast::FlowSetting& setting) {
  PolicyReader reader(context_, scope_, PolicyPlace::kBundle);
  std::visit(ast::Overloaded{
                 [&](const ast::TopicTrigger& node) { trigger(node, setting.span); },
                 [&](const ast::ScheduleTrigger& node) { schedule(node, setting.span); },
                 [&](const ast::FlowTimeoutSetting& node) {
                   const auto ms = reader.duration(*node.duration, "a timeout");
                   flow_.timeout_ms = {ms.value_or(0), setting.span};
                 },
                 [&](const ast::ConcurrencySetting& node) { concurrency(node, setting.span); },
                 [&](const ast::LimitSetting& node) {
                   flow_.limit = reader.limit(node, setting.span);
                   flow_.limit->per = per(node.scope, &flow_.limit->key);
                 },
                 [&](const ast::TtlSetting& node) {
                   flow_.ttl_ms = reader.duration(*node.duration, "a ttl").value_or(0);
                 },
                 [&](const ast::BudgetCallsSetting& node) { call_budget(node, setting.span); },
                 [&](const ast::BudgetTimeSetting& node) {
                   const auto ms = reader.duration(*node.duration, "a budget");
                   flow_.budget_ms = {ms.value_or(0), setting.span};
                 },
             },
             setting.node);
}

void FlowChecker::call_budget(const ast::BudgetCallsSetting& node, Span span) {
  PolicyReader reader(context_, scope_, PolicyPlace::kBundle);
  const auto calls = reader.integer(*node.count, "a number of calls", 0, kBudgetCallsMax);
  const Symbol* symbol = context_.resolve(scope_, Space::kValue, node.task, "task");
  if (symbol == nullptr || !calls) return;
  const TaskDef* task = symbol->as<TaskDef>();
  if (task == nullptr) {
    context_.diagnostics
        .report(Code::E0203, node.task.span,
                fmt::format("a budget is for the calls of a task, and this is {}",
                            kind_with_article(*symbol)))
        .also(symbol->span, "declared here");
    return;
  }
  for (const FlowDef::CallBudget& other : flow_.call_budgets) {
    if (other.task != task) continue;
    context_.diagnostics
        .report(Code::E0501, span, fmt::format("`{}` has a budget already", task->name))
        .also(other.span, "first here")
        .mend("remove it", {{span, ""}});
    return;
  }
  flow_.call_budgets.push_back({task, *calls, span});
}

void FlowChecker::trigger(const ast::TopicTrigger& node, Span span) {
  flow_.has_trigger = true;
  const Symbol* symbol = context_.resolve(scope_, Space::kTopic, node.topic, "topic");
  if (symbol == nullptr) return;
  flow_.trigger = symbol->as<TopicDef>();
  const RecordDef* event = flow_.trigger->event;
  if (event == nullptr) return;
  const bool one = flow_.parameters.size() == 1;
  if (one && types_.fits(event->type, flow_.parameters[0].type) &&
      types_.fits(flow_.parameters[0].type, event->type)) {
    return;
  }
  const Span where = one ? flow_.parameters[0].type_span : flow_.tree->name.span;
  context_.diagnostics
      .report(Code::E0411, where,
              fmt::format("a flow on `{}` takes one parameter, the `{}` that starts it",
                          flow_.trigger->name, event->name))
      .also(span, fmt::format("`{}` is a topic of `{}`", flow_.trigger->name, event->name));
}

void FlowChecker::schedule(const ast::ScheduleTrigger& node, Span span) {
  vm::Schedule made{text_of(*node.schedule), "UTC"};
  if (node.zone != nullptr) made.zone = text_of(*node.zone);
  if (const auto pattern = vm::parse_cron(made.cron); !pattern) {
    const vm::CronError& error = pattern.error();
    context_.diagnostics.report(Code::E0508, part_of(*node.schedule, made.cron, error),
                                error.message);
  }
  if (node.zone != nullptr) check_zone(*node.zone, made.zone);
  if (!flow_.parameters.empty()) {
    context_.diagnostics
        .report(Code::E0510, flow_.parameters.front().span,
                "a flow on a schedule takes no parameters")
        .also(span, "started by the clock")
        .because("nobody is there to give a value");
  }
  flow_.schedule = std::move(made);
}

void FlowChecker::check_zone(const ast::Expr& tree, const std::string& zone) {
  if (context_.zones == nullptr) return;
  const std::vector<std::string>& known = context_.zones();
  if (known.empty() || std::binary_search(known.begin(), known.end(), zone)) return;
  Diagnostic& diagnostic = context_.diagnostics.report(Code::E0509, tree.span,
                                                       fmt::format("there is no zone `{}`", zone));
  if (const auto near = nearest(zone, {known.begin(), known.end()})) {
    diagnostic.here(fmt::format("did you mean `{}`?", *near));
    diagnostic.mend(fmt::format("write `{}`", *near), {{tree.span, fmt::format("\"{}\"", *near)}});
  }
}

void FlowChecker::concurrency(const ast::ConcurrencySetting& node, Span span) {
  using Mode = ast::ConcurrencySetting::Mode;
  PolicyReader reader(context_, scope_, PolicyPlace::kBundle);
  ConcurrencyDef made;
  made.span = span;
  made.runs =
      reader.integer(*node.count, "the number of runs at once", 1, kRunsAtOnceMax).value_or(1);
  if (node.queue != nullptr) {
    const auto waiting = reader.integer(*node.queue, "the number of runs that wait", 1, kQueueMax);
    made.waiting = waiting.value_or(1);
  }
  switch (node.mode) {
    case Mode::kWait:
      break;
    case Mode::kNewestWins:
      made.overload = vm::Overload::newest_wins;
      break;
    case Mode::kQueue:
      made.overload = vm::Overload::queue;
      break;
    case Mode::kReject:
      made.overload = vm::Overload::reject;
      break;
    case Mode::kJoins:
      made.overload = vm::Overload::joins;
      break;
  }
  made.per = per(node.scope, &made.key);
  flow_.concurrency = std::move(made);
}

// What `joins` is for: the flow receives the event that starts it.
void FlowChecker::hears_its_event() const {
  if (flow_.concurrency->overload != vm::Overload::joins) return;
  const RecordDef* event = flow_.trigger == nullptr ? nullptr : flow_.trigger->event;
  if (flow_.has_trigger && event == nullptr) return;  // something else is wrong
  const auto& heard = flow_.received;
  if (event != nullptr && std::find(heard.begin(), heard.end(), event) != heard.end()) return;
  Diagnostic& warning = context_.diagnostics.report(
      Code::W0017, flow_.concurrency->span,
      event == nullptr
          ? "`joins` is for a flow that a topic starts"
          : fmt::format("no `receive` of this flow takes `{}` from the client", event->name));
  warning.because("nothing ever joins a run under way: each one waits for its turn");
}

vm::Per FlowChecker::per(const ast::Scope& scope, Expr** key) {
  if (scope.key == nullptr) return per_of(scope);
  Exprs exprs(context_, scope_, World::kPure, locals_);
  *key = exprs.infer(*scope.key);
  const TypeId type = (*key)->type;
  if (type != kString && type != kInt && type != kPoison) {
    context_.diagnostics.report(
        Code::E0301, scope.key->span,
        fmt::format("a key is a `string` or an `int`, not {}", with_article(types_.name(type))));
  }
  return vm::Per::key;
}

}  // namespace sluice::compiler
