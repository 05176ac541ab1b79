#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <vector>

#include "vm/json_reader.hpp"
#include "vm/types.hpp"
#include "vm/value.hpp"

// JSON at the edge, by type and exact in both directions (protocols.md, "Names and values"):
//
//   int        number without fraction or exponent, exact in 64 bits
//   float      number
//   duration   "250ms"; units ms, s, m, h, d
//   timestamp  "2026-11-23T06:25:58.123Z": RFC 3339, written in UTC
//   decimal    "12.50": digits, no exponent
//   bytes      base64 with padding
//   enum       "name", or {"case":"circle","r":1}
//   map        object
//   record     object; none is left out
//
//   json       any JSON, kept exactly
//
// Null is read only where the type is T? (it is `none` then) or json. In lists and maps none is
// written as null, and so is a field that is none though its default is something else.
namespace sluice::vm {

struct JsonProblem {
  std::string path;  // RFC 6901 pointer into the document; "" is the whole
  std::string message;
  bool malformed = false;  // not JSON at all (as against JSON of the wrong shape)
  friend bool operator==(const JsonProblem&, const JsonProblem&) = default;
};

// The problems as one line, for people and models: "/total: is missing; /lines/0: expected …".
std::string list_problems(const std::vector<JsonProblem>& problems);

// Whoever asks the `where` constraints of what is read; the evaluator does (vm/evaluator.hpp).
class FieldChecks {
 public:
  // Why the value may not stand in the field, which has a constraint; nothing: it may.
  virtual std::optional<std::string> problem(const FieldType& field, const Value& value) = 0;

 protected:
  ~FieldChecks() = default;
};

// Asks every constraint in `type`, all the way down: those of what a field holds before its own.
// Adds problems, of which there are at most kJsonProblemsMax then; their paths begin with `path`.
// REQUIRES: conforms(types, type, value).
void check_fields(const TypeTable& types, TypeId type, const Value& value, FieldChecks& checks,
                  std::string path, std::vector<JsonProblem>& problems);

struct JsonDecodeOptions {
  // Unknown fields of records are refused (events), or skipped.
  bool ignore_unknown_fields = false;
  // Asked of each field whose value has its shape, as it is read, whatever is wrong elsewhere.
  // Null: constraints are not looked at.
  FieldChecks* checks = nullptr;
};

// `text` as a value of `type`: defaults filled in. Otherwise what is wrong with it in the order of
// the text, and what is missing behind what is there: at most kJsonProblemsMax problems, never an
// empty list of them.
tl::expected<Value, std::vector<JsonProblem>> decode_json(const TypeTable& types, TypeId type,
                                                          std::string_view text,
                                                          JsonDecodeOptions options = {});

// The same for the next value of a reader, for documents inside frames. On problems the reader
// stands behind the value if it was well-formed, and has failed otherwise.
tl::expected<Value, std::vector<JsonProblem>> decode_json(const TypeTable& types, TypeId type,
                                                          JsonReader& reader,
                                                          JsonDecodeOptions options = {});

// The one text of a JSON value, as values of kind json hold it: no white space, keys rising by
// their bytes, strings with the escapes that JSON requires and no others. Numbers keep their
// digits, so that 64-bit ints, decimals and whatever else travel exactly; one that is beyond a
// float is refused.
tl::expected<std::string, JsonProblem> canonical_json(std::string_view text);
// The same for the next value of a reader, appended; false: the reader has failed.
bool read_canonical_json(JsonReader& reader, std::string& out);

// Fields of a record given one by one: the parameters of a flow by name (`fields[i]` is the type of
// `names[i]`).
struct JsonParameter {
  std::string_view name;
  TypeId type;
};
tl::expected<std::vector<Value>, std::vector<JsonProblem>> decode_json_parameters(
    const TypeTable& types, const std::vector<JsonParameter>& parameters, std::string_view text,
    JsonDecodeOptions options = {});

// Appends `value` as JSON. Values describe themselves, so the type is only needed to name record
// fields and cases. REQUIRES: conforms(types, type, value). A value that does not conform is
// written as well as it can be.
void append_json(const TypeTable& types, TypeId type, const Value& value, std::string& out);
std::string to_json(const TypeTable& types, TypeId type, const Value& value);

}  // namespace sluice::vm
