#include "vm/evaluator.hpp"

#include "vm/interpreter.hpp"

namespace sluice::vm {
namespace {

// The value of a pure function, with the unit's stack from `base` on. Takes what it costs from
// *fuel.
tl::expected<Value, Failure> evaluate_at(Unit& unit, uint32_t base, uint32_t function,
                                         std::span<const Value> arguments, bool constraint,
                                         int64_t* fuel) {
  const Function& body = unit.program().functions[function];
  Activation act;
  act.function = &body;
  act.registers = unit.stack() + base;
  act.stack_base = base + body.registers;
  act.in_constraint = constraint;
  act.fuel = *fuel;
  for (size_t i = 0; i < arguments.size(); ++i) act.registers[i] = arguments[i];
  Stop stop = execute(unit, act);
  for (uint32_t r = 0; r < body.registers; ++r) act.registers[r] = Value();
  *fuel = act.fuel;
  if (stop == Stop::returned) return std::move(act.result);
  return tl::unexpected(std::move(act.failure));
}

// Walks a value along its type and asks every constraint on the way.
class Constraints {
 public:
  // Without `fuel` each constraint has kEvaluationFuel of its own.
  explicit Constraints(Unit& unit, uint32_t base = 0, int64_t* fuel = nullptr)
      : unit_(unit), types_(unit.types()), base_(base), fuel_(fuel) {}

