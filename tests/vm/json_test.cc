#include "vm/json.hpp"

#include <gtest/gtest.h>

#include "vm/text.hpp"

namespace sluice::vm {
namespace {

using namespace std::literals;

TEST(JsonReader, reads_frames) {
  JsonReader reader(R"( {"t":"send", "id":"a\u00e9\ud83d\ude00\n", "n":-12, "ok":true,
                        "skip":[1,{"x":[]},"s"], "data":{"a": [1, 2]} , "f":1.5e3, "z":null} )");
  ASSERT_TRUE(reader.begin_object());
  std::string_view key, raw;
  std::string id, all;
  int64_t n = 0;
  bool ok = false;
  double f = 0;
  while (reader.next_key(&key)) {
    all += std::string(key) + " ";
    if (key == "id") {
      reader.read_string(&id);
    } else if (key == "n") {
      reader.read_int(&n);
    } else if (key == "ok") {
      reader.read_bool(&ok);
    } else if (key == "data") {
      reader.skip(&raw);
    } else if (key == "f") {
      reader.read_double(&f);
    } else if (key == "z") {
      reader.read_null();
    } else {
      reader.skip();
    }
  }
  EXPECT_TRUE(reader.finish()) << reader.error();
  EXPECT_EQ(all, "t id n ok skip data f z ");
  EXPECT_EQ(id, "a\xc3\xa9\xf0\x9f\x98\x80\n");
  EXPECT_EQ(n, -12);
  EXPECT_TRUE(ok);
  EXPECT_EQ(raw, R"({"a": [1, 2]})");
  EXPECT_EQ(f, 1500);
}

std::string check(std::string_view text) {
  JsonReader reader(text);
  reader.skip();
  if (reader.finish()) return "";
  return std::string(reader.malformed() ? "" : "(refused) ") + reader.error();
}

TEST(JsonReader, takes_what_is_json) {
  for (std::string_view good :
       {"0", "-0", "1.5", "1e5", "1E-5", "\"\"", "\"\\\\\\\"\\/\\b\\f\\n\\r\\t\"", "[]", "{}",
        " [ 1 , 2 ] ", "{\"a\":{\"a\":1},\"b\":{\"a\":1}}", "null", "true", "false", "\"\x7f\"",
        "1e-400", "[[],[[]]]"}) {
    EXPECT_EQ(check(good), "") << good;
  }
  std::string deep = std::string(64, '[') + std::string(64, ']');
  EXPECT_EQ(check(deep), "");
}

TEST(JsonReader, refuses_everything_else) {
  struct Row {
    std::string_view text;
    std::string_view error;
  };
  std::string deep = std::string(65, '[') + std::string(65, ']');
  const Row rows[] = {
      {"", "expected a value"},
      {"  ", "expected a value"},
      {"nul", "expected a value"},
      {"tru", "expected a value"},
      {"1 2", "text behind the value"},
      {"[1,]", "expected a value"},
      {"[1 2]", "expected `,` or `]`"},
      {"[1", "array without end"},
      {"[", "array without end"},
      {"{", "object without end"},
      {"{\"a\"}", "expected `:` after the key"},
      {"{\"a\":1,}", "expected a key in quotes"},
      {"{a:1}", "expected a key in quotes"},
      {"{\"a\":1 \"b\":2}", "expected `,` or `}`"},
      {"{\"a\":}", "expected a value"},
      {"{\"a\":1", "object without end"},
      {"]", "expected a value"},
      {"01", "not a number"},
      {"-", "not a number"},
      {"1.", "not a number"},
      {"1.e1", "not a number"},
      {"1e", "not a number"},
      {"+1", "expected a value"},
      {"NaN", "expected a value"},
      {"\"a", "string without end"},
      {"\"abcdefgh", "string without end"},
      {"\"\\", "string without end"},
      {"\"a\nb\"", "control character in a string"},
      {"\"\\n\x01\"", "control character in a string"},
      {"\"\\x\"", "unknown escape"},
      {"\"\\u12\"", "incomplete escape"},
      {"\"\\u12\" ,", "not four hexadecimal digits"},
      {"\"\\u", "incomplete escape"},
      {"\"\xff\"", "not UTF-8"},
      {"\"\\n\xff\"", "not UTF-8"},
      {"{\"\xc0\x80\":1}", "not UTF-8"},
      {"\"\0\""sv, "control character in a string"},
      {"1e999", "(refused) number out of range"},
      {"\"\\u0000\"", "(refused) U+0000 in a string"},
      {"\"\\ud800\"", "(refused) lone surrogate"},
      {"\"\\udc00\"", "(refused) lone surrogate"},
      {"\"\\ud800\\u0041\"", "(refused) lone surrogate"},
      {"\"\\ud800x\"", "(refused) lone surrogate"},
      {"{\"a\":1,\"a\":2}", "(refused) duplicate key"},
      {"{\"a\":1,\"\\u0061\":2}", "(refused) duplicate key"},
      {"[{\"b\":{\"x\":1},\"c\":{\"x\":1,\"x\":1}}]", "(refused) duplicate key"},
      {deep, "(refused) nested too deeply"},
      {"/* */ 1", "expected a value"},
      {"'a'", "expected a value"},
  };
  for (const Row& row : rows) EXPECT_EQ(check(row.text), row.error) << row.text;
}

TEST(JsonReader, finds_duplicates_among_many_keys) {
  std::string text = "{";
  for (int i = 0; i < 3000; ++i) text += "\"key" + std::to_string(i) + "\":1,";
  EXPECT_EQ(check(text + "\"last\":1}"), "");
  EXPECT_EQ(check(text + "\"key17\":1}"), "(refused) duplicate key");
  EXPECT_EQ(check(text + "\"\\u006bey2999\":1}"), "(refused) duplicate key");
}

TEST(JsonReader, exact_integers) {
  auto read = [](std::string_view text) {
    int64_t n = 0;
    JsonReader reader(text);
    return reader.read_int(&n) && reader.finish() ? std::to_string(n) : std::string("error");
  };
  EXPECT_EQ(read("9223372036854775807"), "9223372036854775807");
  EXPECT_EQ(read("-9223372036854775808"), "-9223372036854775808");
  for (const char* bad : {"9223372036854775808", "1.0", "1e3", "\"1\"", "null"}) {
    EXPECT_EQ(read(bad), "error") << bad;
  }
  uint64_t u = 1;
  JsonReader most("18446744073709551615");
  EXPECT_TRUE(most.read_uint(&u));
  EXPECT_EQ(u, UINT64_MAX);
  JsonReader negative("-1");
  EXPECT_FALSE(negative.read_uint(&u));
}

TEST(JsonString, escapes_what_it_must) {
  std::string out;
  append_json_string("plain text that is long enough", out);
  append_json_string("\"\\\b\f\n\r\t\x01\x1f/\x7f\xc3\xa9", out);
  EXPECT_EQ(
      out,
      "\"plain text that is long enough\"\"\\\"\\\\\\b\\f\\n\\r\\t\\u0001\\u001f/\x7f\xc3\xa9\"");
}

// Ask { text, n: int = 7, tags: [string], at: timestamp?, wait: duration?, raw: bytes?, shape:
// Shape?, by: {string: int}?,
//       x: float?, note: string? = "none given", next: Ask? }
struct Typed : ::testing::Test {
  TypeTable types;
  TypeId ask, shape;

