// Test and invariant blocks: what they name exists, and what they give and expect has the right
// type. Their expressions are pure.
#include <fmt/format.h>

#include <algorithm>

#include "compiler/check/context.hpp"
#include "compiler/check/exprs.hpp"
#include "compiler/check/policies.hpp"
#include "compiler/engine_events.hpp"

namespace sluice::compiler {

using namespace ir;

namespace {

// What `expect … N times` may say, at most.
constexpr std::int64_t kTimesMax = 1'000'000;

class TestChecker {
 public:
  TestChecker(Context& context, ModuleScope& scope)
      : context_(context),
        scope_(scope),
        locals_(context),
        exprs_(context, scope, World::kPure, locals_),
        policies_(context, scope, PolicyPlace::kBundle) {}

  void test(TestDef& def) {
    test_ = &def;
    const auto& node = std::get<ast::TestDecl>(def.tree->node);
    const ast::TestItem* before = nullptr;
    for (const ast::TestItem& item : node.items) {
      std::visit(
          ast::Overloaded{
              [&](const ast::GivenItem& each) { given(item, each); },
              [&](const ast::WhenItem& each) { when(item, each); },
              [&](const ast::ExpectEventItem& each) { expect_event(item, each); },
              [&](const ast::ExpectStepItem& each) { expect_step(item, each); },
              [&](const ast::ExpectRefusedItem& each) { expect_refused(item, each, before); },
              [&](const ast::ExpectValueItem& each) {
                if (lacks_kind(*each.condition)) return;
                def.expectations.emplace_back(condition(item, *each.condition));
              },
              [&](const ast::AlwaysItem& each) {
                def.always.push_back(condition(item, *each.condition));
              },
          },
          item.node);
      before = &item;
    }
    check_shape(def, node);
  }

  void invariant(InvariantDef& def) {
    for (const ast::TestItem& item : std::get<ast::InvariantDecl>(def.tree->node).items) {
      if (const auto* always = std::get_if<ast::AlwaysItem>(&item.node)) {
        def.always.push_back(condition(item, *always->condition));
      }
    }
  }

 private:
  // A test that could not fail, or in which nothing happens, is none.
  void check_shape(const TestDef& def, const ast::TestDecl& node) {
    if (context_.program.damage_in(def.tree->span.file).within(def.tree->span)) return;
    const auto has = [&](auto is) { return std::any_of(node.items.begin(), node.items.end(), is); };
    const bool expects = has([](const ast::TestItem& item) {
      return !std::holds_alternative<ast::GivenItem>(item.node) &&
             !std::holds_alternative<ast::WhenItem>(item.node);
    });
    if (!expects) {
      context_.diagnostics.report(Code::E0806, def.tree->name.span, "this test expects nothing")
          .because("`expect` and `always` lines say what must hold");
      return;
    }
    const bool happens = has(
        [](const ast::TestItem& item) { return std::holds_alternative<ast::WhenItem>(item.node); });
    const bool about_runs = has([](const ast::TestItem& item) {
      return !std::holds_alternative<ast::ExpectValueItem>(item.node) &&
             !std::holds_alternative<ast::ExpectRefusedItem>(item.node);
    });
    if (happens || !about_runs) return;
    context_.diagnostics.report(Code::E0807, def.tree->name.span, "nothing happens in this test")
        .because("a `when` line says what comes in: an event, `start FLOW(…)`, `cancel`");
  }

  // ---- given

  void given(const ast::TestItem& item, const ast::GivenItem& node) {
    const TaskDef* task = task_named(node.task);
    Given made;
    made.task = task;
    made.span = item.span;
    for (std::size_t i = 0; i < node.answers.size(); ++i) {
      const ast::GivenAnswer& answer = node.answers[i];
      made.answers.push_back(given_answer(answer, task));
      if (!answer.always || i + 1 == node.answers.size()) continue;
      context_.diagnostics
          .report(Code::E0809, node.answers[i + 1].span, "this answer is never given")
          .also(answer.span, "this one is given `always`")
          .because("`always` ends a sequence");
      break;
    }
    if (task == nullptr) return;
    for (const Given& other : test_->givens) {
      if (other.task != task) continue;
      context_.diagnostics
          .report(Code::E0804, item.span, fmt::format("what `{}` does is said twice", task->name))
          .also(other.span, "first here")
          .because("one `given` line says all its attempts do, one after another, by `then`");
      return;
    }
    test_->givens.push_back(std::move(made));
  }

