#include "vm/value.hpp"

#include <gtest/gtest.h>

#include <cmath>

namespace sluice::vm {
namespace {

Value text(std::string_view t) {
  return Value::string(t);
}
Value number(int64_t n) {
  return Value::integer(n);
}
Value list(std::vector<Value> items) {
  return Value::list(std::move(items));
}

TEST(Values, readers_give_what_makers_took) {
  EXPECT_TRUE(Value().is_none());
  EXPECT_TRUE(Value::boolean(true).as_bool());
  EXPECT_EQ(number(INT64_MIN).as_int(), INT64_MIN);
  EXPECT_EQ(Value::floating(1.5).as_float(), 1.5);
  EXPECT_FALSE(std::signbit(Value::floating(-0.0).as_float()));
  EXPECT_EQ(text("hi").as_text(), "hi");
  EXPECT_EQ(text("").as_text(), "");
  EXPECT_TRUE(text("").is(Kind::string));
  EXPECT_EQ(Value::bytes(std::string_view("\0\1", 2)).as_text(), std::string_view("\0\1", 2));
  EXPECT_EQ(list({number(1), text("x")}).elements()[1], text("x"));
  Value which = Value::enumeration(7, 3);
  EXPECT_EQ(which.type_index(), 7U);
  EXPECT_EQ(which.enum_case(), 3);
  EXPECT_EQ(which.count(), 0U);
}

TEST(Values, equality_is_structural) {
  EXPECT_EQ(list({text("a"), number(1)}), list({text("a"), number(1)}));
  EXPECT_NE(list({text("a")}), list({text("b")}));
  EXPECT_NE(number(0), Value());
  EXPECT_NE(number(0), Value::duration(0));
  EXPECT_NE(text("1"), Value::bytes("1"));
  EXPECT_NE(Value::enumeration(1, 0), Value::enumeration(1, 1));
  EXPECT_NE(Value::enumeration(1, 0), Value::enumeration(2, 0));
  EXPECT_EQ(list({}), list({}));
  EXPECT_NE(list({}), Value::map({}));
}

TEST(Values, a_change_is_seen_by_nobody_else) {
  Value a = list({number(1), number(2)});
  Value b = a;
  b.append(number(3));
  EXPECT_EQ(a, list({number(1), number(2)}));
  EXPECT_EQ(b.count(), 3U);
  Value c = b;
  c.set_element(0, text("x"));
  EXPECT_EQ(b.elements()[0], number(1));
  Value s = text("ab");
  Value t = s;
  t.append_all(text("cd"));
  EXPECT_EQ(s.as_text(), "ab");
  EXPECT_EQ(t.as_text(), "abcd");
  Value m = Value::map({{text("k"), number(1)}});
  Value n = m;
  n.put(text("k"), number(2));
  n.erase("absent");
  EXPECT_EQ(*m.find("k"), number(1));
  EXPECT_EQ(*n.find("k"), number(2));
}

TEST(Values, may_be_appended_to_themselves) {
  Value a = list({number(1)});
  a.append(a);
  EXPECT_EQ(a, list({number(1), list({number(1)})}));
  a.append_all(a);
  EXPECT_EQ(a.count(), 4U);
  Value s = text("ab");
  for (int i = 0; i < 5; ++i) s.append_all(s);
  EXPECT_EQ(s.count(), 64U);
  EXPECT_EQ(s, text(std::string(s.as_text())));
}

TEST(Values, maps_are_sorted_and_keep_the_last_of_equal_keys) {
  Value m = Value::map({{text("b"), number(1)}, {text("a"), number(2)}, {text("b"), number(3)}});
  ASSERT_EQ(m.count(), 2U);
  EXPECT_EQ(m.pairs()[0], text("a"));
  EXPECT_EQ(m.pairs()[3], number(3));
  Value grown = Value::map({});
  for (const char* key : {"q", "a", "z", "m", "a"}) grown.put(text(key), text(key));
  EXPECT_EQ(grown.count(), 4U);
  EXPECT_EQ(*grown.find("m"), text("m"));
  EXPECT_EQ(grown.find("x"), nullptr);
  grown.erase("q");
  grown.erase("z");
  EXPECT_EQ(grown, Value::map({{text("a"), text("a")}, {text("m"), text("m")}}));
  grown.erase("a");
  grown.erase("m");
  EXPECT_EQ(grown, Value::map({}));
}

// Sizes and depths do not depend on how a value came about.
TEST(Values, logical_size_is_a_function_of_content) {
  Value shared = text("twelve bytes");
  Value a = list({shared, shared});
  Value b = list({});
  b.append(text("twelve bytes"));
  b.append(list({list({number(1)})}));
  EXPECT_EQ(b.depth(), 3U);
  b.set_element(1, text("twelve bytes"));
  EXPECT_EQ(a, b);
  EXPECT_EQ(a.logical_bytes(), b.logical_bytes());
  EXPECT_EQ(a.depth(), b.depth());
  Value m = Value::map({{text("a"), list({list({})})}, {text("b"), number(1)}});
  m.erase("a");
  EXPECT_EQ(m.depth(), Value::map({{text("b"), number(1)}}).depth());
  EXPECT_EQ(m.logical_bytes(), Value::map({{text("b"), number(1)}}).logical_bytes());
}

TEST(Values, sizes_saturate_and_say_so) {
  Value big = text(std::string(1 << 20, 'x'));
  for (int i = 0; i < 13; ++i) big = list({big, big});  // 8 GB as data
  EXPECT_EQ(big.logical_bytes(), UINT32_MAX);
  EXPECT_FALSE(big.within_limits());
  Value deep = number(1);
  for (uint32_t i = 0; i < kValueDepthMax; ++i) deep = list({deep});
  EXPECT_TRUE(deep.within_limits());
  EXPECT_FALSE(list({deep}).within_limits());
}

TEST(Compare, orders_scalars_of_one_kind) {
  EXPECT_EQ(compare(number(1), number(2)), -1);
  EXPECT_EQ(compare(Value::floating(2), Value::floating(1)), 1);
  EXPECT_EQ(compare(text("a"), text("a")), 0);
  EXPECT_EQ(compare(text("Z"), text("a")), -1);
  EXPECT_EQ(compare(text("\xff"), text("a")), 1);
  EXPECT_EQ(compare(Value::timestamp(1), Value::timestamp(2)), -1);
  EXPECT_FALSE(compare(number(1), Value::duration(1)));
  EXPECT_FALSE(compare(list({}), list({})));
}

std::string hex(std::string_view bytes) {
  std::string out;
  for (char c : bytes) {
    constexpr char kDigits[] = "0123456789abcdef";
    out += kDigits[static_cast<uint8_t>(c) >> 4];
    out += kDigits[c & 15];
  }
  return out;
}

// The bytes are stored in journals: these rows must never change.
TEST(Encoding, known_bytes) {
  struct Row {
    Value value;
    const char* bytes;
  };
  const Row rows[] = {
      {Value(), "00"},
      {Value::boolean(false), "01"},
      {Value::boolean(true), "02"},
      {number(0), "0300"},
      {number(-1), "0301"},
      {number(300), "03d804"},
      {number(INT64_MIN), "03ffffffffffffffffff01"},
      {Value::floating(1.0), "04000000000000f03f"},
      {Value::duration(2000), "05a01f"},
      {Value::timestamp(-1), "0601"},
      {text("hi"), "07026869"},
      {Value::bytes("\xff"), "0801ff"},
      {list({number(1), Value()}), "0902030200"},
      {Value::map({{text("b"), Value()}, {text("a"), number(1)}}),
       "0a020161030201"
       "6200"},
      {Value::record(5, std::vector<Value>{text("x")}), "0b0501070178"},
      {Value::enumeration(2, 1), "0c020100"},
      {Value::enumeration(2, 1, std::vector<Value>{number(1)}), "0c0201010302"},
  };
  for (const Row& row : rows) {
    std::string bytes = encode_value(row.value);
    EXPECT_EQ(hex(bytes), row.bytes);
    auto back = decode_value(bytes);
    ASSERT_TRUE(back) << row.bytes << ": " << back.error().message;
    EXPECT_EQ(*back, row.value);
  }
}

TEST(Encoding, refuses_what_it_cannot_have_made) {
  using namespace std::literals;
  const std::string_view rows[] = {
      ""sv,
      "\x0f"sv,                                          // unknown tag
      "\x03"sv,                                          // truncated
      "\x03\x80\x00"sv,                                  // a longer form of 0
      "\x03\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"sv,  // more than 64 bits
      "\x00\x00"sv,                                      // bytes behind
      "\x04\x00\x00\x00\x00\x00\x00\xf0\x7f"sv,          // infinity
      "\x04\x00\x00\x00\x00\x00\x00\xf8\x7f"sv,          // NaN
      "\x04\x00\x00\x00\x00\x00\x00\x00\x80"sv,          // -0.0
      "\x07\x05hi"sv,                                    // longer than there is
      "\x07\x01\xff"sv,                                  // not UTF-8
      "\x07\x01\x00"sv,                                  // U+0000
      "\x09\xff\xff\xff\xff\x0f"sv,                      // more elements than bytes
      "\x0a\x02\x01"
      "b\x00\x01"
      "a\x00"sv,  // keys out of order
      "\x0a\x02\x01"
      "a\x00\x01"
      "a\x00"sv,  // a key twice
  };
  for (std::string_view row : rows) EXPECT_FALSE(decode_value(row)) << hex(row);
  std::string deep(100, '\x09');
  for (size_t i = 1; i <= deep.size(); i += 2) deep.insert(i, 1, '\x01');
  EXPECT_FALSE(decode_value(deep + '\0'));
}

TEST(Types, names_and_interning) {
  TypeTable types;
  types.records.push_back({"Turn", {}});
  TypeId turns = types.list_of(types.record_type(1));
  EXPECT_EQ(types.name_of(types.optional_of(turns)), "[Turn]?");
  EXPECT_EQ(types.name_of(types.map_of(kTypeInt)), "{string: int}");
  EXPECT_EQ(types.list_of(types.record_type(1)), turns);
  EXPECT_EQ(types.optional_of(types.optional_of(kTypeInt)), types.optional_of(kTypeInt));
  EXPECT_EQ(types.name_of(kTypeFailure), "Failure");
  EXPECT_EQ(types.name_of({999}), "?");
}

TEST(Types, conformance_names_the_part_that_does_not_fit) {
  TypeTable types;
  types.records.push_back({"Turn", {{"a/b", kTypeInt, {}, {}, {}, 0}}});
  types.enums.push_back({"Shape", {{"dot", {}}, {"circle", {{"r", kTypeInt, {}, {}, {}, 0}}}}});
  TypeId turns = types.list_of(types.record_type(1));
  TypeId by_name = types.map_of(turns);
  TypeId shape = types.enum_type(0);
  auto turn = [](Value v) { return Value::record(1, std::vector<Value>{std::move(v)}); };
  Value good = Value::map({{text("x~y"), list({turn(number(1)), turn(number(2))})}});
  EXPECT_TRUE(conforms(types, by_name, good));
  Value bad = Value::map({{text("x~y"), list({turn(number(1)), turn(text("2"))})}});
  std::string path;
  EXPECT_FALSE(conforms(types, by_name, bad, &path));
  EXPECT_EQ(path, "/x~0y/1/a~1b");
  EXPECT_TRUE(conforms(types, types.optional_of(kTypeInt), Value()));
  EXPECT_FALSE(conforms(types, kTypeInt, Value()));
  EXPECT_TRUE(conforms(types, shape, Value::enumeration(0, 0)));
  EXPECT_FALSE(conforms(types, shape, Value::enumeration(0, 1)));
  EXPECT_FALSE(conforms(types, shape, Value::enumeration(0, 2)));
  EXPECT_FALSE(conforms(types, shape, Value::enumeration(1, 0)));
  EXPECT_FALSE(conforms(types, {4711}, number(1)));
  EXPECT_TRUE(conforms(types, kTypeFailure, failure_value({"Lost", "m", "a/b", 2})));
}

TEST(Types, smallest_values_conform) {
  TypeTable types;
  types.records.push_back({"Tree", {}});
  TypeId tree = types.record_type(1);
  types.records[1].fields.push_back({"next", types.list_of(tree), {}, {}, {}, 0});
  types.records[1].fields.push_back({"n", kTypeInt, encode_value(number(7)), {}, {}, 0});
  types.enums.push_back({"E", {{"one", {{"t", tree, {}, {}, {}, 0}}}}});
  for (TypeId id : {kTypeBool, kTypeFloat, kTypeBytes, kTypeFailure, tree, types.enum_type(0),
                    types.map_of(tree), types.optional_of(tree)}) {
    EXPECT_TRUE(conforms(types, id, smallest_value(types, id))) << types.name_of(id);
  }
  EXPECT_EQ(describe(types, smallest_value(types, types.enum_type(0))),
            "E.one(t: Tree { next: [], n: 7 })");
}

}  // namespace
}  // namespace sluice::vm
