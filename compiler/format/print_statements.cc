#include "compiler/format/printer.hpp"

namespace sluice::compiler {

Doc Printer::block(const ast::Block& block) {
  std::vector<Item> items;
  for (const auto& each : block.statements) {
    items.push_back({each->span, [&] { return statement(*each); }});
  }
  return braced(block.span, items, "  ");
}

Doc Printer::statement(const ast::Stmt& stmt) {
  return std::visit(
      ast::Overloaded{
          [&](const ast::LetStmt& node) {
            return row("let ", node.name.text, " = ",
                       node.value != nullptr ? expression(*node.value) : statement(*node.source));
          },
          [&](const ast::VarStmt& node) {
            return row("var ", node.name.text, " = ", expression(*node.value));
          },
          [&](const ast::SetStmt& node) {
            return row("set ", node.name.text, " = ", expression(*node.value));
          },
          [&](const ast::StepStmt& node) { return step(node, stmt.span); },
          [&](const ast::YieldStmt& node) { return row("yield ", expression(*node.value)); },
          [&](const ast::BreakStmt&) { return row("break"); },
          [&](const ast::ContinueStmt&) { return row("continue"); },
          [&](const ast::SleepStmt& node) {
            return row(node.until ? "sleep until " : "sleep ", expression(*node.value));
          },
          [&](const ast::NotifyStmt& node) { return notify(node); },
          [&](const ast::PublishStmt& node) {
            return row("publish ", expression(*node.event), " to ", node.topic.text());
          },
          [&](const ast::StartStmt& node) {
            Doc call = expression(*node.call);
            if (node.for_client == nullptr) return row("start ", std::move(call));
            return row("start ", std::move(call), " for client ", expression(*node.for_client));
          },
          [&](const ast::FailStmt& node) {
            if (node.message == nullptr) return row("fail ", node.kind.text);
            return row("fail ", node.kind.text, " ", expression(*node.message));
          },
          [&](const ast::ReturnStmt& node) {
            if (node.value == nullptr) return row("return");
            return row("return ", expression(*node.value));
          },
          [&](const ast::LogStmt& node) { return row("log ", expression(*node.value)); },
          [&](const auto&) { return flow_control(stmt); }},
      stmt.node);
}

// The statements that hold blocks. Heads are printed before bodies, so that comments come in order.
Doc Printer::flow_control(const ast::Stmt& stmt) {
  if (const auto* node = ast::as<ast::ParallelStmt>(stmt)) {
    return branches("parallel ", node->branches, stmt.span);
  }
  if (const auto* node = ast::as<ast::RaceStmt>(stmt)) {
    return branches("race ", node->branches, stmt.span);
  }
  if (const auto* node = ast::as<ast::EachStmt>(stmt)) {
    Doc head = row("each ", node->variable.text, " in ", expression(*node->source));
    if (node->parallel != nullptr) {
      head = row(std::move(head), " parallel ", expression(*node->parallel));
    }
    return row(std::move(head), " ", block(node->body));
  }
  if (const auto* node = ast::as<ast::WhileStmt>(stmt)) {
    Doc head = expression(*node->condition);
    return row("while ", std::move(head), " ", block(node->body));
  }
  if (const auto* node = ast::as<ast::DeadlineStmt>(stmt)) {
    Doc whole = row("deadline ", expression(*node->duration), " ");
    whole = row(std::move(whole), block(node->body));
    if (!node->else_body.has_value()) return whole;
    return row(std::move(whole), " else ", block(*node->else_body));
  }
  if (const auto* node = ast::as<ast::IfStmt>(stmt)) return if_statement(*node);
  if (const auto* node = ast::as<ast::MatchStmt>(stmt)) return match_statement(*node, stmt.span);
  if (const auto* node = ast::as<ast::ReceiveStmt>(stmt)) return receive(*node);
  return try_statement(std::get<ast::TryStmt>(stmt.node));
}

Doc Printer::step(const ast::StepStmt& node, Span place) {
  Doc head = row("step ", node.named ? node.name.text + " = " : "", expression(*node.call));
  if (!node.has_policies) return head;
  const Span braces = brackets_at('{', node.call->span.end, place.end);
  return row(std::move(head), " ", policy_block(node.policies, braces));
}

Doc Printer::branches(std::string_view word, const std::vector<ast::Branch>& branches, Span place) {
  std::vector<Item> items;
  for (const auto& each : branches) items.push_back({each.span, [&] { return branch(each); }});
  return row(word, braced(brackets_at('{', place.begin, place.end), items, "  "));
}

Doc Printer::branch(const ast::Branch& branch) {
  if (const auto* step = std::get_if<ast::StmtPtr>(&branch.node)) return statement(**step);
  const auto& arm = std::get<ast::BranchArm>(branch.node);
  return row("branch ", arm.name.text, " ", block(arm.body));
}

Doc Printer::if_statement(const ast::IfStmt& node) {
  DocList out;
  for (const ast::IfArm& arm : node.arms) {
    const std::string binding = arm.binding ? "let " + arm.binding->text + " = " : "";
    out.push_back(row(out.empty() ? "if " : " else if ", binding, expression(*arm.condition), " "));
    out.push_back(block(arm.body));
  }
  if (node.else_body.has_value()) {
    out.push_back(row(" else "));
    out.push_back(block(*node.else_body));
  }
  return Doc::concat(std::move(out));
}

Doc Printer::match_statement(const ast::MatchStmt& node, Span place) {
  Doc head = row("match ", expression(*node.subject), " ");
  std::vector<Item> items;
  for (const auto& each : node.cases) {
    items.push_back({each.span, [&] {
                       Doc pattern_text = pattern(*each.pattern);
                       return row("case ", std::move(pattern_text), " ", block(each.body));
                     }});
  }
  if (node.else_body.has_value()) {
    items.push_back({node.else_body->span, [&] { return row("else ", block(*node.else_body)); }});
  }
  const Span braces = brackets_at('{', node.subject->span.end, place.end);
  return row(std::move(head), braced(braces, items, "  "));
}

Doc Printer::receive(const ast::ReceiveStmt& node) {
  Doc head = row("receive ", node.name.text, ": ", node.event.text(), " from ",
                 node.topic ? node.topic->text() : "client");
  if (node.where != nullptr) head = row(std::move(head), " where ", expression(*node.where));
  if (node.within != nullptr) head = row(std::move(head), " within ", expression(*node.within));
  if (node.body.has_value()) head = row(std::move(head), " ", block(*node.body));
  if (!node.else_body.has_value()) return head;
  return row(std::move(head), " else ", block(*node.else_body));
}

Doc Printer::notify(const ast::NotifyStmt& node) {
  Doc event = row("notify ", expression(*node.event));
  switch (node.target) {
    case ast::NotifyStmt::Target::kRunClient:
      return event;
    case ast::NotifyStmt::Target::kClient:
      return row(std::move(event), " to client ", expression(*node.to));
    case ast::NotifyStmt::Target::kGroup:
      return row(std::move(event), " to group ", expression(*node.to));
    case ast::NotifyStmt::Target::kRun:
      return row(std::move(event), " to run ", expression(*node.to));
  }
  return event;
}

Doc Printer::try_statement(const ast::TryStmt& node) {
  DocList out = {row("try "), block(node.body)};
  for (const ast::CatchArm& arm : node.catches) {
    out.push_back(row(" catch ", arm.kind ? arm.kind->text + " " : "",
                      arm.why ? "(" + arm.why->text + ") " : ""));
    out.push_back(block(arm.body));
  }
  return Doc::concat(std::move(out));
}

Doc Printer::policy_block(const std::vector<ast::Policy>& policies, Span braces) {
  std::vector<Item> items;
  for (const auto& each : policies) items.push_back({each.span, [&] { return policy(each); }});
  return braced(braces, items, "  ");
}

Doc Printer::kinds(const std::vector<ast::Name>& kinds) {
  std::string text;
  for (const ast::Name& each : kinds) text += (text.empty() ? "" : ", ") + each.text;
  return row("[", text, "]");
}

Doc Printer::attempts(const ast::AttemptsPolicy& node) {
  Doc whole = row("attempts ", expression(*node.count));
  if (node.backoff_from != nullptr) {
    whole = row(std::move(whole), " backoff ", expression(*node.backoff_from), "..",
                expression(*node.backoff_to));
  }
  if (node.factor != nullptr) whole = row(std::move(whole), " factor ", expression(*node.factor));
  if (node.jitter) whole = row(std::move(whole), " jitter");
  if (node.has_kinds) whole = row(std::move(whole), " on ", kinds(node.kinds));
  return whole;
}

Doc Printer::policy(const ast::Policy& policy) {
  return std::visit(
      ast::Overloaded{
          [&](const ast::TimeoutPolicy& p) { return row("timeout ", expression(*p.duration)); },
          [&](const ast::QueuePolicy& p) { return row("queue ", expression(*p.duration)); },
          [&](const ast::WithinPolicy& p) { return row("within ", expression(*p.duration)); },
          [&](const ast::HeartbeatPolicy& p) { return row("heartbeat ", expression(*p.duration)); },
          [&](const ast::AttemptsPolicy& p) { return attempts(p); },
          [&](const ast::PoolPolicy& p) { return row("pool ", p.pool.text()); },
          [&](const ast::PriorityPolicy& p) { return row("priority ", p.level.text); },
          [&](const ast::BreakerPolicy& p) {
            return row("breaker ", expression(*p.percent), "% of ", expression(*p.calls),
                       " within ", expression(*p.window), " cooldown ", expression(*p.cooldown));
          },
          [&](const ast::HedgePolicy& p) {
            Doc after = row("hedge after ", expression(*p.after));
            if (p.call == nullptr) return after;
            return row(std::move(after), " ", expression(*p.call));
          },
          [&](const ast::FallbackPolicy& p) { return row("fallback ", expression(*p.value)); },
          [&](const ast::IdempotentPolicy&) { return row("idempotent"); },
          [&](const ast::ReadonlyPolicy&) { return row("readonly"); },
          [&](const ast::KeyedPolicy& p) {
            return p.key == nullptr ? row("keyed") : row("keyed ", expression(*p.key));
          },
          [&](const ast::StreamPolicy&) { return row("stream"); },
          [&](const ast::CompensatePolicy& p) { return row("compensate ", block(p.body)); },
          [&](const ast::UnsurePolicy& p) { return row("unsure ", block(p.body)); },
          [&](const ast::KeepPolicy&) { return row("keep"); },
          [&](const ast::UsesPolicy& p) { return row("uses ", p.policy.text()); },
          [&](const ast::FailsPolicy& p) { return row("fails ", kinds(p.kinds)); }},
      policy.node);
}

}  // namespace sluice::compiler
