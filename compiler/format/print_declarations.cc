#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "compiler/format.hpp"
#include "compiler/format/printer.hpp"

namespace sluice::compiler {

namespace {

// What follows the title of a test.
Span behind(const ast::Name& title, const ast::Decl& decl) {
  return Span{decl.span.file, title.span.end, decl.span.end};
}

}  // namespace

// Between two declarations stands a blank line if the author left one, or if either has several
// lines.
std::string Printer::section(const std::vector<Item>& items) {
  std::string out;
  std::uint32_t last_end = 0;
  bool last_is_long = false;
  for (const Item& each : items) {
    DocList comments;
    std::uint32_t comment_end = 0;
    const std::uint32_t first_comment =
        next_comment_ < comments_.size() ? comments_[next_comment_].span.begin : each.span.begin;
    add_comments_before(each.span.begin, comments, comment_end);
    const bool commented = comment_end != 0;
    std::string text;
    if (commented) {
      text = Doc::concat(std::move(comments)).render(kFormatColumns) + "\n";
      if (blank_line_between(comment_end, each.span.begin)) text += "\n";
    }
    const std::string body = item(each).render(kFormatColumns);
    const bool is_long = body.find('\n') != std::string::npos;
    const std::uint32_t begin =
        commented ? std::min(first_comment, each.span.begin) : each.span.begin;
    if (!out.empty()) {
      out += "\n";
      if (last_is_long || is_long || blank_line_between(last_end, begin)) out += "\n";
    }
    out += text + body;
    last_end = each.span.end;
    if (next_comment_ > 0) last_end = std::max(last_end, comments_[next_comment_ - 1].span.end);
    last_is_long = is_long;
  }
  return out;
}

std::string Printer::print() {
  std::vector<std::string> sections;
  if (module_.name.has_value()) {
    const ast::QualifiedName& name = *module_.name;
    sections.push_back(section({{name.span, [&] { return row("module ", name.text()); }}}));
  }
  std::vector<Item> imports;
  for (const auto& each : module_.imports) {
    imports.push_back({each.span, [&] { return row("import ", each.module.text()); }});
  }
  if (!imports.empty()) sections.push_back(section(imports));
  std::vector<Item> declarations;
  for (const auto& each : module_.declarations) {
    declarations.push_back({each.span, [&] { return declaration(each); }});
  }
  if (!declarations.empty()) sections.push_back(section(declarations));
  DocList rest;
  std::uint32_t last_end = 0;
  const auto end = static_cast<std::uint32_t>(file_.text().size() + 1);
  add_comments_before(end, rest, last_end);
  if (!rest.empty()) sections.push_back(Doc::concat(std::move(rest)).render(kFormatColumns));
  std::string out;
  for (const std::string& each : sections) {
    if (!out.empty()) out += "\n";
    out += each + "\n";
  }
  return out;
}

Doc Printer::declaration(const ast::Decl& decl) {
  return std::visit(
      ast::Overloaded{
          [&](const ast::RecordDecl& node) {
            return event_like("record " + decl.name.text, decl, node.fields);
          },
          [&](const ast::EventDecl& node) {
            const std::string version = node.version ? fmt::format(" v{}", *node.version) : "";
            return event_like("event " + decl.name.text + version, decl, node.fields);
          },
          [&](const ast::EnumDecl& node) { return enum_declaration(decl, node); },
          [&](const ast::UpgradeDecl& node) {
            return row(fmt::format("upgrade {} v{} -> v{} ({}) = ", decl.name.text,
                                   node.from_version, node.to_version, node.old.text),
                       expression(*node.value));
          },
          [&](const ast::TopicDecl& node) { return topic(decl, node); },
          [&](const ast::TaskDecl& node) { return task(decl, node); },
          [&](const ast::PoolDecl& node) { return pool(decl, node); },
          [&](const ast::PolicyDecl& node) {
            const Span braces = brackets_at('{', decl.name.span.end, decl.span.end);
            return row("policy ", decl.name.text, " ", policy_block(node.policies, braces));
          },
          [&](const ast::ConstDecl& node) { return constant(decl, node); },
          [&](const ast::FnDecl& node) { return function(decl, node); },
          [&](const ast::FlowDecl& node) { return flow(decl, node); },
          [&](const ast::MigrateDecl& node) { return migrate(decl, node); },
          [&](const ast::TestDecl& node) {
            return row("test ", raw(decl.name.span), " ",
                       test_items(node.items, behind(decl.name, decl)));
          },
          [&](const ast::InvariantDecl& node) {
            return row("invariant ", raw(decl.name.span), " ",
                       test_items(node.items, behind(decl.name, decl)));
          }},
      decl.node);
}

Span Printer::brackets_at(char open, std::uint32_t from, std::uint32_t until) const {
  std::uint32_t at = from;
  for (const Comment& comment : comments_) {
    if (comment.span.end <= at) continue;
    const std::size_t found = file_.text().find(open, at);
    if (found < comment.span.begin) break;
    at = std::max(at, comment.span.end);
  }
  const std::size_t found = file_.text().find(open, at);
  const auto begin = static_cast<std::uint32_t>(std::min<std::size_t>(found, until));
  return Span{file_.id(), begin, until};
}

Doc Printer::field(const ast::Field& field) {
  DocList out = {row(field.name.text, ": ", type(*field.type))};
  for (const ast::Name& label : field.labels) out.push_back(row(" ", label.text));
  if (field.default_value != nullptr) out.push_back(row(" = ", expression(*field.default_value)));
  if (field.where != nullptr) out.push_back(row(" where ", expression(*field.where)));
  return Doc::concat(std::move(out));
}

Doc Printer::parameters(const std::vector<ast::Field>& fields, Span place) {
  std::vector<Item> items;
  for (const auto& each : fields) items.push_back({each.span, [&] { return field(each); }});
  return listed("(", ")", place, items, false);
}

Doc Printer::field_block(const std::vector<ast::Field>& fields, Span place) {
  // A field may be called `in`, which would go on with the default value before it.
  static const std::set<std::string, std::less<>> operators = {"in", "as", "with", "and", "or"};
  std::vector<Item> items;
  const bool one_line = on_one_line(place);
  for (std::size_t i = 0; i < fields.size(); ++i) {
    const bool goes_on = i + 1 < fields.size() && operators.contains(fields[i + 1].name.text);
    const bool after = i > 0 && operators.contains(fields[i].name.text);
    const std::string comma = goes_on && !one_line ? "," : "";
    items.push_back({fields[i].span,
                     [this, &fields, i, comma] { return row(field(fields[i]), comma); }, after});
  }
  return braced(place, items, ", ");
}

Doc Printer::event_like(std::string head, const ast::Decl& decl,
                        const std::vector<ast::Field>& fields) {
  const Span braces = brackets_at('{', decl.name.span.end, decl.span.end);
  return row(std::move(head), " ", field_block(fields, braces));
}

Doc Printer::enum_declaration(const ast::Decl& decl, const ast::EnumDecl& node) {
  std::vector<Item> items;
  for (const auto& each : node.cases) {
    items.push_back({each.span, [&] {
                       const Span inner{each.span.file, each.name.span.end, each.span.end};
                       const bool has_fields = text(inner).find('(') != std::string_view::npos;
                       if (!has_fields) return row(each.name.text);
                       return row(each.name.text, parameters(each.fields, inner));
                     }});
  }
  const Span braces = brackets_at('{', decl.name.span.end, decl.span.end);
  return row("enum ", decl.name.text, " ", braced(braces, items, ", "));
}

Doc Printer::scope(const ast::Scope& scope) {
  switch (scope.kind) {
    case ast::Scope::Kind::kClient:
      return row("client");
    case ast::Scope::Kind::kTenant:
      return row("tenant");
    case ast::Scope::Kind::kKey:
      return row("key ", expression(*scope.key));
  }
  return {};
}

Doc Printer::limit(const ast::LimitSetting& node) {
  // `20/m`, whatever blanks and comments stand between its parts.
  std::string rate;
  std::string_view rest = text(node.rate.span);
  while (!rest.empty()) {
    const std::size_t skipped = rest.starts_with("//") ? std::min(rest.find('\n'), rest.size()) : 1;
    if (skipped == 1 && std::string_view(" \n\t\r").find(rest[0]) == std::string_view::npos) {
      rate += rest[0];
    }
    rest.remove_prefix(skipped);
  }
  Doc whole = row("limit ", rate, " per ", scope(node.scope));
  if (node.burst == nullptr) return whole;
  return row(std::move(whole), " burst ", expression(*node.burst));
}

Doc Printer::topic_setting(const ast::TopicSetting& setting) {
  return std::visit(
      ast::Overloaded{
          [&](const ast::OrderSetting& node) {
            const bool key = node.scope.kind == ast::Scope::Kind::kKey;
            return row("order by ", key ? expression(*node.scope.key) : scope(node.scope));
          },
          [&](const ast::DedupeSetting& node) { return row("dedupe ", expression(*node.window)); },
          [&](const ast::RetainSetting& node) {
            return row("retain ", expression(*node.duration));
          },
          [&](const ast::LimitSetting& node) { return limit(node); },
          [&](const ast::TtlSetting& node) { return row("ttl ", expression(*node.duration)); }},
      setting.node);
}

Doc Printer::topic(const ast::Decl& decl, const ast::TopicDecl& node) {
  std::vector<Item> items;
  for (const auto& each : node.settings) {
    items.push_back({each.span, [&] { return topic_setting(each); }});
  }
  const Span braces = brackets_at('{', node.event.span.end, decl.span.end);
  return row("topic ", decl.name.text, " of ", node.event.text(), " ", braced(braces, items, "  "));
}

Doc Printer::pool(const ast::Decl& decl, const ast::PoolDecl& node) {
  std::vector<Item> items;
  if (node.slots != nullptr) {
    items.push_back({node.slots->span, [&] { return row("slots ", expression(*node.slots)); }});
  }
  const Span braces = brackets_at('{', decl.name.span.end, decl.span.end);
  return row("pool ", decl.name.text, " ", braced(braces, items, "  "));
}

Doc Printer::task(const ast::Decl& decl, const ast::TaskDecl& node) {
  // The signature's brackets end before its result, or before the policies.
  const Span all = brackets_at('(', decl.name.span.end, decl.span.end);
  std::uint32_t inner_end = all.begin + 1;
  if (!node.parameters.empty()) inner_end = node.parameters.back().span.end;
  const std::uint32_t close = brackets_at(')', inner_end, decl.span.end).begin + 1;
  Doc head = row("task ", decl.name.text);
  head = row(std::move(head), parameters(node.parameters, Span{all.file, all.begin, close}));
  if (node.result != nullptr) head = row(std::move(head), " -> ", type(*node.result));
  const std::uint32_t from = node.result != nullptr ? node.result->span.end : close;
  const Span braces = brackets_at('{', from, decl.span.end);
  return row(std::move(head), " ", policy_block(node.policies, braces));
}

Doc Printer::constant(const ast::Decl& decl, const ast::ConstDecl& node) {
  Doc head = row("const ", decl.name.text);
  if (node.type != nullptr) head = row(std::move(head), ": ", type(*node.type));
  return row(std::move(head), " = ", expression(*node.value));
}

Doc Printer::function(const ast::Decl& decl, const ast::FnDecl& node) {
  const Span all = brackets_at('(', decl.name.span.end, decl.span.end);
  const Span place{all.file, all.begin, node.result->span.begin};
  Doc head = row("fn ", decl.name.text, parameters(node.parameters, place));
  return row(std::move(head), " -> ", type(*node.result), " = ", expression(*node.body));
}

Doc Printer::migrate(const ast::Decl& decl, const ast::MigrateDecl& node) {
  const std::string to = node.to ? " to " + node.to->text() : "";
  const std::string old = node.old ? " (" + node.old->text + ")" : "";
  const std::uint32_t from = node.old  ? node.old->span.end
                             : node.to ? node.to->span.end
                                       : node.at.span.end;
  return record(row("migrate ", decl.name.text, " at ", node.at.text(), to, old, " "), node.locals,
                Span{decl.span.file, from, decl.span.end});
}

Doc Printer::flow_setting(const ast::FlowSetting& setting) {
  using Mode = ast::ConcurrencySetting::Mode;
  return std::visit(
      ast::Overloaded{
          [&](const ast::TopicTrigger& node) { return row("on ", node.topic.text()); },
          [&](const ast::ScheduleTrigger& node) {
            Doc schedule = row("on schedule ", expression(*node.schedule));
            if (node.zone == nullptr) return schedule;
            return row(std::move(schedule), " in ", expression(*node.zone));
          },
          [&](const ast::FlowTimeoutSetting& node) {
            return row("timeout ", expression(*node.duration));
          },
          [&](const ast::ConcurrencySetting& node) {
            Doc head = row("concurrency ", expression(*node.count), " per ", scope(node.scope));
            switch (node.mode) {
              case Mode::kWait:
                return head;
              case Mode::kNewestWins:
                return row(std::move(head), " newest wins");
              case Mode::kQueue:
                return row(std::move(head), " queue ", expression(*node.queue));
              case Mode::kReject:
                return row(std::move(head), " reject");
              case Mode::kJoins:
                return row(std::move(head), " joins");
            }
            return head;
          },
          [&](const ast::LimitSetting& node) { return limit(node); },
          [&](const ast::TtlSetting& node) { return row("ttl ", expression(*node.duration)); },
          [&](const ast::BudgetCallsSetting& node) {
            return row("budget ", expression(*node.count), " calls of ", node.task.text());
          },
          [&](const ast::BudgetTimeSetting& node) {
            return row("budget ", expression(*node.duration));
          }},
      setting.node);
}

Doc Printer::flow(const ast::Decl& decl, const ast::FlowDecl& node) {
  const Span all = brackets_at('(', decl.name.span.end, decl.span.end);
  std::uint32_t inner_end = all.begin + 1;
  if (!node.parameters.empty()) inner_end = node.parameters.back().span.end;
  const std::uint32_t close = brackets_at(')', inner_end, decl.span.end).begin + 1;
  Doc head =
      row("flow ", decl.name.text, parameters(node.parameters, Span{all.file, all.begin, close}));
  std::string outcomes;
  for (const auto& each : node.outcomes) {
    outcomes += (outcomes.empty() ? " -> " : " or ") + each.text();
  }
  head = row(std::move(head), outcomes);
  const Span before_body{decl.span.file, decl.span.begin, node.body.span.begin};
  const bool short_head = on_one_line(before_body) || node.settings.empty();
  std::vector<Item> items;
  for (const auto& each : node.settings) {
    items.push_back({each.span, [&] { return flow_setting(each); }});
  }
  if (short_head && !has_comment_in(before_body.begin, before_body.end)) {
    DocList settings;
    for (const Item& each : items) settings.push_back(row(Doc::line(" "), each.print()));
    head = Doc::group(
        row(std::move(head), Doc::nest(kIndent, Doc::concat(std::move(settings))), Doc::line(" ")));
  } else {
    Doc settings = lines(items, node.body.span.begin);
    head = row(std::move(head), Doc::nest(kIndent, row(Doc::hard_line(), std::move(settings))),
               Doc::hard_line());
  }
  Doc whole = row(std::move(head), block(node.body));
  if (!node.on_failure.has_value()) return whole;
  return row(std::move(whole), " on failure (", node.on_failure->why.text, ") ",
             block(node.on_failure->body));
}

Doc Printer::test_items(const std::vector<ast::TestItem>& items, Span place) {
  std::vector<Item> printed;
  for (const auto& each : items) printed.push_back({each.span, [&] { return test_item(each); }});
  return braced(brackets_at('{', place.begin, place.end), printed, "  ");
}

Doc Printer::given_answer(const ast::GivenAnswer& answer) {
  DocList out;
  if (answer.queue != nullptr) out.push_back(row("queue ", expression(*answer.queue)));
  if (answer.stream != nullptr) {
    out.push_back(row(out.empty() ? "" : " ", "stream ", expression(*answer.stream)));
  }
  if (answer.takes != nullptr) {
    out.push_back(row(out.empty() ? "" : " ", "takes ", expression(*answer.takes)));
  }
  if (answer.returns != nullptr) {
    out.push_back(row(out.empty() ? "" : " ", "returns ", expression(*answer.returns)));
  }
  if (answer.fails.has_value()) {
    out.push_back(row(out.empty() ? "" : " ", "fails ", answer.fails->text));
    if (answer.message != nullptr) out.push_back(row(" ", expression(*answer.message)));
    if (answer.always) out.push_back(row(" always"));
  }
  return Doc::concat(std::move(out));
}

Doc Printer::expected_event(const ast::ExpectEventItem& node, Span place) {
  using Kind = ast::ExpectEventItem::Kind;
  const std::string kind = node.kind == Kind::kReturn   ? "return "
                           : node.kind == Kind::kNotify ? "notify "
                                                        : "publish ";
  Doc event = row("expect ", kind, node.event.type.text());
  if (node.event.has_fields) {
    const std::uint32_t end = node.within == nullptr ? place.end : node.within->span.begin;
    const std::size_t close = file_.text().rfind('}', end);
    event =
        record(row(std::move(event), " "), node.event.fields,
               Span{place.file, node.event.type.span.end, static_cast<std::uint32_t>(close + 1)});
  }
  if (node.within != nullptr) event = row(std::move(event), " within ", expression(*node.within));
  switch (node.count) {
    case ast::ExpectEventItem::Count::kAny:
      return event;
    case ast::ExpectEventItem::Count::kOnce:
      return row(std::move(event), " once");
    case ast::ExpectEventItem::Count::kTimes:
      return row(std::move(event), " ", expression(*node.times), " times");
    case ast::ExpectEventItem::Count::kNever:
      return row(std::move(event), " never");
  }
  return event;
}

Doc Printer::when(const ast::WhenItem& node, Span item) {
  DocList out;
  if (node.after != nullptr) out.push_back(row("after ", expression(*node.after), " "));
  if (node.event != nullptr) {
    const auto& event = std::get<ast::RecordExpr>(node.event->node);
    const std::string version = node.version ? fmt::format(" v{}", *node.version) : std::string();
    const Span braces{item.file, (node.version ? node.version_span : event.type.span).end,
                      node.event->span.end};
    out.push_back(row("when ", record(row(event.type.text(), version, " "), event.fields, braces)));
    if (node.topic.has_value()) out.push_back(row(" to ", node.topic->text()));
  } else if (node.start != nullptr) {
    out.push_back(row("when start ", expression(*node.start)));
  } else {
    out.push_back(row("when cancel"));
  }
  if (node.from != nullptr) out.push_back(row(" from ", expression(*node.from)));
  return Doc::concat(std::move(out));
}

Doc Printer::test_item(const ast::TestItem& item) {
  using Kind = ast::ExpectStepItem::Kind;
  return std::visit(
      ast::Overloaded{
          [&](const ast::GivenItem& node) {
            DocList out = {row("given ", node.task.text(), " ")};
            for (const auto& each : node.answers) {
              if (out.size() > 1) out.push_back(row(" then "));
              out.push_back(given_answer(each));
            }
            return Doc::concat(std::move(out));
          },
          [&](const ast::WhenItem& node) { return when(node, item.span); },
          [&](const ast::ExpectEventItem& node) { return expected_event(node, item.span); },
          [&](const ast::ExpectStepItem& node) {
            const std::string step = "expect step " + node.step.text();
            switch (node.kind) {
              case Kind::kOnce:
                return row(step, " once");
              case Kind::kTimes:
                return row(step, " ", expression(*node.times), " times");
              case Kind::kNever: {
                const Span head{item.span.file, item.span.begin, node.step.span.begin};
                const bool word = text(head).find("step") != std::string_view::npos;
                return word ? row(step, " never") : row("expect never ", node.step.text());
              }
              case Kind::kBefore:
                return row(step, " before ", node.other->text());
              case Kind::kWithin:
                return row(step, " within ", expression(*node.within));
            }
            return Doc();
          },
          [&](const ast::ExpectRefusedItem& node) {
            return row("expect refused ", node.kind.text);
          },
          [&](const ast::ExpectValueItem& node) {
            return row("expect ", expression(*node.condition));
          },
          [&](const ast::AlwaysItem& node) { return row("always ", expression(*node.condition)); }},
      item.node);
}

}  // namespace sluice::compiler