  const TaskDef* task_named(const ast::QualifiedName& name) {
    if (!name.is_simple()) {
      const Symbol* symbol = context_.resolve(scope_, Space::kValue, name, "task");
      if (symbol == nullptr) return nullptr;
      return symbol->as<TaskDef>() != nullptr ? symbol->as<TaskDef>() : no_task(name, *symbol);
    }
    if (const Symbol* symbol = scope_.find(Space::kValue, name.last().text)) {
      return symbol->as<TaskDef>() != nullptr ? symbol->as<TaskDef>() : no_task(name, *symbol);
    }
    // A program's tests may stand in a module of their own: names of tasks are unique in it.
    std::vector<std::string_view> names;
    for (const TaskDef& task : context_.program.tasks) {
      if (task.name == name.last().text) return &task;
      names.push_back(task.name);
    }
    if (context_.program.is_lost(name.last().text)) return nullptr;
    std::sort(names.begin(), names.end());
    context_.unknown(Code::E0801, "there is no task", name.last(), names);
    return nullptr;
  }

  const TaskDef* no_task(const ast::QualifiedName& name, const Symbol& symbol) {
    context_.diagnostics
        .report(Code::E0801, name.span,
                fmt::format("`{}` is {}, and `given` says what a task answers", name.text(),
                            kind_with_article(symbol)))
        .also(symbol.span, "declared here")
        .because("everything but tasks runs in a test as it is");
    return nullptr;
  }

  GivenAnswer given_answer(const ast::GivenAnswer& node, const TaskDef* task) {
    GivenAnswer made;
    made.always = node.always;
    if (node.queue != nullptr) {
      made.queue_ms = policies_.duration(*node.queue, "the wait for a worker");
    }
    if (node.stream != nullptr) {
      made.stream_ms = policies_.duration(*node.stream, "the time to the first piece");
    }
    if (node.takes != nullptr) made.takes_ms = policies_.duration(*node.takes, "a delay");
    if (node.fails) {
      made.fails = node.fails->text;
      check_kind(*node.fails);
    }
    if (node.message != nullptr) made.message = plain(*node.message).value_or("");
    if (node.returns == nullptr) return made;
    if (task == nullptr) {
      exprs_.infer(*node.returns);
    } else if (!task->result) {
      exprs_.infer(*node.returns);
      context_.diagnostics
          .report(Code::E0802, node.returns->span,
                  fmt::format("the task `{}` has no result", task->name))
          .also(task->tree->name.span, "declared here, without `-> TYPE`")
          .because("`takes D` says how long it works, `fails KIND` that it fails");
    } else {
      made.returns =
          exprs_.want(*node.returns, {*task->result, task->result_span,
                                      fmt::format("what `{}` returns", task->name), Code::E0802});
    }
    return made;
  }

  void check_kind(const ast::Name& kind) {
    const std::vector<std::string_view> known = known_kinds(context_);
    if (std::find(known.begin(), known.end(), kind.text) != known.end()) return;
    if (context_.program.is_lost(kind.text)) return;
    context_.unknown(Code::W0003, "no task or flow here fails with the kind", kind, known);
  }

  std::optional<std::string> plain(const ast::Expr& tree) {
    const auto text = ast::as<ast::StringLiteral>(tree)->plain();
    if (!text) {
      context_.diagnostics.report(Code::E0310, tree.span, "this text is a literal")
          .because("it is part of the scenario, which nothing computes");
    }
    return text;
  }

  // ---- when

