// Modules: one per file, their names, their imports, and the cycles among those.

#include <fmt/format.h>

#include <algorithm>

#include "compiler/check/context.hpp"
#include "compiler/stdlib.hpp"

namespace sluice::compiler {

using namespace ir;

namespace {

std::vector<std::string_view> parts_of(std::string_view name) {
  std::vector<std::string_view> parts;
  while (true) {
    const std::size_t dot = name.find('.');
    parts.push_back(name.substr(0, dot));
    if (dot == std::string_view::npos) return parts;
    name.remove_prefix(dot + 1);
  }
}

// A file may be given from somewhere inside its source root, so the shorter of both names must be
// the end of the longer.
bool name_fits_path(std::string_view written, std::string_view from_path) {
  const auto a = parts_of(written);
  const auto b = parts_of(from_path);
  const std::size_t n = std::min(a.size(), b.size());
  return std::equal(a.end() - static_cast<std::ptrdiff_t>(n), a.end(),
                    b.end() - static_cast<std::ptrdiff_t>(n));
}

Span first_byte(FileId file) {
  return {file, 0, 0};
}

class ModuleLoader {
 public:
  ModuleLoader(Context& context, const SourceSet& sources, const std::set<FileId>& standard)
      : context_(context), sources_(sources), standard_(standard) {}

  void run() {
    name_modules();
    for (ModuleScope& scope : context_.scopes) link_imports(scope);
    find_cycles();
  }

 private:
  struct Named {
    std::string name;
    const ast::Module* tree;
  };

  void name_modules() {
    std::vector<Named> named;
    for (const auto& tree : context_.program.trees) {
      named.push_back({module_name(*tree), tree.get()});
    }
    std::stable_sort(named.begin(), named.end(), [&](const Named& a, const Named& b) {
      return std::pair<std::string_view, std::string_view>(a.name, path_of(*a.tree)) <
             std::pair<std::string_view, std::string_view>(b.name, path_of(*b.tree));
    });
    for (const Named& each : named) add_module(each);
  }

  std::string_view path_of(const ast::Module& tree) const {
    return sources_.file(tree.file).path();
  }

  std::string module_name(const ast::Module& tree) {
    const SourceFile& file = sources_.file(tree.file);
    if (!tree.name) return file.module();
    const std::string written = tree.name->text();
    if (!file.module().empty() && !name_fits_path(written, file.module())) {
      context_.diagnostics
          .report(Code::E0206, tree.name->span,
                  fmt::format("module `{}` does not belong in the file `{}`", written, file.path()))
          .here(fmt::format("the file's place says `{}`", file.module()))
          .because("a file's path is its module's name: `a.b` is a/b.flow")
          .mend(fmt::format("write `{}`", file.module()), {{tree.name->span, file.module()}});
    }
    return written;
  }

  void add_module(const Named& named) {
    const Span span = named.tree->name ? named.tree->name->span : first_byte(named.tree->file);
    if (const auto known = by_name_.find(named.name); known != by_name_.end()) {
      context_.diagnostics
          .report(Code::E0207, span, fmt::format("there are two modules `{}`", named.name))
          .also(name_span(*known->second->module), "the other one")
          .because("a module is one file");
      // It is checked all the same, but nobody can import it.
    }
    Module& module = context_.program.modules.emplace_back();
    module.name = named.name;
    module.file = named.tree->file;
    module.tree = named.tree;
    module.exprs.resize(named.tree->expr_count);
    module.steps.resize(named.tree->stmt_count);
    module.is_standard = standard_.contains(module.file);
    if (!module.is_standard && (module.name == "std" || module.name.starts_with("std."))) {
      context_.diagnostics.report(Code::E0206, span, "`std` belongs to the compiler")
          .because("its modules come with it; give this one another first name");
    }
    ModuleScope& scope = context_.scopes.emplace_back();
    scope.module = &module;
    context_.scope_of.emplace(&module, &scope);
    by_name_.try_emplace(module.name, &scope);
  }

  static Span name_span(const Module& module) {
    return module.tree->name ? module.tree->name->span : first_byte(module.file);
  }

  void link_imports(ModuleScope& scope) {
    for (const ast::Import& import : scope.module->tree->imports) {
      const std::string wanted = import.module.text();
      const auto target = by_name_.find(wanted);
      ImportScope linked{nullptr, import.span};
      linked.used = target != by_name_.end() && target->second == &scope;  // reported as a cycle
      const bool lost = context_.program.is_lost(import.module.last().text);
      if (target == by_name_.end()) {
        if (!lost) report_missing(scope, import, wanted);
      } else {
        linked.module = target->second;
      }
      const std::string_view alias = import.module.last().text;
      const auto [place, added] = scope.imports.try_emplace(alias, linked);
      if (!added) report_alias(import, alias, place->second);
    }
  }

