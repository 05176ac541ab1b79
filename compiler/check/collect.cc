// Declarations into the scopes of their modules, before anything is looked up.
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "compiler/check/context.hpp"
#include "compiler/engine_events.hpp"

namespace sluice::compiler {

using namespace ir;

namespace {

class Collector {
 public:
  Collector(Context& context, ModuleScope& scope) : context_(context), scope_(scope) {}

  void run() {
    for (const ast::Decl& decl : scope_.module->tree->declarations) {
      std::visit([&](const auto& node) { collect(decl, node); }, decl.node);
    }
  }

 private:
  template <typename Def>
  Def* add(const ast::Decl& decl, std::deque<Def>& defs, Space space) {
    Def& def = defs.emplace_back();
    def.name = decl.name.text;
    def.module = scope_.module;
    def.tree = &decl;
    auto& table = scope_.spaces[static_cast<std::size_t>(space)];
    const auto [place, added] = table.try_emplace(decl.name.text, Symbol{&def, decl.name.span});
    if (!added) {
      context_.diagnostics
          .report(Code::E0204, decl.name.span,
                  fmt::format("`{}` is declared twice in this module", decl.name.text))
          .also(place->second.span, "first here");
    }
    return &def;
  }

  bool is_damaged(Span text) const { return scope_.module->tree->damage.within(text); }

  void collect(const ast::Decl& decl, const ast::RecordDecl&) { add_record(decl); }

  // The name of an event means its newest version; older ones are there for their upgrades.
  void collect(const ast::Decl& decl, const ast::EventDecl& node) {
    RecordDef& def = context_.program.records.emplace_back();
    def.name = decl.name.text;
    def.module = scope_.module;
    def.tree = &decl;
    def.is_event = true;
    def.version = node.version.value_or(1);
    def.index = static_cast<std::uint32_t>(context_.program.records.size() - 1);
    def.type = context_.types.record(def);
    def.damaged = is_damaged(decl.span);
    auto& table = scope_.spaces[static_cast<std::size_t>(Space::kType)];
    const auto [place, added] = table.try_emplace(decl.name.text, Symbol{&def, decl.name.span});
    const auto [same, first] = versions_.try_emplace({def.name, def.version}, decl.name.span);
    if (added) return;
    const RecordDef* known = place->second.as<RecordDef>();
    if (known == nullptr || !known->is_event || !first) {
      context_.diagnostics
          .report(Code::E0204, decl.name.span,
                  fmt::format("`{}` is declared twice in this module", decl.name.text))
          .also(first ? place->second.span : same->second, "first here");
    } else if (def.version > known->version) {
      place->second = Symbol{&def, decl.name.span};
    }
  }

  RecordDef* add_record(const ast::Decl& decl) {
    RecordDef* def = add(decl, context_.program.records, Space::kType);
    def->index = static_cast<std::uint32_t>(context_.program.records.size() - 1);
    def->type = context_.types.record(*def);
    def->damaged = is_damaged(decl.span);
    return def;
  }

  void collect(const ast::Decl& decl, const ast::EnumDecl&) {
    EnumDef* def = add(decl, context_.program.enums, Space::kType);
    def->index = static_cast<std::uint32_t>(context_.program.enums.size() - 1);
    def->type = context_.types.enumeration(*def);
    def->damaged = is_damaged(decl.span);
  }

  void collect(const ast::Decl& decl, const ast::TopicDecl&) {
    add(decl, context_.program.topics, Space::kTopic)->damaged = is_damaged(decl.span);
    if (decl.name.text != "client") return;
    context_.diagnostics.report(Code::E0211, decl.name.span, "a topic cannot be called `client`")
        .because("`receive … from client` means the run's own client");
  }

  void collect(const ast::Decl& decl, const ast::PoolDecl&) {
    add(decl, context_.program.pools, Space::kPool);
  }
  void collect(const ast::Decl& decl, const ast::PolicyDecl&) {
    PolicyDef* def = add(decl, context_.program.policies, Space::kPolicy);
    def->policies.damaged = is_damaged(decl.span);
  }
  void collect(const ast::Decl& decl, const ast::TaskDecl& node) {
    TaskDef* def = add(decl, context_.program.tasks, Space::kValue);
    def->damaged = is_damaged(node.parameters_span);
    def->policies.damaged = is_damaged({decl.span.file, node.parameters_span.end, decl.span.end});
  }
  void collect(const ast::Decl& decl, const ast::ConstDecl&) {
    add(decl, context_.program.consts, Space::kValue);
  }
  void collect(const ast::Decl& decl, const ast::FnDecl& node) {
    add(decl, context_.program.fns, Space::kValue)->damaged = is_damaged(node.parameters_span);
  }
  void collect(const ast::Decl& decl, const ast::FlowDecl& node) {
    FlowDef* def = add(decl, context_.program.flows, Space::kValue);
    def->damaged = is_damaged(node.parameters_span);
    def->head_damaged =
        is_damaged({decl.span.file, node.parameters_span.end, node.body.span.begin});
  }

