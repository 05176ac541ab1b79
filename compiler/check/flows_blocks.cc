// Loops, and blocks that can be left before their end: `while`, `each`, `race`, `try`, `deadline`.
#include <fmt/format.h>

#include <algorithm>

#include "compiler/analyse/view.hpp"
#include "compiler/check/flows.hpp"
#include "vm/failure_kinds.hpp"

namespace sluice::compiler {

using namespace ir;

namespace {

bool is_true(const Expr* condition) {
  const auto* literal = as<BoolValue>(condition);
  return literal != nullptr && literal->value;
}

// Whether a block can come to its end: not by `return`, `fail`, `yield`, `break` or `continue`.
class Falling {
 public:
  bool through(const Block& block) {
    return std::all_of(block.statements.begin(), block.statements.end(),
                       [&](const Stmt* stmt) { return through(*stmt); });
  }

 private:
  bool through(const Stmt& stmt) {
    return std::visit(ast::Overloaded{
                          [](const Return&) { return false; },
                          [](const Fail&) { return false; },
                          [](const Yield&) { return false; },
                          // It was told already, and may have been any of these.
                          [](const Refused&) { return false; },
                          [](const Continue&) { return false; },
                          [&](const Break&) {
                            broken_ = true;
                            return false;
                          },
                          [&](const If& node) {
                            bool any = !node.else_body || through(*node.else_body);
                            for (const IfArm& arm : node.arms) any |= through(arm.body);
                            return any;
                          },
                          [&](const Match& node) {
                            bool any = node.else_body && through(*node.else_body);
                            for (const MatchCase& each : node.cases) any |= through(each.body);
                            return any;
                          },
                          [&](const Parallel& node) {
                            return std::all_of(node.branches.begin(), node.branches.end(),
                                               [&](const Branch& each) {
                                                 return each.step != nullptr || through(each.body);
                                               });
                          },
                          [&](const While& node) {
                            const bool outer = std::exchange(broken_, false);
                            through(node.body);
                            return std::exchange(broken_, outer) || !is_true(node.condition);
                          },
                          [&](const Each& node) {
                            const bool outer = std::exchange(broken_, false);
                            through(node.body);
                            broken_ = outer;
                            return true;
                          },
                          [&](const Try& node) {
                            bool any = through(node.body);
                            for (const Catch& each : node.catches) any |= through(each.body);
                            return any;
                          },
                          [&](const Deadline& node) {
                            const bool inside = through(node.body);
                            return !node.else_body || through(*node.else_body) || inside;
                          },
                          [&](const Receive& node) {
                            const bool taken = !node.body || through(*node.body);
                            const bool late = node.within != nullptr &&
                                              (!node.else_body || through(*node.else_body));
                            return taken || late;
                          },
                          [](const auto&) { return true; },
                      },
                      stmt.node);
  }