  void walk(TypeId id, const Value& value) {
    const Type& type = types_[id];
    switch (type.kind) {
      case Kind::optional:
        if (!value.is_none()) walk({type.argument}, value);
        return;
      case Kind::list: {
        size_t i = 0;
        for (const Value& item : value.elements()) {
          within(std::to_string(i++), [&] { walk({type.argument}, item); });
        }
        return;
      }
      case Kind::map:
        for (size_t i = 0; i < value.pairs().size(); i += 2) {
          within(value.pairs()[i].as_text(), [&] { walk({type.argument}, value.pairs()[i + 1]); });
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

  std::vector<JsonProblem> take() { return std::move(problems_); }

 private:
  // The path grows for what happens inside.
  template <class Inside>
  void within(std::string_view part, Inside inside) {
    if (problems_.size() >= kJsonProblemsMax) return;
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
        walk(list[i].type, items[i]);
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

  void ask(const FieldType& field, const Value& value) {
    // A constraint on an optional field speaks of the value that is there.
    if (value.is_none()) return;
    int64_t own = kEvaluationFuel;
    auto answer = evaluate_at(unit_, base_, *field.where_function, {&value, 1}, true,
                              fuel_ != nullptr ? fuel_ : &own);
    if (!answer) {
      problems_.push_back({path_, "the constraint failed: " + answer.error().message});
    } else if (!answer->is(Kind::boolean) || !answer->as_bool()) {
      std::string message = "does not satisfy `where";
      if (!field.where_text.empty()) message += " " + field.where_text;
      problems_.push_back({path_, message + "`"});
    }
  }

  Unit& unit_;
  const TypeTable& types_;
  uint32_t base_;
  int64_t* fuel_;
  std::string path_;
  std::vector<JsonProblem> problems_;
};

}  // namespace

tl::expected<Value, Failure> evaluate(Unit& unit, uint32_t function,
                                      std::span<const Value> arguments, int64_t fuel) {
  return evaluate_at(unit, 0, function, arguments, false, &fuel);
}

std::string invalid_message(const TypeTable& types, TypeId type,
                            const std::vector<JsonProblem>& problems) {
  std::string text = "this is no " + types.name_of(type) + ": ";
  for (const JsonProblem& problem : problems) {
    if (&problem != problems.data()) text += "; ";
    text += problem.path.empty() ? "" : problem.path + ": ";
    text += problem.message;
  }
  return text;
}

namespace {

// What was read of JSON becomes the value, if it keeps its constraints.
bool accept_decoded(Unit& unit, Activation& act, TypeId type,
                    tl::expected<Value, std::vector<JsonProblem>> value, Value* out) {
  std::vector<JsonProblem> problems;
  if (value) {
    Constraints constraints(unit, unit.side_base(), &act.fuel);
    constraints.walk(type, *value);
    problems = constraints.take();
    if (act.fuel < 0) return act.fault("out of fuel: the constraints compute too long");
  } else {
    problems = std::move(value.error());
  }
  if (!problems.empty()) return act.fail("Invalid", invalid_message(unit.types(), type, problems));
  *out = std::move(*value);
  return act.accept(*out);
}

}  // namespace

bool check_json(Unit& unit, Activation& act, TypeId type, const Value& json, Value* out) {
  if (!json.is(Kind::json)) {
    return act.fault(std::string("`as` found a value of kind ") + kind_name(json.kind()));
  }
  if (act.in_constraint) return act.fault("a constraint cannot check json");
  act.charge(json.logical_bytes());
  return accept_decoded(
      unit, act, type,
      decode_json(unit.types(), type, json.as_text(), {.ignore_unknown_fields = true}), out);
}

bool decode_json_text(Unit& unit, Activation& act, TypeId type, const Value& text, Value* out) {
  if (text.is(Kind::string) && !act.in_constraint) {
    // What it costs to read it, and to read what was read once more.
    auto value = decode_json(unit.types(), type, text.as_text(), {.ignore_unknown_fields = true});
    if (value) {
      act.charge(2 * uint64_t{text.logical_bytes()});
      return accept_decoded(unit, act, type, std::move(value), out);
    }
  }
  Value json;
  return call_builtin(unit, act, Builtin::decode, {&text, 1}, &json) &&
         check_json(unit, act, type, json, out);
}

std::vector<JsonProblem> check_constraints(Unit& unit, TypeId type, const Value& value) {
  Constraints constraints(unit);
  constraints.walk(type, value);
  return constraints.take();
}

tl::expected<Value, std::vector<JsonProblem>> decode_checked(Unit& unit, TypeId type,
                                                             std::string_view text,
                                                             JsonDecodeOptions options) {
  auto value = decode_json(unit.types(), type, text, options);
  if (!value) return value;
  std::vector<JsonProblem> problems = check_constraints(unit, type, *value);
  if (!problems.empty()) return tl::unexpected(std::move(problems));
  return value;
}

tl::expected<Value, std::vector<JsonProblem>> decode_event(Unit& unit, uint32_t event, TypeId type,
                                                           std::string_view text,
                                                           uint64_t version) {
  const EventInfo& info = unit.program().events[event];
  if (version == 0 || version == info.version) return decode_checked(unit, type, text);
  const auto fails = [](std::string message) {
    return tl::unexpected(std::vector<JsonProblem>{{"", std::move(message), false}});
  };
  const EventUpgrade* upgrade =
      version > info.version ? nullptr : info.upgrade_of(static_cast<uint32_t>(version));
  if (upgrade == nullptr) {
    return fails("version " + std::to_string(version) + " of `" + info.name +
                 "` is not known; the newest is " + std::to_string(info.version));
  }
  auto value = decode_checked(unit, upgrade->type, text);
  for (; value && upgrade != nullptr; upgrade = info.upgrade_of(upgrade->to)) {
    auto made = evaluate(unit, upgrade->function, {&*value, 1});
    if (!made) {
      return fails("the upgrade from version " + std::to_string(upgrade->from) +
                   " failed: " + made.error().message);
    }
    value = std::move(*made);
  }
  if (!value) return value;
  if (!conforms(unit.types(), type, *value)) return fails("the upgrade made another type");
  std::vector<JsonProblem> problems = check_constraints(unit, type, *value);
  if (!problems.empty()) return tl::unexpected(std::move(problems));
  return value;
}

tl::expected<std::string, Failure> order_key(Unit& unit, uint32_t topic, const Value& event) {
  return key_text(unit, *unit.program().topics[topic].order_function, {&event, 1});
}

tl::expected<std::string, Failure> key_text(Unit& unit, uint32_t function,
                                            std::span<const Value> arguments) {
  auto key = evaluate(unit, function, arguments);
  if (!key) return tl::unexpected(std::move(key.error()));
  std::string text;
  append_text(unit.types(), *key, text);
  return text;
}

}  // namespace sluice::vm
