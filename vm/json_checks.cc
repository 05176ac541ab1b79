#include "vm/json.hpp"

namespace sluice::vm {
namespace {

// Walks a value along its type and asks every constraint on the way.
class Walk {
 public:
  Walk(const TypeTable& types, FieldChecks& checks, std::string path,
       std::vector<JsonProblem>& problems)
      : types_(types), checks_(checks), path_(std::move(path)), problems_(problems) {}

  void value(TypeId id, const Value& value) {
    const Type& type = types_[id];
    switch (type.kind) {
      case Kind::optional:
        if (!value.is_none()) this->value({type.argument}, value);
        return;
      case Kind::list: {
        size_t i = 0;
        for (const Value& item : value.elements()) {
          within(std::to_string(i++), [&] { this->value({type.argument}, item); });
        }
        return;
      }
      case Kind::map:
        for (size_t i = 0; i < value.pairs().size(); i += 2) {
          within(value.pairs()[i].as_text(),
                 [&] { this->value({type.argument}, value.pairs()[i + 1]); });
        }
        return;
      case Kind::record:
        return fields(types_.records[type.argument].fields, value);
      case Kind::enumeration:
        return fields(types_.enums[type.argument].cases[value.enum_case()].fields, value);
      default:
        return;
    }
  }

 private:
  bool is_full() const { return problems_.size() >= kJsonProblemsMax; }

  // The path grows for what happens inside.
  template <class Inside>
  void within(std::string_view part, Inside inside) {
    if (is_full()) return;
    size_t length = path_.size();
    path_ += '/';
    for (char c : part) {
      if (c == '~') {
        path_ += "~0";
      } else if (c == '/') {
        path_ += "~1";
      } else {
        path_ += c;
      }
    }
    inside();
    path_.resize(length);
  }

  void fields(const std::vector<FieldType>& list, const Value& value) {
    std::span<const Value> items = value.elements();
    for (size_t i = 0; i < list.size() && i < items.size(); ++i) {
      if (!list[i].where_function && !may_hold(list[i].type)) continue;
      within(list[i].name, [&] {
        this->value(list[i].type, items[i]);
        if (list[i].where_function) ask(list[i], items[i]);
      });
    }
  }

  // Scalars have nothing to walk into.
  bool may_hold(TypeId id) const {
    switch (types_[id].kind) {
      case Kind::list:
      case Kind::map:
      case Kind::record:
      case Kind::enumeration:
      case Kind::optional:
        return true;
      default:
        return false;
    }
  }

  // A constraint on an optional field speaks of the value that is there.
  void ask(const FieldType& field, const Value& value) {
    if (value.is_none() || is_full()) return;
    if (auto why = checks_.problem(field, value)) {
      problems_.push_back({path_, std::move(*why), false});
    }
  }

  const TypeTable& types_;
  FieldChecks& checks_;
  std::string path_;
  std::vector<JsonProblem>& problems_;
};

}  // namespace

void check_fields(const TypeTable& types, TypeId type, const Value& value, FieldChecks& checks,
                  std::string path, std::vector<JsonProblem>& problems) {
  Walk(types, checks, std::move(path), problems).value(type, value);
}

std::string list_problems(const std::vector<JsonProblem>& problems) {
  std::string text;
  for (const JsonProblem& problem : problems) {
    if (!text.empty()) text += "; ";
    if (!problem.path.empty()) text += problem.path + ": ";
    text += problem.message;
  }
  return text;
}

}  // namespace sluice::vm