  void when(const ast::TestItem& item, const ast::WhenItem& node) {
    When made;
    made.span = item.span;
    if (node.after != nullptr) {
      made.after_ms = policies_.duration(*node.after, "a delay").value_or(0);
    }
    if (node.from != nullptr) made.client = plain(*node.from);
    if (node.event != nullptr) {
      when_event(node, made);
    } else if (node.start != nullptr) {
      when_start(*node.start, made);
    }
    test_->whens.push_back(std::move(made));
  }

  void when_event(const ast::WhenItem& node, When& made) {
    RecordDef* version = node.version ? version_of(node) : nullptr;
    if (node.version && version == nullptr) return;
    exprs_.set_version(version);
    made.value = exprs_.infer(*node.event);
    exprs_.set_version(nullptr);
    made.sent = event_of(*made.value, node.event->span);
    const RecordDef* event = version != nullptr ? version->newest : made.sent;
    made.event = event;
    if (node.topic) {
      const Symbol* symbol = context_.resolve(scope_, Space::kTopic, *node.topic, "topic");
      made.topic = symbol == nullptr ? nullptr : symbol->as<TopicDef>();
      if (made.topic == nullptr || event == nullptr || made.topic->event == event) return;
      context_.diagnostics
          .report(Code::E0805, node.topic->span,
                  fmt::format("`{}` is no topic of `{}`", made.topic->name, event->name))
          .also(made.topic->tree->name.span, "declared here");
      return;
    }
    if (event == nullptr) return;
    for (const TopicDef& topic : context_.program.topics) {
      if (topic.event != event) continue;
      if (made.topic != nullptr) {
        context_.diagnostics
            .report(Code::E0805, node.event->span,
                    fmt::format("several topics take `{}`", event->name))
            .also(made.topic->tree->name.span, "this one")
            .also(topic.tree->name.span, "and this one")
            .because("say which one: `when EVENT { … } to TOPIC`");
        return;
      }
      made.topic = &topic;
    }
    if (made.topic != nullptr || is_received(*event)) return;
    if (context_.program.is_lost(event->name)) return;
    context_.diagnostics
        .report(Code::E0805, node.event->span, fmt::format("nothing takes `{}`", event->name))
        .also(event->tree->name.span, "declared here")
        .because("an event comes in on a topic, or a flow receives it from its client");
  }

  // The version that `when Ask v1 { … }` names; null after a report.
  RecordDef* version_of(const ast::WhenItem& node) {
    const auto& tree = std::get<ast::RecordExpr>(node.event->node);
    const Symbol* symbol = context_.resolve(scope_, Space::kType, tree.type, "event");
    const RecordDef* newest = symbol == nullptr ? nullptr : symbol->as<RecordDef>();
    for (RecordDef& each : context_.program.records) {
      const bool same = newest != nullptr && each.is_event && each.newest == newest;
      if (same && each.version == *node.version) return &each;
    }
    for (const ast::FieldInit& init : tree.fields) exprs_.infer(*init.value);
    if (symbol == nullptr || context_.program.is_lost(tree.type.last().text)) return nullptr;
    if (newest == nullptr || !newest->is_event) {
      context_.diagnostics
          .report(Code::E0203, tree.type.span,
                  fmt::format("an event comes in, and this is {}", kind_with_article(*symbol)))
          .also(symbol->span, "declared here");
      return nullptr;
    }
    context_.diagnostics
        .report(Code::E0220, node.version_span,
                fmt::format("`{}` has no version v{}", newest->name, *node.version))
        .also(newest->tree->name.span, fmt::format("its newest version is v{}", newest->version))
        .because("a test sends a version that is declared, as its fields must be known");
    return nullptr;
  }

  bool is_received(const RecordDef& event) const {
    const auto& flows = context_.program.flows;
    return std::any_of(flows.begin(), flows.end(), [&](const FlowDef& flow) {
      return std::find(flow.received.begin(), flow.received.end(), &event) != flow.received.end();
    });
  }

