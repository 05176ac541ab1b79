#include "compiler/check/policies.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "compiler/check/fold.hpp"
#include "vm/failure_kinds.hpp"

namespace sluice::compiler {

using namespace ir;

std::vector<std::string_view> known_kinds(const Context& context) {
  std::vector<std::string_view> kinds(std::begin(vm::failure_kind::kAll),
                                      std::end(vm::failure_kind::kAll));
  for (const std::string& kind : context.declared_kinds) kinds.push_back(kind);
  return kinds;
}

std::optional<vm::Value> PolicyReader::constant(const ast::Expr& tree, TypeId type,
                                                std::string_view what) {
  Exprs exprs(context_, scope_, World::kConstant, locals_);
  const Expr* value = exprs.want(tree, {type});
  const auto folded = fold(*value);
  if (folded) return *folded;
  if (folded.error().is_constant) {
    context_.diagnostics.report(Code::E0315, folded.error().span, folded.error().message);
  } else if (!folded.error().was_reported) {
    context_.diagnostics
        .report(Code::E0310, folded.error().span,
                fmt::format("{} is a literal or a constant", what))
        .because("it is part of the program, not of a run");
  }
  return std::nullopt;
}

std::optional<std::int64_t> PolicyReader::duration(const ast::Expr& tree, std::string_view what) {
  const auto value = constant(tree, kDuration, what);
  if (!value) return std::nullopt;
  if (value->as_int() > 0) return value->as_int();
  context_.diagnostics.report(Code::E0503, tree.span,
                              fmt::format("{} must be longer than 0", what));
  return std::nullopt;
}

std::optional<std::int64_t> PolicyReader::integer(const ast::Expr& tree, std::string_view what,
                                                  std::int64_t least, std::int64_t most) {
  const auto value = constant(tree, kInt, what);
  if (!value) return std::nullopt;
  if (value->as_int() >= least && value->as_int() <= most) return value->as_int();
  context_.diagnostics.report(Code::E0503, tree.span,
                              fmt::format("{} is from {} to {}", what, least, most));
  return std::nullopt;
}

StepLines PolicyReader::read(const Lines& lines, Policies& into) {
  step_ = {};
  seen_.clear();
  for (const ast::Policy& line : lines) {
    if (is_repeated(line)) continue;
    if (place_ == PolicyPlace::kChild && !fits_child(line)) continue;
    apply(line, into);
  }
  return step_;
}

// A policy once per list: what a `uses` brings is overridden, what is written twice is a mistake.
bool PolicyReader::is_repeated(const ast::Policy& line) {
  const bool many = std::holds_alternative<ast::UsesPolicy>(line.node) ||
                    std::holds_alternative<ast::FailsPolicy>(line.node);
  if (many) return false;
  for (const ast::Policy* other : seen_) {
    if (other->node.index() != line.node.index()) continue;
    context_.diagnostics.report(Code::E0501, line.span, "this policy is given twice")
        .also(other->span, "first here")
        .mend("remove it", {{line.span, ""}});
    return true;
  }
  seen_.push_back(&line);
  return false;
}

bool PolicyReader::fits_child(const ast::Policy& line) {
  const bool fits = std::holds_alternative<ast::WithinPolicy>(line.node) ||
                    std::holds_alternative<ast::KeepPolicy>(line.node) ||
                    std::holds_alternative<ast::FallbackPolicy>(line.node) ||
                    std::holds_alternative<ast::CompensatePolicy>(line.node);
  if (fits) return true;
  const bool unsure = std::holds_alternative<ast::UnsurePolicy>(line.node);
  context_.diagnostics
      .report(Code::E0502, line.span,
              unsure ? "a step that runs a flow is never unsure"
                     : "this policy belongs to a task, and the step runs a flow")
      .because(unsure ? "a run that is cancelled undoes itself what it did"
                      : "the flow's own steps say how they are tried; here stand `within`, "
                        "`fallback`, `compensate` and `keep`");
  return false;
}

void PolicyReader::step_only(Span span, std::string_view name, std::string_view why) {
  context_.diagnostics.report(Code::E0502, span, fmt::format("`{}` belongs to a step", name))
      .because(std::string(why));
}

void PolicyReader::apply(const ast::Policy& line, Policies& into) {
  const Span span = line.span;
  const auto said = [&](std::optional<std::int64_t> ms, std::optional<Said<std::int64_t>>& field) {
    if (ms) field = {*ms, span};
  };
  std::visit(
      ast::Overloaded{
          [&](const ast::TimeoutPolicy& p) {
            said(duration(*p.duration, "a timeout"), into.timeout_ms);
          },
          [&](const ast::WithinPolicy& p) {
            said(duration(*p.duration, "a time limit"), into.within_ms);
          },
          [&](const ast::QueuePolicy& p) {
            said(duration(*p.duration, "the wait for a worker"), into.queue_ms);
          },
          [&](const ast::HeartbeatPolicy& p) {
            said(duration(*p.duration, "a heartbeat"), into.heartbeat_ms);
          },
          [&](const ast::AttemptsPolicy& p) { attempts(line, p, into); },
          [&](const ast::HedgePolicy& p) { hedge(line, p, into); },
          [&](const ast::PoolPolicy& p) { pool(line, p, into); },
          [&](const ast::StreamPolicy&) { into.stream = span; },
          [&](const ast::IdempotentPolicy&) { into.idempotent = span; },
          [&](const ast::ReadonlyPolicy&) { into.readonly = into.idempotent = span; },
          [&](const ast::KeyedPolicy& p) {
            if (place_ == PolicyPlace::kStep) {
              step_.keyed = &p;
              step_.keyed_span = span;
            } else if (p.key != nullptr) {
              step_only(
                  p.key->span, "keyed EXPR",
                  "the key is made of what the step knows; a task says only that it is keyed");
            } else {
              into.keyed = {nullptr, span};
            }
          },
          [&](const ast::KeepPolicy&) {
            if (place_ == PolicyPlace::kStep || place_ == PolicyPlace::kChild) {
              into.keep = span;
            } else {
              step_only(span, "keep", "whether an effect is kept is for the flow to say");
            }
          },
          [&](const ast::BreakerPolicy& p) { breaker(p, span, into); },
          [&](const ast::PriorityPolicy& p) { priority(p, span, into); },
          [&](const ast::UsesPolicy& p) { uses(p, into); },
          [&](const ast::FailsPolicy& p) {
            if (place_ == PolicyPlace::kTask) return;
            context_.diagnostics.report(Code::E0502, span, "`fails` belongs to a task")
                .because(p.kinds.empty() ? "" : "it declares by which kinds the task may fail");
          },
          [&](const auto&) { hanging(line); },
      },
      line.node);
}

// What hangs on one step, and is none of its task's.
void PolicyReader::hanging(const ast::Policy& line) {
  const Span span = line.span;
  const bool on_step = place_ == PolicyPlace::kStep || place_ == PolicyPlace::kChild;
  std::visit(ast::Overloaded{
                 [&](const ast::FallbackPolicy& p) {
                   step_.fallback = &p;
                   step_.fallback_span = span;
                   if (!on_step) {
                     step_only(span, "fallback", "what stands in for a result depends on the flow");
                   }
                 },
                 [&](const ast::CompensatePolicy& p) {
                   step_.compensate = &p;
                   step_.compensate_span = span;
                   if (!on_step) {
                     step_only(span, "compensate", "it undoes one step, and reads its result");
                   }
                 },
                 [&](const ast::UnsurePolicy& p) {
                   step_.unsure = &p;
                   step_.unsure_span = span;
                   if (!on_step) {
                     step_only(span, "unsure", "it cleans up after one step, and reads its key");
                   }
                 },
                 [](const auto&) {},
             },
             line.node);
}

void PolicyReader::breaker(const ast::BreakerPolicy& node, Span span, Policies& into) {
  vm::Breaker made;
  const auto percent = integer(*node.percent, "a percentage", 1, 100);
  const auto calls = integer(*node.calls, "the number of calls", 1, kBreakerCallsMax);
  made.percent = static_cast<std::uint32_t>(percent.value_or(1));
  made.calls = static_cast<std::uint32_t>(calls.value_or(1));
  made.within_ms = static_cast<std::uint64_t>(duration(*node.window, "a window").value_or(1));
  made.cooldown_ms = static_cast<std::uint64_t>(duration(*node.cooldown, "a cooldown").value_or(1));
  into.breaker = {made, span};
  context_.unexecuted(Code::E0622, span, "breaker");
}

void PolicyReader::priority(const ast::PriorityPolicy& node, Span span, Policies& into) {
  context_.unexecuted(Code::E0623, span, "priority");
  for (std::uint8_t i = 0; i < std::size(vm::kPriorities); ++i) {
    if (vm::kPriorities[i] != node.level.text) continue;
    into.priority = {i, span};
    return;
  }
  context_.unknown(Code::E0511, "there is no priority", node.level,
                   {std::begin(vm::kPriorities), std::end(vm::kPriorities)});
}

LimitDef PolicyReader::limit(const ast::LimitSetting& node, Span span) {
  LimitDef made;
  made.count = node.rate.count;
  made.per_ms = node.rate.per_ms;
  made.span = span;
  if (node.rate.count > vm::kRateMax) {
    context_.diagnostics.report(Code::E0503, node.rate.span,
                                fmt::format("a rate is at most {}", vm::kRateMax));
  }
  if (node.burst != nullptr) {
    made.burst = integer(*node.burst, "a burst", 1, kBurstMax).value_or(0);
  }
  context_.unexecuted(Code::E0627, span, "limit");
  return made;
}

vm::Per per_of(const ast::Scope& scope) {
  switch (scope.kind) {
    case ast::Scope::Kind::kClient:
      return vm::Per::client;
    case ast::Scope::Kind::kTenant:
      return vm::Per::tenant;
    case ast::Scope::Kind::kKey:
      break;
  }
  return vm::Per::key;
}

void PolicyReader::attempts(const ast::Policy& line, const ast::AttemptsPolicy& node,
                            Policies& into) {
  Attempts made;
  const auto count = integer(*node.count, "the number of attempts", 1, kAttemptsMax);
  if (count) made.count = *count;
  made.jitter = node.jitter;
  if (node.backoff_from != nullptr) {
    const auto from = duration(*node.backoff_from, "a gap");
    const auto to = duration(*node.backoff_to, "a gap");
    if (from && to && *from > *to) {
      context_.diagnostics
          .report(Code::E0503, join(node.backoff_from->span, node.backoff_to->span),
                  "the first gap is longer than the longest")
          .because("`backoff A..B` waits A after the first attempt and at most B later");
    }
    made.backoff_from_ms = from.value_or(0);
    made.backoff_to_ms = to.value_or(0);
  }
  if (node.factor != nullptr) made.factor_milli = factor(*node.factor).value_or(2000);
  made.has_kinds = node.has_kinds;
  kinds(node.kinds, made);
  into.attempts = {std::move(made), line.span};
}

std::optional<std::int64_t> PolicyReader::factor(const ast::Expr& tree) {
  const auto value = constant(tree, kFloat, "a factor");
  if (!value) return std::nullopt;
  const double number = value->as_float();
  if (number >= 1 && number <= kBackoffFactorMax) return std::llround(number * 1000);
  context_.diagnostics.report(Code::E0503, tree.span,
                              fmt::format("a factor is from 1 to {}", kBackoffFactorMax));
  return std::nullopt;
}

void PolicyReader::kinds(const std::vector<ast::Name>& names, Attempts& into) {
  for (const ast::Name& name : names) {
    into.kinds.emplace_back(name.text, name.span);
    check_kind(context_, name);
  }
}

void check_kind(Context& context, const ast::Name& name) {
  const std::vector<std::string_view> known = known_kinds(context);
  if (std::find(known.begin(), known.end(), name.text) != known.end()) return;
  if (context.program.is_lost(name.text)) return;
  Diagnostic& diagnostic = context.diagnostics.report(
      Code::W0003, name.span,
      fmt::format("no task or flow here fails with the kind `{}`", name.text));
  if (const auto near = nearest(name.text, known)) {
    diagnostic.here(fmt::format("did you mean `{}`?", *near));
    diagnostic.mend(fmt::format("write `{}`", *near), {{name.span, std::string(*near)}});
  } else {
    diagnostic.because(fmt::format("a task declares its own kinds: `fails [{}]`", name.text));
  }
}

void PolicyReader::pool(const ast::Policy& line, const ast::PoolPolicy& node, Policies& into) {
  if (place_ != PolicyPlace::kTask) {
    context_.diagnostics.report(Code::E0502, line.span, "`pool` belongs to a task")
        .because("workers offer themselves for tasks");
    return;
  }
  const Symbol* symbol = context_.resolve(scope_, Space::kPool, node.pool, "pool");
  if (symbol != nullptr) into.pool = {symbol->as<PoolDef>(), line.span};
}

void PolicyReader::hedge(const ast::Policy& line, const ast::HedgePolicy& node, Policies& into) {
  const auto after = duration(*node.after, "the time before a hedge");
  if (after) into.hedge = {{*after, nullptr}, line.span};
  if (node.call == nullptr) return;
  if (place_ == PolicyPlace::kStep) {
    step_.hedge = &node;
  } else {
    step_only(node.call->span, "hedge after D CALL", "the arguments are what the step knows");
  }
}

void PolicyReader::uses(const ast::UsesPolicy& node, Policies& into) {
  const Symbol* symbol = context_.resolve(scope_, Space::kPolicy, node.policy, "policy");
  if (symbol == nullptr) {
    into.damaged = true;
    return;
  }
  PolicyDef& def = *symbol->as<PolicyDef>();
  context_.ensure_policy(def);
  const Policies& from = def.policies;
  into.damaged = into.damaged || from.damaged;
  if (from.timeout_ms) into.timeout_ms = from.timeout_ms;
  if (from.within_ms) into.within_ms = from.within_ms;
  if (from.queue_ms) into.queue_ms = from.queue_ms;
  if (from.heartbeat_ms) into.heartbeat_ms = from.heartbeat_ms;
  if (from.attempts) into.attempts = from.attempts;
  if (from.hedge) into.hedge = from.hedge;
  if (from.stream) into.stream = from.stream;
  if (from.idempotent) into.idempotent = from.idempotent;
  if (from.readonly) into.readonly = from.readonly;
  if (from.keyed) into.keyed = from.keyed;
  if (from.priority) into.priority = from.priority;
  if (from.breaker) into.breaker = from.breaker;
}

void Context::report_policy_cycle(const PolicyDef& def) {
  Diagnostic& diagnostic = diagnostics.report(Code::E0215, def.tree->name.span,
                                              fmt::format("the policy `{}` uses itself", def.name));
  bool inside = false;
  for (const PolicyDef* open : open_policies_) {
    if (inside) diagnostic.also(open->tree->name.span, "by way of this one");
    if (open == &def) inside = true;
  }
}

void Context::ensure_policy(PolicyDef& def) {
  if (def.state == PolicyDef::State::kDone) return;
  if (def.state == PolicyDef::State::kOpen) {
    report_policy_cycle(def);
    return;
  }
  def.state = PolicyDef::State::kOpen;
  open_policies_.push_back(&def);
  const auto& node = std::get<ast::PolicyDecl>(def.tree->node);
  PolicyReader(*this, *scope_of.at(def.module), PolicyPlace::kBundle)
      .read(node.policies, def.policies);
  open_policies_.pop_back();
  def.state = PolicyDef::State::kDone;
}

}  // namespace sluice::compiler
