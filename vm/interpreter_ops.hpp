#pragma once

#include "vm/interpreter.hpp"

// Instructions whose work is more than a few lines, and the slow ways out of the others. Each
// writes `out` (which may be one of its operands) and answers true, or sets the activation's
// failure and answers false.
namespace sluice::vm::ops {

bool wrong_kind(Activation& act, Op op, const Value& found);

bool divide(Activation& act, Op op, Value* out, const Value& a,
            const Value& b);  // div_int, rem_int
bool float_arithmetic(Activation& act, Op op, Value* out, const Value& a, const Value& b);
// The same of a float and a constant.
bool float_constant_arithmetic(Activation& act, Op op, Value* out, const Value& a,
                               const Value& constant);
bool decimal_arithmetic(Activation& act, Op op, Value* out, const Value& a, const Value& b);
bool time_arithmetic(Activation& act, Op op, Value* out, const Value& a, const Value& b);
bool negate(Activation& act, Op op, Value* out, const Value& a);
bool order(Activation& act, Op op, Value* out, const Value& a, const Value& b);  // less, less_equal
// Of a comparison that is no value: `holds` is set instead of a register. `op` is less or
// less_equal.
bool ordered(Activation& act, Op op, const Value& a, const Value& b, bool* holds);
bool equal_or_not(Activation& act, bool wanted, const Value& a, const Value& b, bool* holds);
bool equality(Activation& act, bool wanted, Value* out, const Value& a, const Value& b);

bool as_json(Activation& act, const TypeTable& types, Value* out, const Value& a);
bool concat(Activation& act, Value* out, const Value& a, const Value& b);
bool concat_all(Activation& act, Value* out, std::span<const Value> parts);
bool to_text(Activation& act, const TypeTable& types, Value* out, const Value& a);
bool interpolate(Activation& act, Unit& unit, Value* out, std::span<const Value> parts);
bool make_list(Activation& act, Value* out, std::span<const Value> items);
bool make_map(Activation& act, Value* out, std::span<const Value> pairs);
bool append(Activation& act, Value* list, const Value& item);
bool index(Activation& act, Value* out, const Value& container, const Value& key);
bool map_put(Activation& act, Value* map, const Value& key, const Value& value);

bool make_record(Activation& act, Value* out, uint32_t record, std::span<const Value> fields);
bool get_field(Activation& act, Op op, Value* out, const Value& from, uint32_t field);
bool set_field(Activation& act, Value* record, const Value& value, uint32_t field);
bool make_enum(Activation& act, Value* out, uint32_t enumeration, uint16_t which,
               std::span<const Value> fields);
bool fail(Activation& act, const Value& kind, const Value& message);

}  // namespace sluice::vm::ops