  void collect(const ast::Decl& decl, const ast::UpgradeDecl&) {
    UpgradeDef& def = context_.program.upgrades.emplace_back();
    def.module = scope_.module;
    def.tree = &decl;
  }
  void collect(const ast::Decl& decl, const ast::MigrateDecl&) {
    const auto size = static_cast<std::uint32_t>(std::string_view("migrate").size());
    const Span word{decl.span.file, decl.span.begin, decl.span.begin + size};
    context_.unexecuted(Code::E0618, word, "migrate");
  }
  void collect(const ast::Decl& decl, const ast::TestDecl&) {
    TestDef& def = context_.program.tests.emplace_back();
    def.title = decl.name.text;
    def.module = scope_.module;
    def.tree = &decl;
    const auto [first, added] = tests_.try_emplace(def.title, decl.name.span);
    if (added) return;
    context_.diagnostics
        .report(Code::E0808, decl.name.span, "another test of this module has the same title")
        .also(first->second, "first here")
        .because("reports and `--filter` know a test by its title");
  }
  void collect(const ast::Decl& decl, const ast::InvariantDecl&) {
    InvariantDef& def = context_.program.invariants.emplace_back();
    def.title = decl.name.text;
    def.module = scope_.module;
    def.tree = &decl;
  }

  void refuse(Code code, const ast::Decl& decl, std::string message, std::string why) {
    // The first word and the name are enough to point at.
    const Span span{decl.span.file, decl.span.begin, std::max(decl.span.begin, decl.name.span.end)};
    context_.diagnostics.report(code, span, std::move(message)).because(std::move(why));
  }

  Context& context_;
  ModuleScope& scope_;
  std::unordered_map<std::string, Span> tests_;                     // by title
  std::map<std::pair<std::string, std::uint32_t>, Span> versions_;  // of events
};

// Names on the wire are plain, so they are unique over all modules.
template <typename Def>
void check_unique(Context& context, const std::deque<Def>& defs, std::string_view what) {
  std::unordered_map<std::string_view, const Def*> seen;
  for (const Def& def : defs) {
    const auto [place, added] = seen.try_emplace(def.name, &def);
    if (added || place->second->module == def.module) continue;
    context.diagnostics
        .report(Code::E0218, def.tree->name.span,
                fmt::format("the modules `{}` and `{}` both declare a {} `{}`",
                            place->second->module->name, def.module->name, what, def.name))
        .also(place->second->tree->name.span, "the other one")
        .because(
            "names that others see (topics, tasks, flows, pools, events at the edge) are "
            "plain, so there is one of each in a program; import the other module to share it");
  }
}

}  // namespace

void collect(Context& context) {
  // Record 0 is `Failure`, in every program.
  RecordDef& failure = context.program.records.emplace_back();
  failure.name = "Failure";
  failure.type = context.types.record(failure);
  context.program.failure = &failure;
  for (const auto& [name, type] : std::initializer_list<std::pair<const char*, TypeId>>{
           {"kind", kString}, {"message", kString}, {"step", kString}, {"attempt", kInt}}) {
    FieldDef& field = failure.fields.emplace_back();
    field.name = name;
    field.type = type;
  }
  for (ModuleScope& scope : context.scopes) Collector(context, scope).run();
}

void check_wire_names(Context& context) {
  check_unique(context, context.program.topics, "topic");
  check_unique(context, context.program.tasks, "task");
  check_unique(context, context.program.flows, "flow");
  check_unique(context, context.program.pools, "pool");
}

void check_edge_events(Context& context) {
  std::unordered_map<std::string_view, const RecordDef*> seen;
  for (const RecordDef& def : context.program.records) {
    if (!def.is_event || !def.crosses_edge || is_engines(def)) continue;
    const auto [place, added] = seen.try_emplace(def.name, &def);
    if (added || place->second->module == def.module) continue;
    context.diagnostics
        .report(Code::E0218, def.tree->name.span,
                fmt::format("the modules `{}` and `{}` both send or take an event `{}`",
                            place->second->module->name, def.module->name, def.name))
        .also(place->second->tree->name.span, "the other one")
        .because("clients know events by their plain names; import the other module to share it");
  }
}

}  // namespace sluice::compiler