  void SetUp() override {
    types.enums.push_back(
        {"Shape",
         {{"dot", {}},
          {"circle", {{"r", kTypeInt, {}, {}, {}, 0}, {"of", kTypeString, {}, {}, {}, 0}}}}});
    types.records.push_back({"Ask", {}});
    ask = types.record_type(1);
    shape = types.enum_type(0);
    auto field = [&](const char* name, TypeId type, std::optional<Value> value = std::nullopt) {
      std::optional<std::string> bytes;
      if (value) bytes = encode_value(*value);
      types.records[1].fields.push_back({name, type, bytes, {}, {}, 0});
    };
    field("text", kTypeString);
    field("n", kTypeInt, Value::integer(7));
    field("tags", types.list_of(kTypeString), Value::list(std::vector<Value>()));
    field("at", types.optional_of(kTypeTimestamp));
    field("wait", types.optional_of(kTypeDuration));
    field("raw", types.optional_of(kTypeBytes));
    field("shape", types.optional_of(shape));
    field("by", types.optional_of(types.map_of(types.optional_of(kTypeInt))));
    field("x", types.optional_of(kTypeFloat));
    field("note", types.optional_of(kTypeString), Value::string("none given"));
    field("next", types.optional_of(ask));
  }

  // The document as it comes back, or the problems as "path: message; …".
  std::string round(std::string_view text, JsonDecodeOptions options = {}) {
    auto value = decode_json(types, ask, text, options);
    if (value) {
      std::string json = to_json(types, ask, *value);
      auto again = decode_json(types, ask, json);
      EXPECT_TRUE(again && *again == *value) << json;
      return json;
    }
    std::string all;
    for (const JsonProblem& problem : value.error()) {
      if (!all.empty()) all += "; ";
      all += problem.path + ": " + problem.message + (problem.malformed ? " (malformed)" : "");
    }
    EXPECT_FALSE(all.empty());
    return all;
  }
};

TEST_F(Typed, fills_in_defaults_and_leaves_none_out) {
  EXPECT_EQ(round(R"({"text":"hi"})"), R"({"text":"hi","n":7,"tags":[],"note":"none given"})");
  EXPECT_EQ(round(R"({"text":"hi","at":null,"note":null})"),
            R"({"text":"hi","n":7,"tags":[],"note":null})");
}

TEST_F(Typed, every_kind_both_ways) {
  std::string full =
      R"({"text":"q\"\\","n":-9223372036854775808,"tags":["a","b"],)"
      R"("at":"2026-11-23T06:25:58.123Z",)"
      R"("wait":"1500ms","raw":"/w==","shape":{"case":"circle","r":1,"of":"x"},)"
      R"("by":{"a":1,"b":null},"x":0.1,"note":"n","next":{"text":"t","n":1,"tags":[],"note":"m"}})";
  EXPECT_EQ(round(full), full);
  EXPECT_EQ(round(R"({"shape":{"of":"x","r":2,"case":"circle"},"text":"t"})"),
            R"({"text":"t","n":7,"tags":[],"shape":{"case":"circle","r":2,"of":"x"},)"
            R"("note":"none given"})");
  EXPECT_EQ(round(R"({"text":"t","shape":"dot","x":3})"),
            R"({"text":"t","n":7,"tags":[],"shape":"dot","x":3,"note":"none given"})");
}

