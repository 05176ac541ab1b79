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

// Asks the constraints of fields.
class Constraints final : public FieldChecks {
 public:
  // Without `fuel` each constraint has kEvaluationFuel of its own.
  explicit Constraints(Unit& unit, uint32_t base = 0, int64_t* fuel = nullptr)
      : unit_(unit), base_(base), fuel_(fuel) {}

  std::optional<std::string> problem(const FieldType& field, const Value& value) override {
    int64_t own = kEvaluationFuel;
    auto answer = evaluate_at(unit_, base_, *field.where_function, {&value, 1}, true,
                              fuel_ != nullptr ? fuel_ : &own);
    if (!answer) return "the constraint failed: " + answer.error().message;
    if (answer->is(Kind::boolean) && answer->as_bool()) return std::nullopt;
    std::string message = "does not satisfy `where";
    if (!field.where_text.empty()) message += " " + field.where_text;
    return message + "`";
  }

 private:
  Unit& unit_;
  uint32_t base_;
  int64_t* fuel_;
};

}  // namespace

tl::expected<Value, Failure> evaluate(Unit& unit, uint32_t function,
                                      std::span<const Value> arguments, int64_t fuel) {
  return evaluate_at(unit, 0, function, arguments, false, &fuel);
}

std::string invalid_message(const TypeTable& types, TypeId type,
                            const std::vector<JsonProblem>& problems) {
  return "this is no " + types.name_of(type) + ": " + list_problems(problems);
}

namespace {

using Decoded = tl::expected<Value, std::vector<JsonProblem>>;

// JSON of a run, checked while other code is at work, which pays for the constraints.
Decoded decode_within(Unit& unit, Activation& act, TypeId type, std::string_view text) {
  Constraints constraints(unit, unit.side_base(), &act.fuel);
  return decode_json(unit.types(), type, text,
                     {.ignore_unknown_fields = true, .checks = &constraints});
}

bool in_time(Activation& act) {
  return act.fuel >= 0 || act.fault("out of fuel: the constraints compute too long");
}

}  // namespace

bool check_json(Unit& unit, Activation& act, TypeId type, const Value& json, Value* out) {
  if (!json.is(Kind::json)) {
    return act.fault(std::string("`as` found a value of kind ") + kind_name(json.kind()));
  }
  if (act.in_constraint) return act.fault("a constraint cannot check json");
  act.charge(json.logical_bytes());
  Decoded value = decode_within(unit, act, type, json.as_text());
  if (!in_time(act)) return false;
  if (!value) return act.fail("Invalid", invalid_message(unit.types(), type, value.error()));
  *out = std::move(*value);
  return act.accept(*out);
}

bool decode_json_text(Unit& unit, Activation& act, TypeId type, const Value& text, Value* out) {
  if (text.is(Kind::string) && !act.in_constraint) {
    // What it costs to read it, and to read what was read once more.
    act.charge(2 * uint64_t{text.logical_bytes()});
    Decoded value = decode_within(unit, act, type, text.as_text());
    if (!in_time(act)) return false;
    if (value) {
      *out = std::move(*value);
      return act.accept(*out);
    }
  }
  Value json;
  return call_builtin(unit, act, Builtin::decode, {&text, 1}, &json) &&
         check_json(unit, act, type, json, out);
}

std::vector<JsonProblem> check_constraints(Unit& unit, TypeId type, const Value& value) {
  Constraints constraints(unit);
  std::vector<JsonProblem> problems;
  check_fields(unit.types(), type, value, constraints, "", problems);
  return problems;
}

tl::expected<Value, std::vector<JsonProblem>> decode_checked(Unit& unit, TypeId type,
                                                             std::string_view text,
                                                             JsonDecodeOptions options) {
  Constraints constraints(unit);
  options.checks = &constraints;
  return decode_json(unit.types(), type, text, options);
}

tl::expected<Value, std::vector<JsonProblem>> decode_checked(Unit& unit, TypeId type,
                                                             JsonReader& reader,
                                                             JsonDecodeOptions options) {
  Constraints constraints(unit);
  options.checks = &constraints;
  return decode_json(unit.types(), type, reader, options);
}

tl::expected<std::vector<Value>, std::vector<JsonProblem>> decode_parameters(
    Unit& unit, const std::vector<JsonParameter>& parameters, std::string_view text) {
  Constraints constraints(unit);
  return decode_json_parameters(unit.types(), parameters, text, {.checks = &constraints});
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