  void when_start(const ast::Expr& tree, When& made) {
    const auto& call = std::get<ast::CallExpr>(tree.node);
    const auto* name = ast::as<ast::NameExpr>(*call.callee);
    FlowDef* flow = nullptr;
    std::vector<std::string_view> names;
    for (FlowDef& each : context_.program.flows) {
      names.push_back(each.name);
      if (name != nullptr && each.name == name->name) flow = &each;
    }
    if (flow == nullptr) {
      for (const ast::Argument& argument : call.arguments) exprs_.infer(*argument.value);
      std::sort(names.begin(), names.end());
      const std::string text = name != nullptr ? name->name : "…";
      if (context_.program.is_lost(text)) return;
      context_.unknown(Code::E0810, "there is no flow", {text, call.callee->span}, names);
      return;
    }
    made.flow = flow;
    made.arguments = exprs_.arguments(call, tree.span, flow->parameters,
                                      {flow->name, flow->tree->name.span, flow->damaged});
  }

  const RecordDef* event_of(const Expr& value, Span span) {
    if (value.type == kPoison) return nullptr;
    const RecordDef* record = context_.types[value.type].record;
    if (record != nullptr && record->is_event) return record;
    context_.diagnostics
        .report(Code::E0413, span,
                fmt::format("an event comes in, and this is {}",
                            with_article(context_.types.name(value.type))))
        .because("what crosses the edge is declared with `event`");
    return nullptr;
  }

  // ---- expect

  void expect_event(const ast::TestItem& item, const ast::ExpectEventItem& node) {
    using Count = ast::ExpectEventItem::Count;
    ExpectEvent made;
    made.span = item.span;
    made.kind = node.kind;
    if (node.within != nullptr) made.within_ms = policies_.duration(*node.within, "a limit");
    if (node.count == Count::kOnce) made.times = 1;
    if (node.count == Count::kNever) made.times = 0;
    if (node.count == Count::kTimes) {
      made.times = policies_.integer(*node.times, "a count", 0, kTimesMax);
    }
    const Symbol* symbol = context_.resolve(scope_, Space::kType, node.event.type, "event");
    const RecordDef* event = symbol == nullptr ? nullptr : symbol->as<RecordDef>();
    if (symbol != nullptr && (event == nullptr || !event->is_event)) {
      context_.diagnostics
          .report(
              Code::E0203, node.event.type.span,
              fmt::format("an event is wanted here, and this is {}", kind_with_article(*symbol)))
          .also(symbol->span, "declared here");
      event = nullptr;
    }
    if (event == nullptr) {
      for (const ast::FieldInit& init : node.event.fields) exprs_.infer(*init.value);
      return;
    }
    made.event = event;
    check_possible(node, *event);
    fields(node.event.fields, *event, made);
    test_->expectations.emplace_back(std::move(made));
  }

  void fields(const std::vector<ast::FieldInit>& inits, const RecordDef& event, ExpectEvent& made) {
    for (const ast::FieldInit& init : inits) {
      std::uint32_t index = 0;
      const FieldDef* field = event.find(init.name.text, &index);
      if (field == nullptr) {
        exprs_.unknown_field(event, init.name);
        exprs_.infer(*init.value);
        continue;
      }
      made.fields.emplace_back(
          index,
          exprs_.want(*init.value, {field->type, field->type_span,
                                    fmt::format("field `{}` is declared here", field->name)}));
    }
  }

  void expect_refused(const ast::TestItem& item, const ast::ExpectRefusedItem& node,
                      const ast::TestItem* before) {
    const auto misplaced = [&](std::string message, std::string why) {
      context_.diagnostics.report(Code::E0813, item.span, std::move(message))
          .because(std::move(why));
    };
    const auto* when = before == nullptr ? nullptr : std::get_if<ast::WhenItem>(&before->node);
    if (when == nullptr) {
      if (context_.program.damage_in(item.span.file).within(test_->tree->span)) return;
      return misplaced("this expects no `when` line to be refused",
                       "it speaks of the `when` line right before it");
    }
    When& made = test_->whens.back();
    if (when->event == nullptr && when->start == nullptr) {
      return misplaced("nobody refuses a cancel", "where no run is under way it cancels nothing");
    }
    if (made.event != nullptr && is_engines(*made.event)) {
      return misplaced(fmt::format("nobody refuses `{}`", made.event->name),
                       "the engine tells it itself, to runs that want to know");
    }
    if (!is_refusal(node.kind)) return;
    made.refused = node.kind.text;
    made.refused_span = item.span;
  }

