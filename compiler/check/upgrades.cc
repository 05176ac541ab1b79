// Upgrades of events: from the version in which a client sent one to the version that flows know.
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "compiler/check/exprs.hpp"

namespace sluice::compiler {

using namespace ir;

namespace {

class Upgrades {
 public:
  explicit Upgrades(Context& context) : context_(context) {}

  void run() {
    for (RecordDef& def : context_.program.records) {
      if (!def.is_event) continue;
      const Symbol* symbol = context_.scope_of.at(def.module)->find(Space::kType, def.name);
      RecordDef* newest = symbol == nullptr ? nullptr : symbol->as<RecordDef>();
      if (newest == nullptr || !newest->is_event) continue;
      def.newest = newest;
      versions_[newest].emplace(def.version, &def);
    }
    for (UpgradeDef& def : context_.program.upgrades) check(def);
    for (const auto& [newest, versions] : versions_) {
      for (const auto& [version, def] : versions) leads_on(*newest, *def);
    }
  }

 private:
  const ast::UpgradeDecl& node_of(const UpgradeDef& def) const {
    return std::get<ast::UpgradeDecl>(def.tree->node);
  }

  void check(UpgradeDef& def) {
    const ast::UpgradeDecl& node = node_of(def);
    ModuleScope& scope = *context_.scope_of.at(def.module);
    const ast::Name& name = def.tree->name;
    const Symbol* symbol = context_.resolve(scope, Space::kType, {{name}, name.span}, "event");
    RecordDef* event = symbol == nullptr ? nullptr : symbol->as<RecordDef>();
    if (symbol != nullptr && (event == nullptr || !event->is_event)) {
      context_.diagnostics
          .report(
              Code::E0203, name.span,
              fmt::format("an event is wanted here, and this is {}", kind_with_article(*symbol)))
          .also(symbol->span, "declared here");
      event = nullptr;
    }
    RecordDef* to = event == nullptr ? nullptr : version_of(event, node.to_version);
    const bool good = to != nullptr && node.from_version < node.to_version;
    if (event != nullptr && !good) misfit(def, *event);
    if (good) {
      def.from = version_of(event, node.from_version);
      def.to = to;
      note(def, *event);
    }
    // Without the version that is made, nobody knows what its fields are.
    if (to != nullptr) body(def, scope, to);
  }

  RecordDef* version_of(const RecordDef* event, std::uint32_t version) {
    const auto& versions = versions_[event];
    const auto place = versions.find(version);
    return place == versions.end() ? nullptr : place->second;
  }

  void misfit(const UpgradeDef& def, const RecordDef& event) {
    if (context_.program.is_lost(event.name)) return;
    const ast::UpgradeDecl& node = node_of(def);
    Diagnostic& diagnostic = context_.diagnostics.report(
        Code::E0220, def.tree->name.span,
        node.from_version >= node.to_version
            ? fmt::format("an upgrade leads to a newer version, not from v{} to v{}",
                          node.from_version, node.to_version)
            : fmt::format("`{}` has no version v{}", event.name, node.to_version));
    diagnostic.also(event.tree->name.span, fmt::format("its newest version is v{}", event.version));
  }

  void note(UpgradeDef& def, const RecordDef& event) {
    const auto [place, added] =
        from_.try_emplace({&event, node_of(def).from_version}, def.tree->name.span);
    if (added) {
      def.event = &event;
      return;
    }
    context_.diagnostics
        .report(Code::E0204, def.tree->name.span,
                fmt::format("version v{} of `{}` has two upgrades", node_of(def).from_version,
                            event.name))
        .also(place->second, "first here");
  }

  void body(UpgradeDef& def, ModuleScope& scope, RecordDef* to) {
    const ast::UpgradeDecl& node = node_of(def);
    Locals locals(context_);
    Exprs exprs(context_, scope, World::kPure, locals);
    exprs.set_version(to);
    locals.open();
    const TypeId old = def.from != nullptr ? def.from->type : def.to != nullptr ? kJson : kPoison;
    def.old = context_.local(node.old, old, Local::Kind::kParameter);
    locals.declare(def.old);
    def.value = exprs.want(*node.value, {to->type, to->tree->name.span,
                                         fmt::format("version v{} is declared here", to->version)});
    locals.close();
  }

  // Whoever has an older version has a way to the newest.
  void leads_on(const RecordDef& newest, const RecordDef& def) {
    if (&def == &newest || from_.contains({&newest, def.version})) return;
    if (context_.program.is_lost(def.name)) return;
    context_.diagnostics
        .report(Code::E0221, def.tree->name.span,
                fmt::format("nothing leads on from version v{} of `{}`", def.version, def.name))
        .also(newest.tree->name.span, fmt::format("version v{}", newest.version))
        .because(
            fmt::format("flows know the newest version only: `upgrade {} v{} -> v{} (old) = …`",
                        def.name, def.version, newest.version));
  }

  Context& context_;
  std::map<const RecordDef*, std::map<std::uint32_t, RecordDef*>> versions_;  // by the newest
  std::map<std::pair<const RecordDef*, std::uint32_t>, Span> from_;
};

}  // namespace

void check_upgrades(Context& context) {
  Upgrades(context).run();
}

}  // namespace sluice::compiler