  bool broken_ = false;
};

}  // namespace

Stmt* FlowChecker::while_loop(const ast::Stmt& tree, const ast::WhileStmt& node) {
  While out;
  out.condition = exprs_.want_bool(*node.condition);
  const Around outer = around_;
  const std::string path = path_;
  around_.loop = Loop::kRounds;
  path_ += "while/";
  out.body = block(node.body);
  path_ = path;
  around_ = outer;
  return made(tree, std::move(out));
}

Expr* FlowChecker::each_source(const ast::EachStmt& node, TypeId* element) {
  Expr* source = exprs_.infer_closed(*node.source, node.variable.text);
  const TypeInfo info = types_[source->type];
  if (info.kind == TypeKind::kList) {
    *element = info.element;
  } else if (info.kind != TypeKind::kPoison) {
    exprs_.no_list(node.source->span, source->type);
  }
  return source;
}

void FlowChecker::each_body(const ast::EachStmt& node, Each& out) {
  const std::string path = path_;
  path_ += "each/";
  if (node.parallel != nullptr) locals_.enter_frame();
  out.body = block(node.body);
  if (node.parallel != nullptr) locals_.leave_frame();
  path_ = path;
}

Stmt* FlowChecker::each(const ast::Stmt& tree, const ast::EachStmt& node, const ast::Name* result) {
  Each out;
  TypeId element = kPoison;
  out.source = each_source(node, &element);
  if (node.parallel != nullptr) {
    concurrent_in_compensation(tree, "each");
    out.limit = exprs_.want(*node.parallel, {kInt});
    const auto* limit = as<IntValue>(out.limit);
    if (limit != nullptr && limit->value < 1) {
      context_.diagnostics.report(Code::E0445, node.parallel->span, "no round could ever begin")
          .because("`parallel N` says how many rounds run beside each other, from 1 on");
    }
  }
  Gather gather;
  gather.type = kEmpty;
  const Around outer = around_;
  if (node.parallel != nullptr) around_ = {Loop::kBeside, nullptr};
  if (node.parallel == nullptr) around_.loop = Loop::kRounds;
  if (result != nullptr) around_.gather = &gather;
  locals_.open();
  out.variable = context_.local(node.variable, element, Local::Kind::kElement);
  locals_.declare(out.variable);
  each_body(node, out);
  locals_.close();
  if (result != nullptr) out.result = gathered(tree, result, true);
  around_ = outer;
  return made(tree, std::move(out));
}

Stmt* FlowChecker::race(const ast::Stmt& tree, const ast::RaceStmt& node, const ast::Name* result) {
  Race out;
  concurrent_in_compensation(tree, "race");
  Gather gather;
  gather.type = kEmpty;
  const Around outer = around_;
  around_ = {Loop::kNone, &gather, outer.loop != Loop::kNone || outer.loop_outside};
  out.branches = branches(node.branches);
  if (result != nullptr) {
    for (const Branch& each : out.branches) race_value(each);
    out.result = gathered(tree, result, false);
  }
  around_ = outer;
  return made(tree, std::move(out));
}

// What a branch gives to a race whose result has a name.
void FlowChecker::race_value(const Branch& branch) {
  Gather& gather = *around_.gather;
  if (branch.step == nullptr) {
    if (!Falling().through(branch.body)) return;
    context_.diagnostics
        .report(
            Code::E0441, branch.name->span,
            fmt::format("the branch `{}` can come to its end without a value", branch.name->name))
        .because(
            "the race has a result, so each of its branches ends with `yield`, `return` or "
            "`fail`");
    return;
  }
  if (branch.step->task == nullptr && branch.step->flow == nullptr) {
    gather.type = kPoison;
    gather.any = true;
    return;
  }
  const Span span = branch.step->name_span;
  if (branch.step->result->type == kPoison) {
    context_.diagnostics
        .report(
            Code::E0441, span,
            fmt::format("the step `{}` has no result that could win the race", branch.step->name))
        .because(
            "put it into a `branch NAME { … yield … }`, or leave the result of the race "
            "without a name");
    return;
  }
  bool ok = false;
  const TypeId united = types_.unite(gather.type, branch.step->result->type, &ok);
  if (ok) {
    gather.type = united;
  } else {
    context_.diagnostics
        .report(Code::E0301, span,
                fmt::format("expected {}, found {}", with_article(types_.name(gather.type)),
                            with_article(types_.name(branch.step->result->type))))
        .also(gather.first, fmt::format("the first value of the race is {}",
                                        with_article(types_.name(gather.type))));
  }
  if (!gather.any) gather.first = span;
  gather.any = true;
}

Local* FlowChecker::gathered(const ast::Stmt& tree, const ast::Name* result, bool list) {
  const Gather& gather = *around_.gather;
  TypeId type = gather.type;
  if (!gather.any) {
    if (list && !context_.program.damage_in(tree.span.file).within(tree.span)) {
      context_.diagnostics
          .report(Code::E0443, first_word(tree, "each"),
                  fmt::format("no round yields anything, so `{}` stays empty", result->text))
          .because(
              "`yield VALUE` ends a round and adds the value; a loop that gathers nothing "
              "needs no `let`");
    }
    type = kPoison;
  } else if (types_.is_open(type) && !types_.has_poison(type)) {
    context_.diagnostics
        .report(Code::E0309, gather.first,
                fmt::format("nothing here says what type `{}` has", result->text))
        .because(
            "`none` and empty lists alone have no type; yield a field, a result or a value "
            "whose type is written");
    type = kPoison;
  }
  if (list && type != kPoison) type = types_.list_of(type);
  Local* local = context_.local(*result, type, Local::Kind::kLet);
  local->used = type == kPoison;  // what was reported is no second finding
  locals_.declare(local);
  return local;
}

Stmt* FlowChecker::yield(const ast::Stmt& tree, const ast::YieldStmt& node) {
  Yield out;
  if (around_.gather == nullptr) {
    out.value = exprs_.infer(*node.value);
    context_.diagnostics
        .report(Code::E0412, tree.span, "`yield` belongs into `race` or `let NAME = each`")
        .because("it gives the value of a branch or of a round");
    return made(tree, out);
  }
  Gather& gather = *around_.gather;
  if (!gather.any) gather.first = node.value->span;
  gather.any = true;
  out.value = exprs_.agree(*node.value, kPoison, nullptr, &gather.type, gather.first,
                           "the first value yielded");
  return made(tree, out);
}

Stmt* FlowChecker::jump(const ast::Stmt& tree, std::string_view word) {
  const bool leaves = word == "break";
  if (around_.loop == Loop::kNone) {
    Diagnostic& diagnostic = context_.diagnostics.report(
        Code::E0412, tree.span, fmt::format("`{}` belongs into a loop", word));
    if (around_.loop_outside) {
      diagnostic.because(
          "a branch runs beside others and does not end the loop around them; what it found out "
          "is given by `yield`, and asked behind the block");
    }
  } else if (leaves && around_.loop == Loop::kBeside) {
    context_.diagnostics
        .report(Code::E0442, tree.span, "rounds that run beside each other cannot be broken off")
        .because(
            "which of the others would have begun would be chance; `continue` ends this "
            "round, and a loop without `parallel` can be left");
  }
  if (leaves) return made(tree, Break{});
  return made(tree, Continue{});
}

// The end that a run is brought to from outside is no failure of what stands in a `try`; only a
// step that runs a flow may fail so, and what names the kind itself.
void FlowChecker::caught_from_outside(const ast::Stmt& tree, const ast::Name& kind,
                                      std::size_t steps, std::size_t fails) {
  const bool outside =
      kind.text == vm::failure_kind::kCancelled || kind.text == vm::failure_kind::kSuperseded;
  if (!outside || context_.program.damage_in(tree.span.file).within(tree.span)) return;
  const auto& declared = context_.declared_kinds;
  if (std::find(declared.begin(), declared.end(), kind.text) != declared.end()) return;
  for (std::size_t i = steps; i < flow_.steps.size(); ++i) {
    if (flow_.steps[i]->task == nullptr) return;
  }
  for (std::size_t i = fails; i < flow_.failed_kinds.size(); ++i) {
    if (flow_.failed_kinds[i].first == kind.text) return;
  }
  context_.diagnostics
      .report(Code::E0446, kind.span, fmt::format("no `catch` gets `{}` here", kind.text))
      .because(
          "a run that is cancelled or superseded is undone, and `on failure` answers; only a step "
          "that runs a flow fails so, when that flow was ended from outside");
}

Stmt* FlowChecker::try_statement(const ast::Stmt& tree, const ast::TryStmt& node) {
  Try out;
  const std::size_t steps = flow_.steps.size(), fails = flow_.failed_kinds.size();
  out.body = block(node.body);
  const ast::CatchArm* any = nullptr;
  for (const ast::CatchArm& arm : node.catches) {
    const auto same = std::find_if(node.catches.begin(), node.catches.end(), [&](const auto& o) {
      return o.kind && arm.kind && o.kind->text == arm.kind->text;
    });
    if (any != nullptr || (arm.kind && &*same != &arm)) {
      context_.diagnostics
          .report(Code::E0446, arm.kind ? arm.kind->span : first_word(tree, "catch"),
                  "this `catch` gets nothing")
          .also(any != nullptr ? any->span : same->span, "this one takes it all");
    }
    if (!arm.kind) any = &arm;
    Catch& each = out.catches.emplace_back();
    each.span = arm.span;
    if (arm.kind) {
      each.kind = arm.kind->text;
      check_kind(context_, *arm.kind);
      if (any == nullptr && (same == node.catches.end() || &*same == &arm)) {
        caught_from_outside(tree, *arm.kind, steps, fails);
      }
    }
    locals_.open();
    if (arm.why) {
      each.why = context_.local(*arm.why, context_.program.failure->type, Local::Kind::kWhy);
      locals_.declare(each.why);
    }
    each.body = block(arm.body);
    locals_.close();
  }
  return made(tree, std::move(out));
}

Stmt* FlowChecker::deadline(const ast::Stmt& tree, const ast::DeadlineStmt& node) {
  Deadline out;
  out.duration = exprs_.want(*node.duration, {kDuration});
  out.body = block(node.body);
  if (node.else_body) out.else_body = block(*node.else_body);
  return made(tree, std::move(out));
}

Stmt* FlowChecker::sleep(const ast::Stmt& tree, const ast::SleepStmt& node) {
  Sleep out;
  out.until = node.until;
  if (forbidden_in_on_failure(tree, "sleep")) {
    exprs_.infer(*node.value);
    return made(tree, Refused{});
  }
  if (node.until) {
    out.value = exprs_.want(*node.value, {kTimestamp});
  } else {
    out.value = exprs_.want(*node.value, {kDuration});
  }
  return made(tree, out);
}

namespace {

bool says_name(const ast::Expr& tree, const std::string& name) {
  const auto* said = ast::as<ast::NameExpr>(tree);
  bool found = said != nullptr && said->name == name;
  analyse::for_each_part(tree,
                         [&](const ast::Expr& part) { found = found || says_name(part, name); });
  return found;
}

}  // namespace

RecordDef* FlowChecker::awaited(const ast::ReceiveStmt& node) {
  const Symbol* symbol = context_.resolve(scope_, Space::kType, node.event, "event");
  if (symbol == nullptr) return nullptr;
  RecordDef* event = symbol->as<RecordDef>();
  if (event != nullptr && event->is_event) {
    event->crosses_edge = true;
    return event;
  }
  context_.diagnostics
      .report(Code::E0203, node.event.span,
              fmt::format("an event is wanted here, and this is {}", kind_with_article(*symbol)))
      .also(symbol->span, "declared here");
  return nullptr;
}

// Behind a `receive` without a block its name has a value on every path, and an `else` can be
// reached.
void FlowChecker::receive_ends(const ast::Stmt& tree, const ast::ReceiveStmt& node,
                               const Receive& out) {
  if (node.within == nullptr) {
    if (!out.else_body) return;
    context_.diagnostics.report(Code::W0004, out.else_body->span, "this `else` is never reached")
        .also(first_word(tree, "receive"), "it waits without end")
        .because("`within D` says after which time nothing is waited for any more");
    return;
  }
  if (node.body || (out.else_body && !Falling().through(*out.else_body))) return;
  context_.diagnostics
      .report(Code::E0447, out.else_body ? out.else_body->span : first_word(tree, "receive"),
              fmt::format("`{}` has no value when nothing comes in time", node.name.text))
      .because(
          fmt::format("end the `else` with `return`, `fail`, `break` or `continue`, or say what "
                      "happens with `{}` in a block: `receive … {{ … }} else {{ … }}`",
                      node.name.text));
}

const TopicDef* FlowChecker::receive_topic(const ast::ReceiveStmt& node, const RecordDef* event) {
  const Symbol* symbol = context_.resolve(scope_, Space::kTopic, *node.topic, "topic");
  const TopicDef* topic = symbol == nullptr ? nullptr : symbol->as<TopicDef>();
  if (topic == nullptr || event == nullptr || topic->event == nullptr || topic->event == event) {
    return topic;
  }
  context_.diagnostics
      .report(Code::E0448, node.event.span,
              fmt::format("`{}` is a topic of `{}`, not of `{}`", topic->name, topic->event->name,
                          event->name))
      .also(topic->tree->name.span, "declared here");
  return nullptr;
}

// The first `NAME.field == EXPR` among the conditions that all must hold.
void FlowChecker::find_pair(const ast::ReceiveStmt& node, Receive& out) {
  if (out.where != nullptr && out.where->type == kPoison) return;
  if (out.where != nullptr && pair_in(*node.where, *out.where, out)) return;
  const std::string& name = node.name.text;
  context_.diagnostics
      .report(
          Code::E0449, node.where != nullptr ? node.where->span : node.topic->span,
          fmt::format("this does not say which events of `{}` the run is about", out.topic->name))
      .because(fmt::format("`where {}.FIELD == VALUE`, alone or with `and`, is what the run "
                           "subscribes to: the field a string, a number, a `bool` or an enum, the "
                           "value without `{}`",
                           name, name));
}

bool FlowChecker::pair_in(const ast::Expr& tree, const Expr& where, Receive& out) {
  const auto* node = ast::as<ast::BinaryExpr>(tree);
  if (const auto* both = as<Logic>(&where)) {
    if (!both->is_and || node == nullptr || node->op != ast::BinaryOp::kAnd) return false;
    return pair_in(*node->left, *both->left, out) || pair_in(*node->right, *both->right, out);
  }
  const auto* compare = as<Compare>(&where);
  if (compare == nullptr || node == nullptr || node->op != ast::BinaryOp::kEqual) return false;
  return is_pair(*compare->left, *node->right, compare->right, out) ||
         is_pair(*compare->right, *node->left, compare->left, out);
}

bool FlowChecker::is_pair(const Expr& field, const ast::Expr& tree, Expr* value, Receive& out) {
  const auto* of = as<FieldOf>(&field);
  const auto* base = of == nullptr ? nullptr : as<LocalRef>(of->base);
  if (base == nullptr || base->local != out.local || of->optional || !is_key(field.type) ||
      !types_.fits(value->type, field.type) || says_name(tree, out.local->name)) {
    return false;
  }
  out.key_field = of->index;
  out.key = value;
  return true;
}

bool FlowChecker::is_key(TypeId type) const {
  const TypeKind kind = types_[type].kind;
  return kind == TypeKind::kString || kind == TypeKind::kInt || kind == TypeKind::kBool ||
         kind == TypeKind::kEnum;
}

Stmt* FlowChecker::receive(const ast::Stmt& tree, const ast::ReceiveStmt& node) {
  Receive out;
  const bool refused = forbidden_in_on_failure(tree, "receive") || place_ == Place::kCompensation;
  if (place_ == Place::kCompensation) {
    context_.diagnostics
        .report(Code::E0407, first_word(tree, "receive"), "a compensation waits for no event")
        .because("a run that is being undone accepts none; steps undo what a step did");
  }
  out.event = awaited(node);
  if (node.topic) out.topic = receive_topic(node, out.event);
  if (out.event != nullptr && !node.topic) flow_.received.push_back(out.event);
  if (node.within != nullptr) out.within = exprs_.want(*node.within, {kDuration});
  if (node.else_body) out.else_body = block(*node.else_body);
  // Without a block the name lives on after the statement.
  if (node.body) locals_.open();
  out.local = context_.local(node.name, out.event == nullptr ? kPoison : out.event->type,
                             Local::Kind::kElement);
  locals_.declare(out.local);
  if (node.where != nullptr) out.where = exprs_.want_bool(*node.where);
  if (out.topic != nullptr && out.event != nullptr) find_pair(node, out);
  if (node.body) {
    out.body = block(*node.body);
    locals_.close();
  }
  if (!refused) receive_ends(tree, node, out);
  return made(tree, std::move(out));
}

}  // namespace sluice::compiler
