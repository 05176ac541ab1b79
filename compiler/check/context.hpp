// What the passes of the checker share: the program being built, the scopes of its modules, and the
// ways to look a name up and to report that it is not there. Private to compiler/check.
#pragma once

#include <array>
#include <deque>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <variant>
#include <vector>

#include "compiler/diagnostics.hpp"
#include "compiler/ir.hpp"

namespace sluice::compiler {

// Names of different spaces never meet, because every place in a program asks for one space only.
enum class Space : std::uint8_t { kType, kValue, kTopic, kPool, kPolicy };
inline constexpr std::size_t kSpaces = 5;

struct Symbol {
  std::variant<ir::RecordDef*, ir::EnumDef*, ir::TaskDef*, ir::FnDef*, ir::ConstDef*, ir::FlowDef*,
               ir::TopicDef*, ir::PoolDef*, ir::PolicyDef*>
      def;
  Span span;  // of the declared name

  template <typename T>
  T* as() const {
    T* const* found = std::get_if<T*>(&def);
    return found == nullptr ? nullptr : *found;
  }
};

// "task", "event", "topic", with its article.
std::string kind_with_article(const Symbol& symbol);

struct ModuleScope;

struct ImportScope {
  ModuleScope* module = nullptr;  // null: there is no such module, which was reported
  Span span;
  bool used = false;
};

struct ModuleScope {
  ir::Module* module = nullptr;
  std::array<std::unordered_map<std::string_view, Symbol>, kSpaces> spaces;
  std::unordered_map<std::string_view, ImportScope> imports;  // by the last part of the name

  const Symbol* find(Space space, std::string_view name) const;
};

class Context {
 public:
  Context(ir::Program& made, Diagnostics& found)
      : program(made), types(made.types), diagnostics(found) {}
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;

  ir::Program& program;
  ir::Types& types;
  Diagnostics& diagnostics;
  std::deque<ModuleScope> scopes;  // beside Program::modules
  std::unordered_map<const ir::Module*, ModuleScope*> scope_of;
  // Kinds of failure that tasks declare and flows fail with.
  std::set<std::string> declared_kinds;
  // Names of the zones that schedules may name; null: any.
  const std::vector<std::string>& (*zones)() = nullptr;

  // The named thing, or null after reporting that there is none (or that its module is missing,
  // which was reported at the import). `what` names what is wanted: "topic", "task".
  const Symbol* resolve(ModuleScope& scope, Space space, const ast::QualifiedName& name,
                        std::string_view what);
  // The scope that a first part such as `retry` means; null if it is no import. Counts as a use.
  ImportScope* import(ModuleScope& scope, std::string_view name);

  ir::TypeId resolve_type(ModuleScope& scope, const ast::Type& type);

  // The type, value and folded value of a constant, found out when first asked for.
  void ensure_const(ir::ConstDef& def);
  void ensure_policy(ir::PolicyDef& def);
  // Likewise a field's default. REQUIRES: its tree has one.
  void ensure_default(ir::FieldDef& field);

  // Reports that `name` is none of the candidates; `lacks` reads on with the name: "there is no
  // task", "`Role` has no case". Null if nothing was reported, as the name may stand in what could
  // not be read.
  Diagnostic* unknown(Code code, std::string_view lacks, const ast::Name& name,
                      const std::vector<std::string_view>& candidates);

  // Whether a name may be declared, used or set in what could not be read of its own file, so that
  // its absence proves nothing.
  bool is_lost(const ast::Name& name) const {
    return program.damage_in(name.span.file).names(name.text);
  }

  // Notes a use of what the engine does not execute yet.
  void unexecuted(Code code, Span span, std::string_view feature) {
    program.unexecuted.push_back({code, span, feature});
  }

  ir::Expr* expr(Span span, ir::TypeId type, decltype(ir::Expr::node) node);
  ir::Expr* poison(Span span);
  ir::Local* local(const ast::Name& name, ir::TypeId type, ir::Local::Kind kind);
  std::string type_name(ir::TypeId type) const { return "`" + types.name(type) + "`"; }

 private:
  void unknown_import(const ModuleScope& scope, const ast::Name& name,
                      const std::vector<std::string_view>& candidates);
  bool is_unread(const ast::Name& name);
  void report_const_cycle(const ir::ConstDef& def);
  void report_policy_cycle(const ir::PolicyDef& def);

  // By file: unknown names that are taken for those whose declarations were not read.
  std::unordered_map<FileId, std::set<std::string>> unread_;
  std::vector<ir::ConstDef*> open_consts_;
  std::vector<ir::PolicyDef*> open_policies_;

  ir::TypeId resolve_named(ModuleScope& scope, const ast::NamedType& named);
};

// The passes, in their order. Each goes on after errors.
// Modules, imports, and the cycles among them.
void load_modules(Context& context, const SourceSet& sources, const std::set<FileId>& standard);
void collect(Context& context);             // declarations into scopes
void check_wire_names(Context& context);    // clashes across modules
void check_declarations(Context& context);  // everything outside bodies
void check_bodies(Context& context);        // fns and flows
void check_upgrades(Context& context);      // between versions of events
void check_cycles(Context& context);        // records, fns
void check_edge_events(Context& context);
void check_tests(Context& context);  // test and invariant blocks
void check_imports_used(Context& context);

}  // namespace sluice::compiler