  // `expect refused`, where that is no name of the program's own.
  bool lacks_kind(const ast::Expr& condition) {
    const auto* name = ast::as<ast::NameExpr>(condition);
    if (name == nullptr || name->name != "refused") return false;
    if (scope_.find(Space::kValue, name->name) != nullptr) return false;
    context_.diagnostics.report(Code::E0814, condition.span, "this refusal has no kind")
        .because(fmt::format("it is one of `{}`", fmt::join(kRefusals, "`, `")));
    return true;
  }

  bool is_refusal(const ast::Name& kind) {
    const std::vector<std::string_view> known(kRefusals.begin(), kRefusals.end());
    if (std::find(known.begin(), known.end(), kind.text) != known.end()) return true;
    Diagnostic* report = context_.unknown(Code::E0814, "nothing is refused as", kind, known);
    if (report != nullptr && report->fixes.empty()) {
      report->because(fmt::format("a test knows `{}`", fmt::join(known, "`, `")));
    }
    return false;
  }

  // An event that no run can send that way is a mistake of the test.
  void check_possible(const ast::ExpectEventItem& node, const RecordDef& event) {
    using Kind = ast::ExpectEventItem::Kind;
    const auto& program = context_.program;
    bool possible = event.crosses_edge;
    const char* what = "no flow notifies a client of";
    if (node.kind == Kind::kReturn) {
      what = "no flow has the outcome";
      possible = std::any_of(program.flows.begin(), program.flows.end(), [&](const FlowDef& flow) {
        return !flow.outcomes_known ||
               std::find(flow.outcomes.begin(), flow.outcomes.end(), &event) != flow.outcomes.end();
      });
    } else if (node.kind == Kind::kPublish) {
      what = "no flow publishes";
      possible = std::any_of(program.stmts.begin(), program.stmts.end(), [&](const Stmt& stmt) {
        const auto* publish = std::get_if<Publish>(&stmt.node);
        return publish != nullptr && publish->topic != nullptr && publish->topic->event == &event;
      });
    }
    if (possible || context_.program.is_lost(event.name)) return;
    context_.diagnostics
        .report(Code::E0811, node.event.type.span, fmt::format("{} `{}`", what, event.name))
        .also(event.tree->name.span, "declared here");
  }

  void expect_step(const ast::TestItem& item, const ast::ExpectStepItem& node) {
    using Kind = ast::ExpectStepItem::Kind;
    ExpectStep made;
    made.span = item.span;
    made.kind = node.kind;
    bool known = step_named(node.step, &made.step);
    if (node.kind == Kind::kTimes) {
      made.times = policies_.integer(*node.times, "a count", 0, kTimesMax).value_or(0);
    }
    if (node.kind == Kind::kBefore) known = step_named(*node.other, &made.other) && known;
    if (node.kind == Kind::kWithin) {
      made.within_ms = policies_.duration(*node.within, "a limit").value_or(0);
    }
    if (known) test_->expectations.emplace_back(std::move(made));
  }

  // A step's name, the end of its path, or a task's name, in this order.
  bool step_named(const ast::QualifiedName& name, StepName* out) {
    out->text = name.text();
    std::string path;
    for (const ast::Name& part : name.parts) path += (path.empty() ? "" : "/") + part.text;
    std::vector<std::string_view> names;
    for (const StepDef& step : context_.program.steps) {
      if (step.name == path || ("/" + step.path).ends_with("/" + path)) {
        out->path = path;
        return true;
      }
      names.push_back(step.name);
    }
    for (const TaskDef& task : context_.program.tasks) {
      if (task.name == name.last().text) {
        out->task = &task;
        return true;
      }
      names.push_back(task.name);
    }
    if (context_.program.is_lost(name.last().text)) return false;
    std::sort(names.begin(), names.end());
    names.erase(std::unique(names.begin(), names.end()), names.end());
    context_.unknown(Code::E0803, "there is no step or task", name.last(), names);
    return false;
  }