TEST_F(Typed, problems_carry_the_path) {
  struct Row {
    std::string_view text;
    std::string_view problems;
  };
  const Row rows[] = {
      {"7", ": expected an object, found a number"},
      {"{}", "/text: is missing"},
      {R"({"text":1})", "/text: expected a string, found a number"},
      {R"({"text":null})", "/text: expected a string, found null"},
      {R"({"text":"t","n":1.5})", "/n: expected an int, found a number with fraction or exponent"},
      {R"({"text":"t","n":9223372036854775808})", "/n: number out of range"},
      {R"({"text":"t","n":null})", "/n: expected an int, found null"},
      {R"({"text":"t","tags":["a",2,"c",false]})",
       "/tags/1: expected a string, found a number; /tags/3: expected a string, found a bool"},
      {R"({"text":"t","by":{"a/b":"x","c~d":true}})",
       "/by/a~1b: expected an int, found a string; /by/c~0d: expected an int, found a bool"},
      {R"({"text":"t","at":"yesterday"})",
       "/at: expected a timestamp such as \"2026-11-23T06:25:58.123Z\""},
      {R"({"text":"t","wait":"5"})", "/wait: expected a duration such as \"250ms\" or \"2s\""},
      {R"({"text":"t","raw":"*"})", "/raw: expected base64 with padding"},
      {R"({"text":"t","shape":"square"})", "/shape: `square` is no case of Shape"},
      {R"({"text":"t","shape":"circle"})", "/shape: case `circle` has fields: expected an object"},
      {R"({"text":"t","shape":{"r":1}})", "/shape: expected an object with a \"case\""},
      {R"({"text":"t","shape":{"case":"circle","r":1,"q":2}})",
       "/shape/q: unknown field; /shape/of: is missing"},
      {R"({"text":"t","shape":3})",
       "/shape: expected a case's name or an object with a \"case\", found a number"},
      {R"({"text":"t","colour":"red"})", "/colour: unknown field"},
      {R"({"text":"t","next":{"next":{"n":"x"}}})",
       "/next/next/n: expected an int, found a string; /next/next/text: is missing; "
       "/next/text: is missing"},
      {R"({"text":"t","text":"u"})", ": duplicate key at byte 19"},
      {R"({"text":"t","shape":{"case":"dot","case":"dot"}})", "/shape: duplicate key at byte 41"},
      {R"({"text":"t)", "/text: string without end at byte 9 (malformed)"},
      {R"({"text":"t","next":{"tags":[1,]}})",
       "/next/tags/0: expected a string, found a number; "
       "/next/tags/1: expected a value at byte 30 (malformed)"},
      {"{\"text\":\"t\"} x", ": text behind the value at byte 13 (malformed)"},
      {"", ": expected a value at byte 0 (malformed)"},
      {R"({"text":"t","x":1e999})", "/x: number out of range at byte 16"},
  };
  for (const Row& row : rows) EXPECT_EQ(round(row.text), row.problems) << row.text;
}