  void report_missing(ModuleScope& scope, const ast::Import& import, const std::string& wanted) {
    std::vector<std::string_view> names;
    for (const auto& [name, module] : by_name_) names.push_back(name);
    for (const StandardModule& each : standard_modules()) names.push_back(each.name);
    std::sort(names.begin(), names.end());
    Diagnostic& diagnostic = context_.diagnostics.report(
        Code::E0208, import.module.span, fmt::format("there is no module `{}`", wanted));
    if (const auto near = nearest(wanted, names)) {
      // What is written as if the right one were imported is not reported again.
      const std::string_view alias = parts_of(*near).back();
      scope.imports.try_emplace(alias, ImportScope{nullptr, import.span, true});
      diagnostic.here(fmt::format("did you mean `{}`?", *near));
      diagnostic.mend(fmt::format("write `{}`", *near), {{import.module.span, std::string(*near)}});
    } else {
      diagnostic.because(
          "a module is a file that is compiled together with this one (`a.b` is "
          "a/b.flow), or one of `std`");
    }
  }

  void report_alias(const ast::Import& import, std::string_view alias, const ImportScope& other) {
    const bool same = other.module != nullptr && other.module->module->name == import.module.text();
    Diagnostic& diagnostic = context_.diagnostics.report(
        Code::E0210, import.span,
        same ? fmt::format("`{}` is imported twice", import.module.text())
             : fmt::format("two imports are called `{}`", alias));
    diagnostic.also(other.span, "the first one");
    if (same) {
      diagnostic.mend("remove it", {{import.span, ""}});
    } else {
      diagnostic.because("an import is spoken of by the last part of its name");
    }
  }

  // Depth first, each module once; an import that leads back into the way closes a cycle.
  void find_cycles() {
    for (ModuleScope& scope : context_.scopes) visit(scope);
  }

  void visit(ModuleScope& start) {
    struct Frame {
      ModuleScope* scope;
      std::size_t next = 0;
    };
    if (state_[&start] != State::kNew) return;
    std::vector<Frame> way{{&start}};
    state_[&start] = State::kOpen;
    while (!way.empty()) {
      Frame& frame = way.back();
      const auto& imports = frame.scope->module->tree->imports;
      if (frame.next == imports.size()) {
        state_[frame.scope] = State::kDone;
        way.pop_back();
        continue;
      }
      const ast::Import& import = imports[frame.next++];
      const auto target = by_name_.find(import.module.text());
      if (target == by_name_.end()) continue;
      ModuleScope* next = target->second;
      if (state_[next] == State::kNew) {
        state_[next] = State::kOpen;
        way.push_back({next});
      } else if (state_[next] == State::kOpen) {
        std::vector<std::pair<ModuleScope*, const ast::Import*>> cycle;
        for (const Frame& each : way) {
          if (!cycle.empty() || each.scope == next) {
            cycle.emplace_back(each.scope, &each.scope->module->tree->imports[each.next - 1]);
          }
        }
        report_cycle(cycle);
      }
    }
  }

  void report_cycle(const std::vector<std::pair<ModuleScope*, const ast::Import*>>& cycle) {
    std::string text;
    for (const auto& [scope, import] : cycle) text += scope->module->name + " -> ";
    text += cycle.front().first->module->name;
    Diagnostic& diagnostic = context_.diagnostics.report(
        Code::E0209, cycle.front().second->span,
        cycle.size() == 1 ? fmt::format("module `{}` imports itself", cycle[0].first->module->name)
                          : fmt::format("these modules import each other: {}", text));
    for (std::size_t i = 1; i < cycle.size(); ++i) {
      diagnostic.also(cycle[i].second->span,
                      fmt::format("`{}` imports `{}`", cycle[i].first->module->name,
                                  cycle[i].second->module.text()));
    }
    diagnostic.because("move what both need into a module that imports neither");
  }

  enum class State { kNew, kOpen, kDone };

  Context& context_;
  const SourceSet& sources_;
  const std::set<FileId>& standard_;
  std::unordered_map<std::string, ModuleScope*> by_name_;
  std::unordered_map<const ModuleScope*, State> state_;
};

}  // namespace

void load_modules(Context& context, const SourceSet& sources, const std::set<FileId>& standard) {
  ModuleLoader(context, sources, standard).run();
}

void check_imports_used(Context& context) {
  for (ModuleScope& scope : context.scopes) {
    for (const ast::Import& import : scope.module->tree->imports) {
      const auto place = scope.imports.find(import.module.last().text);
      if (place == scope.imports.end() || !(place->second.span == import.span)) continue;
      if (place->second.used || place->second.module == nullptr) continue;
      if (context.is_lost(import.module.last())) continue;
      context.diagnostics
          .report(Code::W0002, import.span,
                  fmt::format("the import `{}` is never used", import.module.text()))
          .mend("remove it", {{import.span, ""}});
    }
  }
}

}  // namespace sluice::compiler