  // ---- conditions

  Condition condition(const ast::TestItem& item, const ast::Expr& tree) {
    Condition made;
    made.span = item.span;
    exprs_.set_own_calls(
        [&](const ast::Expr& call_tree, const ast::CallExpr& call, const std::string& name) {
          return count(call_tree, call, name, made);
        });
    made.value = exprs_.want_bool(tree);
    exprs_.set_own_calls({});
    return made;
  }

  Expr* count(const ast::Expr& tree, const ast::CallExpr& call, const std::string& name,
              Condition& made) {
    using What = CountOf::What;
    static const std::unordered_map<std::string, What> kCounts = {
        {"count", What::kBegun},
        {"attempts", What::kAttempts},
        {"completed", What::kCompleted},
        {"dead_letters", What::kDeadLetters},
    };
    const auto found = kCounts.find(name);
    if (found == kCounts.end()) return nullptr;
    CountOf count;
    count.what = found->second;
    const std::size_t wanted = count.what == What::kDeadLetters ? 0 : 1;
    if (call.arguments.size() != wanted ||
        (wanted == 1 && !counted(*call.arguments[0].value, count))) {
      if (call.arguments.size() != wanted) wrong_count(tree, name);
      return context_.poison(tree.span);
    }
    count.local = context_.local({name, tree.span}, kInt, Local::Kind::kParameter);
    Expr* made_ref = context_.expr(tree.span, kInt, LocalRef{count.local});
    made.counts.push_back(std::move(count));
    return made_ref;
  }

  void wrong_count(const ast::Expr& tree, const std::string& name) {
    context_.diagnostics
        .report(Code::E0812, tree.span, fmt::format("`{}` does not count this", name))
        .because(
            "`count(STEP)`, `count(EVENT)`, `attempts(STEP)`, `completed(STEP)`, "
            "`dead_letters()`; a task's name stands for all its steps");
  }

  // Fills in what is counted. False: it was reported.
  bool counted(const ast::Expr& tree, CountOf& count) {
    ast::QualifiedName name;
    name.span = tree.span;
    const ast::Expr* at = &tree;
    while (const auto* field = ast::as<ast::FieldExpr>(*at)) {
      name.parts.insert(name.parts.begin(), field->field);
      at = field->base.get();
    }
    const auto* first = ast::as<ast::NameExpr>(*at);
    if (first == nullptr) {
      wrong_count(tree, "count");
      return false;
    }
    name.parts.insert(name.parts.begin(), ast::Name{first->name, at->span});
    const char initial = first->name.empty() ? 'a' : first->name[0];
    if (initial < 'A' || initial > 'Z') return step_named(name, &count.step);
    const Symbol* symbol = context_.resolve(scope_, Space::kType, name, "event");
    if (symbol == nullptr) return false;
    count.event = symbol->as<RecordDef>();
    if (count.event == nullptr || !count.event->is_event || count.what != CountOf::What::kBegun) {
      wrong_count(tree, "this");
      return false;
    }
    count.what = CountOf::What::kEvents;
    return true;
  }

  Context& context_;
  ModuleScope& scope_;
  Locals locals_;
  Exprs exprs_;
  PolicyReader policies_;
  TestDef* test_ = nullptr;
};

}  // namespace

void check_tests(Context& context) {
  for (TestDef& def : context.program.tests) {
    TestChecker(context, *context.scope_of.at(def.module)).test(def);
  }
  for (InvariantDef& def : context.program.invariants) {
    TestChecker(context, *context.scope_of.at(def.module)).invariant(def);
  }
}

}  // namespace sluice::compiler
