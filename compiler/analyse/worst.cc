#include "compiler/analyse/worst.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "compiler/analyse/bounds.hpp"

namespace sluice::compiler::analyse {

using namespace ir;

namespace {

Amount unbounded(Span span, std::string what, std::string mend) {
  return {0, std::make_shared<Unbounded>(Unbounded{span, std::move(what), std::move(mend)})};
}

Amount ms(std::int64_t value) {
  return {value, nullptr};
}

Way lasting(Amount time) {
  Cost cost;
  cost.time = std::move(time);
  return Way::of(std::move(cost));
}

Exits leading(Exit exit, Way way = {}) {
  Exits exits;
  exits.or_else(exit, way);
  return exits;
}

// The gaps between `count` attempts, jitter at its longest.
Amount gaps(const Attempts& attempts) {
  Amount sum;
  double gap = static_cast<double>(attempts.backoff_from_ms);
  for (std::int64_t k = 1; k < attempts.count; ++k) {
    const auto here = std::min(gap, static_cast<double>(attempts.backoff_to_ms));
    sum = plus(sum, ms(static_cast<std::int64_t>(here)));
    gap = std::min(gap * static_cast<double>(attempts.factor_milli) / 1000, 1e15);
  }
  return sum;
}

// The longest time of one attempt: the wait for a worker, where `queue` bounds it, and the work.
Amount of_attempt(const StepDef& step) {
  const Amount wait = step.policies.queue_ms ? ms(step.policies.queue_ms->value) : Amount();
  if (step.policies.timeout_ms) return plus(wait, ms(step.policies.timeout_ms->value));
  if (step.policies.damaged) return {};  // some limit, which nobody knows
  return unbounded(step.name_span, fmt::format("an attempt of `{}` has no time limit", step.name),
                   "a `timeout` on the task, or a `within` on the step, bounds it");
}

// `within` is for the whole step: a wait for a worker that nothing else bounds may take all of it.
void limit_step(const StepDef& step, Cost& cost) {
  if (!step.policies.within_ms) return;
  const Amount within = ms(step.policies.within_ms->value);
  cost.time = cost.waits.empty() ? smaller(cost.time, within) : within;
  cost.waits.clear();
}

void cap_time(Exits& exits, const Amount& limit) {
  for (std::size_t i = 0; i < kExits; ++i) {
    auto& way = exits[static_cast<Exit>(i)];
    if (way) way->within(limit);
  }
}

}  // namespace

void Exits::or_else(Exit exit, const Way& way) {
  std::optional<Way>& here = (*this)[exit];
  if (here) {
    here->or_else(way);
  } else {
    here = way;
  }
}

void Exits::or_else(const Exits& other, const Way& before) {
  for (std::size_t i = 0; i < kExits; ++i) {
    const auto exit = static_cast<Exit>(i);
    if (!other[exit]) continue;
    Way way = before;
    or_else(exit, way.then(*other[exit]));
  }
}

Way Exits::most() const {
  Way way;
  for (const std::optional<Way>& each : ways_) {
    if (each) way.or_else(*each);
  }
  return way;
}

// ------------------------------------------------------------------------------------------ steps

Cost Worst::of_task(const StepDef& step) const {
  Cost cost;
  if (step.task == nullptr && step.flow != nullptr) {
    cost = children_.of(view_.program(), step);
    limit_step(step, cost);
    return cost;
  }
  if (step.task == nullptr) return cost;  // an error, which was reported
  const Policies& policies = step.policies;
  const Attempts attempts = policies.attempts ? policies.attempts->value : Attempts{};
  Amount once = of_attempt(step);
  cost.attempts[step.task] = ms(attempts.count);
  if (!policies.queue_ms && !policies.damaged) cost.waits.insert(view_.program(), step);
  if (policies.hedge) {
    // One more attempt for each, which begins later and may end later.
    const Hedge& hedge = policies.hedge->value;
    const StepDef& second = hedge.call == nullptr ? step : *hedge.call;
    once = larger(once, plus(ms(hedge.after_ms), of_attempt(second)));
    if (!second.policies.queue_ms) cost.waits.insert(view_.program(), step);
    if (second.task != nullptr) {
      Amount& tried = cost.attempts[second.task];
      tried = plus(tried, ms(attempts.count));
    }
  }
  cost.time = plus(times(once, ms(attempts.count)), gaps(attempts));
  limit_step(step, cost);
  return cost;
}

Cost Children::of(const Program& program, const StepDef& step) {
  const FlowDef& flow = *step.flow;
  const auto [place, fresh] = known_.try_emplace(&flow);
  if (!fresh && place->second) return *place->second;
  Cost cost;
  if (!fresh) {
    cost.time = unbounded(step.name_span, fmt::format("`{}` runs itself in the end", flow.name),
                          "a loop, or a list of work, needs no run of its own");
    return cost;
  }
  const View view(program, flow);
  Worst worst(view, *this);
  const FlowCost found = cost_of_flow(view, worst);
  Way way = found.way();
  if (flow.timeout_ms) way.within(ms(flow.timeout_ms->value));
  cost = way.both;
  Cost answer = found.on_failure;
  answer.time = smaller(answer.time, ms(kOnFailureMs));
  cost.then(answer);
  known_[&flow] = cost;
  return cost;
}

Cost Worst::of_step(const StepDef& step) const {
  Cost cost = of_task(step);
  if (step.policies.fallback_step) cost.then(of_step(*step.policies.fallback_step->value));
  return cost;
}

Cost Worst::undo_of(const ast::StepStmt& node) {
  Cost most;
  for (const ast::Policy& policy : node.policies) {
    const ast::Block* body = nullptr;
    if (const auto* undo = std::get_if<ast::CompensatePolicy>(&policy.node)) body = &undo->body;
    if (const auto* undo = std::get_if<ast::UnsurePolicy>(&policy.node)) body = &undo->body;
    if (body != nullptr) most.or_else(block(*body).most().cost);
  }
  return most;
}

Exits Worst::step(const ast::Stmt& stmt, const ast::StepStmt& node) {
  const StepDef* def = view_.step(stmt);
  return leading(Exit::kOn, Way::of(def == nullptr ? Cost() : of_step(*def), undo_of(node)));
}

// ------------------------------------------------------------------------------------- statements

Exits Worst::block(const ast::Block& block) {
  Exits all;
  std::optional<Way> way = Way{};
  Way last;
  for (const ast::StmtPtr& each : block.statements) {
    const Exits& here = statement(without_let(*each));
    for (std::size_t i = 1; i < kExits; ++i) {  // all but kOn
      const auto exit = static_cast<Exit>(i);
      if (!here[exit]) continue;
      Way leads = *way;
      all.or_else(exit, leads.then(*here[exit]));
    }
    if (!here[Exit::kOn]) {
      last = std::move(*way);
      way = std::nullopt;
      break;
    }
    way->then(*here[Exit::kOn]);
  }
  // Any statement may fail, if only by `Fault`; the later, the more was done by then.
  all.or_else(Exit::kFails, way ? *way : last);
  if (way) all.or_else(Exit::kOn, *way);
  return all;
}

const Exits& Worst::statement(const ast::Stmt& stmt) {
  if (const auto found = seen_.find(&stmt); found != seen_.end()) return found->second;
  Exits exits = go(stmt);
  return seen_.emplace(&stmt, std::move(exits)).first->second;
}

Exits Worst::go(const ast::Stmt& stmt) {
  const auto maybe = [&](const std::optional<ast::Block>& body, Exits without) {
    return body ? block(*body) : std::move(without);
  };
  return std::visit(
      ast::Overloaded{
          [](const ast::ReturnStmt&) { return leading(Exit::kLeaves); },
          [](const ast::FailStmt&) { return leading(Exit::kFails); },
          [](const ast::BreakStmt&) { return leading(Exit::kBreaks); },
          [](const ast::ContinueStmt&) { return leading(Exit::kContinues); },
          [](const ast::YieldStmt&) { return leading(Exit::kYields); },
          [&](const ast::StepStmt& node) { return step(stmt, node); },
          [&](const ast::IfStmt& node) {
            Exits exits = maybe(node.else_body, leading(Exit::kOn));
            for (const ast::IfArm& arm : node.arms) exits.or_else(block(arm.body), {});
            return exits;
          },
          [&](const ast::MatchStmt& node) {
            Exits exits = maybe(node.else_body, node.cases.empty() ? leading(Exit::kOn) : Exits());
            for (const ast::MatchCase& each : node.cases) exits.or_else(block(each.body), {});
            return exits;
          },
          [&](const ast::TryStmt& node) { return try_block(node); },
          [&](const ast::ReceiveStmt& node) { return receive(stmt, node); },
          [&](const ast::DeadlineStmt& node) { return deadline(stmt, node); },
          [&](const ast::ParallelStmt& node) { return branches(node.branches, false); },
          [&](const ast::RaceStmt& node) { return branches(node.branches, true); },
          [&](const ast::WhileStmt& node) { return loop(stmt, node.body); },
          [&](const ast::EachStmt& node) { return loop(stmt, node.body); },
          [&](const ast::SleepStmt& node) {
            const auto time = node.until ? std::nullopt : view_.duration_ms(node.value);
            return leading(Exit::kOn,
                           lasting(time ? ms(*time)
                                        : unbounded(stmt.span,
                                                    "how long this `sleep` is, is known only when "
                                                    "it runs",
                                                    "a `deadline D { … }` round it bounds it")));
          },
          [](const auto&) { return leading(Exit::kOn); },
      },
      stmt.node);
}

// What was done inside is undone before a `catch` goes on.
Exits Worst::try_block(const ast::TryStmt& node) {
  Exits exits = block(node.body);
  const std::optional<Way> failed = std::move(exits[Exit::kFails]);
  exits[Exit::kFails] = std::nullopt;
  if (!failed) return exits;
  const Way caught = failed->undone();
  bool all = false;
  for (const ast::CatchArm& arm : node.catches) {
    exits.or_else(block(arm.body), caught);
    all = all || !arm.kind;
  }
  if (!all) exits.or_else(Exit::kFails, *failed);
  return exits;
}

Exits Worst::receive(const ast::Stmt& stmt, const ast::ReceiveStmt& node) {
  const auto limit = view_.duration_ms(node.within);
  const Way waited = lasting(
      limit ? ms(*limit)
            : unbounded(word_of(stmt, 7),
                        node.within == nullptr ? "this `receive` waits until something comes"
                                               : "how long this waits, is known only when it runs",
                        "`within D` bounds it"));
  Exits exits;
  exits.or_else(node.body ? block(*node.body) : leading(Exit::kOn), waited);
  if (node.within != nullptr) {
    exits.or_else(node.else_body ? block(*node.else_body) : leading(Exit::kOn), waited);
  }
  return exits;
}

// The way past its end counts only where its steps could take so long, with the time that somebody
// bounded: a `deadline` that nothing reaches costs nothing.
Exits Worst::deadline(const ast::Stmt& stmt, const ast::DeadlineStmt& node) {
  const auto limit = view_.duration_ms(node.duration);
  const Amount most =
      limit ? ms(*limit)
            : unbounded(word_of(stmt, 8), "this `deadline` is known only when it runs",
                        "a constant bounds it");
  Exits exits = block(node.body);
  const Way whole = exits.most();
  cap_time(exits, most);
  Exits after = node.else_body ? block(*node.else_body) : leading(Exit::kOn);
  Way late = whole.undone();
  late.cost.time = plus(most, whole.undo.time);
  if (limit && !exceeds(whole.cost.time, *limit)) {
    // Waiting for a worker, which is in no time, may still use it up: then that way counts with all
    // that it calls.
    if (whole.cost.waits.empty()) return exits;
    late.cost.time = {};
    cap_time(after, {});
  }
  late.both.time = late.cost.time;
  exits.or_else(after, late);
  return exits;
}

Exits Worst::of_branch(const ast::Branch& branch) {
  const ast::Block* body = body_of(branch);
  return body == nullptr ? statement(*step_of(branch)) : block(*body);
}

// `parallel` lasts as long as its longest branch; `race` no longer than its shortest, and then the
// losers are undone.
Exits Worst::branches(const std::vector<ast::Branch>& branches, bool race) {
  Way all;
  Amount shortest = unbounded({}, "", "");
  Amount kept = unbounded({}, "", "");  // the undoing that is not done, as one branch has won
  Cost winner;
  bool on = true;
  bool any_on = branches.empty();
  bool leaves = false;
  for (const ast::Branch& each : branches) {
    const Exits here = of_branch(each);
    const Way most = here.most();
    shortest = smaller(most.cost.time, shortest);
    kept = smaller(most.undo.time, kept);
    winner.or_else(most.undo);
    all.beside(most);
    on = on && here[Exit::kOn];
    any_on = any_on || here[Exit::kOn] || here[Exit::kYields];
    leaves = leaves || here[Exit::kLeaves];
  }
  if (race && !branches.empty()) {
    const Amount time = shortest.is_bounded() ? shortest : all.cost.time;
    Amount losers = all.undo.time;
    if (losers.is_bounded()) losers.value -= kept.value;
    all.cost = all.both;  // each is undone once, here or later
    all.cost.time = plus(time, losers);
    all.undo = winner;
    all.both.time = plus(all.cost.time, winner.time);
  }
  Exits exits = leading(Exit::kFails, all);
  if (race ? any_on : on) exits.or_else(Exit::kOn, all);
  if (leaves) exits.or_else(Exit::kLeaves, all);
  return exits;
}

Rounds Worst::rounds_of(const ast::Stmt& stmt) {
  if (ast::as<ast::WhileStmt>(stmt) != nullptr) {
    const Amount none =
        unbounded(word_of(stmt, 5), "how often this `while` goes round, is known only when it runs",
                  "`each n in 1..N` is the bounded loop, a `deadline D { … }` bounds its time");
    return {none, none};
  }
  const auto& node = std::get<ast::EachStmt>(stmt.node);
  const Expr* source = view_.expr(node.source);
  if (source == nullptr || source->type == kPoison) return {ms(1), ms(1)};  // which was reported
  const Amount all = Bounds(view_).elements(*source);
  const std::int64_t beside =
      node.parallel == nullptr
          ? 1
          : std::max<std::int64_t>(view_.integer(node.parallel).value_or(1), 1);
  if (!all.is_bounded()) return {all, all};
  return {all, ms(all.value / beside + (all.value % beside == 0 ? 0 : 1))};
}

Exits Worst::loop(const ast::Stmt& stmt, const ast::Block& body) {
  const Exits once = block(body);
  std::optional<Way> round;
  for (const Exit exit : {Exit::kOn, Exit::kContinues, Exit::kBreaks, Exit::kYields}) {
    if (!once[exit]) continue;
    if (!round) round = Way{};
    round->or_else(*once[exit]);
  }
  const bool again = once[Exit::kOn] || once[Exit::kContinues] ||
                     (once[Exit::kYields] && ast::as<ast::EachStmt>(stmt) != nullptr);
  const Rounds rounds = again ? rounds_of(stmt) : Rounds{ms(1), ms(1)};
  Exits exits = leading(Exit::kOn);
  if (round) exits.or_else(Exit::kOn, round->repeated(rounds.all, rounds.turns));
  // A `yield` may belong to what is around the loop.
  for (const Exit exit : {Exit::kLeaves, Exit::kFails, Exit::kYields}) {
    if (!once[exit]) continue;
    Way last = *once[exit];
    if (round) last.or_else(*round);
    exits.or_else(exit, last.repeated(rounds.all, rounds.turns));
  }
  return exits;
}

// --------------------------------------------------------------------------------- the whole flow

Cost FlowCost::all() const {
  Cost sum = both;
  sum.then(on_failure);
  return sum;
}

FlowCost cost_of_flow(const View& view, Worst& worst) {
  const Way way = worst.block(view.tree().body).most();
  FlowCost cost{way.cost, way.undo, way.both, {}};
  if (view.tree().on_failure) {
    cost.on_failure = worst.block(view.tree().on_failure->body).most().cost;
  }
  return cost;
}

}  // namespace sluice::compiler::analyse