// The table of docs/language.md, "JSON": what JSON can say and a type cannot hold is refused, never
// rounded. `json` answers what the type json makes of the same text.
TEST(Exactness, is_as_the_language_page_says) {
  TypeTable types;
  const TypeId decimal = types.scalar(Kind::decimal), json = types.scalar(Kind::json);
  const TypeId map = types.map_of(kTypeInt);
  const auto read = [&](TypeId type, std::string_view text) {
    const auto value = decode_json(types, type, text);
    if (value) return to_json(types, type, *value);
    const std::string why = "refused: " + list_problems(value.error());
    return why.substr(0, why.find(" at byte "));
  };
  const std::string fraction = "refused: expected an int, found a number with fraction or exponent";
  const std::string range = "refused: number out of range";
  const std::string instant = "refused: expected a timestamp such as \"2026-11-23T06:25:58.123Z\"";
  const std::string finer =
      "refused: expected a timestamp with at most six digits behind the point";
  const std::string digits = "refused: expected a decimal such as \"12.50\", of at most 33 digits";
  const std::string deep = std::string(65, '[') + std::string(65, ']');
  const std::string nines(33, '9');
  struct Row {
    TypeId type;
    std::string text, typed, json;
  };
  const Row rows[] = {
      {kTypeInt, "1.0", fraction, "1.0"},
      {kTypeInt, "1e3", fraction, "1e3"},
      {kTypeInt, "-0", "0", "-0"},
      {kTypeInt, "9223372036854775807", "9223372036854775807", "9223372036854775807"},
      {kTypeInt, "-9223372036854775808", "-9223372036854775808", "-9223372036854775808"},
      {kTypeInt, "9223372036854775808", range, "9223372036854775808"},
      {kTypeFloat, "1e400", range, range},
      {kTypeFloat, "-1e400", range, range},
      {kTypeFloat, "1e-400", "0", "1e-400"},
      {kTypeFloat, "-0.0", "0", "-0.0"},
      {kTypeFloat, "-0", "0", "-0"},
      {kTypeFloat, "-1e-400", "0", "-1e-400"},
      {kTypeFloat, "0.1", "0.1", "0.1"},
      {kTypeFloat, "1e2", "100", "1e2"},
      {decimal, "\"1.50\"", "\"1.5\"", "\"1.50\""},
      {decimal, "\"-0.00\"", "\"0\"", "\"-0.00\""},
      {decimal, "\"" + nines + "\"", "\"" + nines + "\"", "\"" + nines + "\""},
      {decimal, "\"" + nines + ".000\"", "\"" + nines + "\"", "\"" + nines + ".000\""},
      {decimal, "\"" + nines + ".1\"", digits, "\"" + nines + ".1\""},
      {decimal, "\"" + nines + "0\"", digits, "\"" + nines + "0\""},
      {decimal, "\"1e3\"", digits, "\"1e3\""},
      {decimal, "1.5", "refused: expected a decimal in quotes, such as \"12.50\", found a number",
       "1.5"},
      {kTypeTimestamp, "\"2026-11-23T06:25:58.123456Z\"", "\"2026-11-23T06:25:58.123456Z\"", "="},
      {kTypeTimestamp, "\"2026-11-23T06:25:58.1234567Z\"", finer, "="},
      {kTypeTimestamp, "\"2026-11-23T06:25:58.000000000Z\"", finer, "="},
      {kTypeTimestamp, "\"2026-11-23T08:25:58.1+02:00\"", "\"2026-11-23T06:25:58.100Z\"", "="},
      {kTypeTimestamp, "\"2026-11-22T23:55:58-06:30\"", "\"2026-11-23T06:25:58Z\"", "="},
      {kTypeTimestamp, "\"2026-11-23T06:25:60Z\"", instant, "="},
      {kTypeString, R"("a\u0000b")", "refused: U+0000 in a string", "refused: U+0000 in a string"},
      {map, R"({"\u0000": 1})", "refused: U+0000 in a string", "refused: U+0000 in a string"},
      {kTypeString, R"("\ud83d\ude00")", "\"\xf0\x9f\x98\x80\"", "\"\xf0\x9f\x98\x80\""},
      {kTypeString, R"("\ud83d")", "refused: lone surrogate", "refused: lone surrogate"},
      {kTypeString, R"("\ude00")", "refused: lone surrogate", "refused: lone surrogate"},
      {kTypeString, "\"\xed\xa0\xbd\"", "refused: not UTF-8", "refused: not UTF-8"},
      {map, R"({"a":1,"\u0061":2})", "refused: duplicate key", "refused: duplicate key"},
      {map, R"({"b":1,"a":2})", R"({"a":2,"b":1})", R"({"a":2,"b":1})"},
      {json, deep, "refused: nested too deeply", "refused: nested too deeply"},
  };
  for (const Row& row : rows) {
    EXPECT_EQ(read(row.type, row.text), row.typed) << row.text;
    EXPECT_EQ(read(json, row.text), row.json == "=" ? row.text : row.json) << row.text;
  }
}

