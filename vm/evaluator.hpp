#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <tl/expected.hpp>
#include <vector>

#include "vm/json.hpp"
#include "vm/limits.hpp"
#include "vm/unit.hpp"
#include "vm/value.hpp"

// Pure functions outside runs: constraints and ordering keys on gateways' threads, each with a Unit
// of its own.
namespace sluice::vm {

// The value of pure function `function`, or the failure it ended with (Fault, or what it
// failed with). REQUIRES: the function is pure and takes arguments.size() parameters.
tl::expected<Value, Failure> evaluate(Unit& unit, uint32_t function,
                                      std::span<const Value> arguments,
                                      int64_t fuel = kEvaluationFuel);

// Checks every `where` in `type`, all the way down. Empty: they hold. Paths are RFC 6901; a
// constraint that fails itself (a Fault, out of fuel) is a problem with that message. REQUIRES:
// conforms(types, type, value).
std::vector<JsonProblem> check_constraints(Unit& unit, TypeId type, const Value& value);

// The problems of a document as one line of text, for people and models: "this is no Invoice:
// /total: is missing; /lines/0/price: expected a decimal …".
std::string invalid_message(const TypeTable& types, TypeId type,
                            const std::vector<JsonProblem>& problems);

// decode_json with the constraints of the unit's program, each with kEvaluationFuel: what the edge
// does with a document. One pass tells all that is wrong with it: shapes, and the constraints of
// every field whose own shape is right. `options.checks` is set here.
tl::expected<Value, std::vector<JsonProblem>> decode_checked(Unit& unit, TypeId type,
                                                             std::string_view text,
                                                             JsonDecodeOptions options = {});
tl::expected<Value, std::vector<JsonProblem>> decode_checked(Unit& unit, TypeId type,
                                                             JsonReader& reader,
                                                             JsonDecodeOptions options = {});
// The same of a flow's parameters by name.
tl::expected<std::vector<Value>, std::vector<JsonProblem>> decode_parameters(
    Unit& unit, const std::vector<JsonParameter>& parameters, std::string_view text);

// An event as a client sent it in `version` (0: the newest), as a value of the newest: decoded and
// checked by its own version's type, upgraded as often as it takes, and checked again. REQUIRES:
// `type` is that of the event's record.
tl::expected<Value, std::vector<JsonProblem>> decode_event(Unit& unit, uint32_t event, TypeId type,
                                                           std::string_view text,
                                                           uint64_t version = 0);

// The key that a pure function makes of its arguments, as text. REQUIRES: as evaluate().
tl::expected<std::string, Failure> key_text(Unit& unit, uint32_t function,
                                            std::span<const Value> arguments);

// The ordering key of an event on a topic with an order function, as text. REQUIRES: the topic has
// one.
tl::expected<std::string, Failure> order_key(Unit& unit, uint32_t topic, const Value& event);

}  // namespace sluice::vm
