// What labels a value brings along, as far as its expression says. Private to compiler/analyse.
//
// A value *carries* labels when it was made of a labelled field, whatever became of it: part of a
// text, element of a list. A record does not carry what stands in a field of its own with that
// label: it *contains* the label, and gives it back when the field is read.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <unordered_map>
#include <vector>

#include "compiler/ir.hpp"

namespace sluice::compiler::analyse {

// Labels, and a field that brought one of them.
struct Taint {
  ir::Labels labels = 0;
  const ir::FieldDef* from = nullptr;

  Taint& operator|=(const Taint& other);
  Taint without(ir::Labels known) const;
};
Taint operator|(Taint a, const Taint& b);
Taint of_field(const ir::FieldDef& field);

// The labels of all fields within a type. Types may hold themselves, so what they contain is
// gathered until nothing is added.
class Contents {
 public:
  explicit Contents(const ir::Program& program);
  Taint of(ir::TypeId type) const;

 private:
  const ir::Program& program_;
  std::unordered_map<const ir::RecordDef*, Taint> records_;
  std::unordered_map<const ir::EnumDef*, Taint> enums_;
};

// What functions make of the labels of their arguments. One table for a program.
class Fns {
 public:
  struct Summary {
    Taint own;                          // whatever the arguments carry
    std::vector<ir::Labels> passed[2];  // by parameter: what pii, and what secret, comes out as
    bool can_tell = false;              // a failure of it may tell of its arguments
    bool known = false;                 // false: a function that needs itself, an error
  };
  explicit Fns(const ir::Program& program, const Contents& contents)
      : program_(program), contents_(contents) {}
  const Summary& of(const ir::FnDef& fn);

  const ir::Program& program() const { return program_; }
  const Contents& contents() const { return contents_; }

 private:
  const ir::Program& program_;
  const Contents& contents_;
  std::map<const ir::FnDef*, Summary> known_;
};

// The names of one flow, function or upgrade and what they bring.
class Values {
 public:
  explicit Values(Fns& fns) : fns_(fns) {}

  Taint carried(const ir::Expr* expr);
  // What comes out with a value: what it carries and what it contains.
  Taint whole(const ir::Expr* expr);
  // What the message of a failed `as T` in an expression tells of: nothing if there is none.
  Taint told_by_failure(const ir::Expr& expr);

  // Names, by their first byte; what one brings only grows.
  void learn(std::uint32_t name, const Taint& taint);
  // A name bound to exactly this value: its fields bring what they were given.
  void learn_value(std::uint32_t name, const ir::Expr* value);
  // A failure whose message tells of something.
  void learn_failure(std::uint32_t name, const Taint& message);
  // Whether something was learned since this was last asked.
  bool has_learned();

  const ir::FieldDef* field_of(const ir::FieldOf& node) const;

 private:
  struct Held {  // by one field of a record
    Taint carried;
    Taint contained;
  };

  Taint contained(const ir::Expr& expr);
  Taint carried_by(const std::vector<ir::Expr*>& values, const std::vector<ir::FieldDef>& fields);
  Taint carried_by_with(const ir::Expr& expr, const ir::With& node);
  Taint carried_by_match(const ir::MatchExpr& node);
  Taint carried_by_fn(const ir::CallFn& node);
  Taint carried_by_builtin(const ir::CallBuiltin& call);
  const ir::RecordDef* record_of(const ir::Expr& expr) const;
  bool is_known_by_field(const ir::Expr& expr) const;
  Held held(const ir::Expr& expr, std::uint32_t field);
  Held whole_of(const ir::Expr& value);
  void learn_held(std::uint32_t name, std::uint32_t field, const Held& held);

  Fns& fns_;
  std::map<std::uint32_t, Taint> names_;
  std::map<std::pair<std::uint32_t, std::uint32_t>, Held> held_;  // by name and field
  std::set<std::uint32_t> known_by_field_;
  bool changed_ = false;
};

}  // namespace sluice::compiler::analyse