// No float is -0.0: floats that are equal have one text and one encoding.
TEST(Exactness, zero_has_no_sign) {
  const Value zero = Value::floating(0.0);
  Value negated = Value::floating(-0.0), changed = Value::floating(1.0);
  changed.set_floating(-1.0 * 0.0);
  for (const Value& each : {negated, changed, *decode_json(TypeTable(), kTypeFloat, "-0.0")}) {
    EXPECT_EQ(each, zero);
    EXPECT_EQ(encode_value(each), encode_value(zero));
    EXPECT_EQ(to_json(TypeTable(), kTypeFloat, each), "0");
  }
  std::string minus = encode_value(Value::floating(1.5));
  minus.replace(minus.size() - 8, 8, std::string(7, '\0') + "\x80");  // the bits of -0.0
  EXPECT_FALSE(decode_value(minus).has_value());
  EXPECT_NE(Value::json("-0"), Value::json("0"));
}

TEST_F(Typed, unknown_fields_may_be_ignored) {
  JsonDecodeOptions ignoring{.ignore_unknown_fields = true};
  EXPECT_EQ(round(R"({"more":[{}],"text":"t","n":1})", ignoring),
            R"({"text":"t","n":1,"tags":[],"note":"none given"})");
  EXPECT_EQ(round(R"({"more":1,"more":2,"text":"t"})", ignoring), ": duplicate key at byte 16");
}

TEST_F(Typed, problems_are_bounded) {
  std::string text = R"({"text":"t","tags":[)";
  for (int i = 0; i < 1000; ++i) text += "1,";
  auto value = decode_json(types, ask, text + "1]}");
  ASSERT_FALSE(value);
  EXPECT_EQ(value.error().size(), kJsonProblemsMax);
}

TEST_F(Typed, a_small_text_cannot_ask_for_much_memory) {
  std::string row = "[";
  for (int i = 0; i < 200'000; ++i) row += "1,";
  std::string text = "[";
  for (int i = 0; i < 15; ++i) text += row + "1],";
  auto value = decode_json(types, types.list_of(types.list_of(kTypeInt)), text + "[]]");
  ASSERT_FALSE(value);
  EXPECT_EQ(value.error().back().message, "is too large");
}

TEST_F(Typed, documents_inside_frames) {
  JsonReader reader(R"({"data":{"text":1},"id":"x"})");
  std::string_view key;
  ASSERT_TRUE(reader.begin_object() && reader.next_key(&key));
  auto value = decode_json(types, ask, reader);
  ASSERT_FALSE(value);
  EXPECT_EQ(value.error()[0].path, "/text");
  std::string id;
  EXPECT_TRUE(reader.next_key(&key) && reader.read_string(&id));
  EXPECT_FALSE(reader.next_key(&key));
  EXPECT_TRUE(reader.finish());
}

TEST_F(Typed, parameters_by_name) {
  std::vector<JsonParameter> wanted{{"who", kTypeString}, {"limit", types.optional_of(kTypeInt)}};
  auto good = decode_json_parameters(types, wanted, R"({"limit":3,"who":"ann"})");
  ASSERT_TRUE(good);
  EXPECT_EQ((*good)[0], Value::string("ann"));
  EXPECT_EQ((*good)[1], Value::integer(3));
  auto bad = decode_json_parameters(types, wanted, R"({"limit":"x","other":1})");
  ASSERT_FALSE(bad);
  ASSERT_EQ(bad.error().size(), 3U);
  EXPECT_EQ(bad.error()[0].path, "/limit");
  EXPECT_EQ(bad.error()[1].message, "unknown parameter");
  EXPECT_EQ(bad.error()[2].path, "/who");
  EXPECT_FALSE(decode_json_parameters(types, wanted, "[]"));
  EXPECT_TRUE(decode_json_parameters(types, {}, "{}"));
}

}  // namespace
}  // namespace sluice::vm
