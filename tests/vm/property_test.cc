#include <gtest/gtest.h>
#include <rapidcheck.h>

#include "tests/vm/program_fixture.hpp"
#include "tests/vm/random_program.hpp"
#include "vm/evaluator.hpp"
#include "vm/json.hpp"
#include "vm/text.hpp"

// What holds of every value, document, artifact and snapshot. A failure prints the seed of the
// case.
namespace sluice::vm::testing {
namespace {

TEST(Property, values_come_back_from_their_bytes) {
  EXPECT_TRUE(rc::check([](uint64_t seed) {
    Random random(seed);
    Value a = random_value(random, 4), b = random_value(random, 1);
    std::string bytes = encode_value(a);
    auto back = decode_value(bytes);
    RC_ASSERT(back.has_value());
    RC_ASSERT(*back == a);
    RC_ASSERT(encode_value(*back) == bytes);
    RC_ASSERT(back->logical_bytes() == a.logical_bytes());
    RC_ASSERT(back->depth() == a.depth());
    RC_ASSERT((a == b) == (bytes == encode_value(b)));
  }));
}

TEST(Property, mutated_bytes_are_refused_or_canonical) {
  EXPECT_TRUE(rc::check([](uint64_t seed) {
    Random random(seed);
    std::string bytes = mutated(random, encode_value(random_value(random, 4)));
    auto value = decode_value(bytes);
    if (value) RC_ASSERT(encode_value(*value) == bytes);
  }));
}

TEST(Property, documents_come_back_from_their_json) {
  EXPECT_TRUE(rc::check([](uint64_t seed) {
    Random random(seed);
    TypeTable types = random_types(random);
    TypeId tree = types.record_type(1);
    Value value = random_value_of(random, types, tree, 4);
    RC_ASSERT(conforms(types, tree, value));
    std::string json = to_json(types, tree, value);
    auto back = decode_json(types, tree, json);
    if (!back) RC_FAIL(back.error()[0].path + ": " + back.error()[0].message + " in " + json);
    RC_ASSERT(*back == value);
    JsonReader reader(json);
    RC_ASSERT((reader.skip() && reader.finish()));
  }));
}

// The canonical text says what the document said: it is its own canonical text, and reads as the
// same value of the type that the document has.
TEST(Property, canonical_json_says_the_same) {
  EXPECT_TRUE(rc::check([](uint64_t seed) {
    Random random(seed);
    TypeTable types = random_types(random);
    TypeId tree = types.record_type(1);
    Value value = random_value_of(random, types, tree, 4);
    auto text = canonical_json(to_json(types, tree, value));
    RC_ASSERT(text.has_value());
    RC_ASSERT(canonical_json(*text) == *text);
    auto back = decode_json(types, tree, *text);
    RC_ASSERT(back.has_value());
    RC_ASSERT(*back == value);
    std::string spaced = "\t[ " + *text + " ]\n";
    auto kept = decode_json(types, types.list_of(types.scalar(Kind::json)), spaced);
    RC_ASSERT(kept.has_value());
    RC_ASSERT(kept->elements()[0] == Value::json(*text));
  }));
}

TEST(Property, mutated_json_is_refused_or_of_its_type) {
  EXPECT_TRUE(rc::check([](uint64_t seed) {
    Random random(seed);
    TypeTable types = random_types(random);
    TypeId tree = types.record_type(1);
    std::string json = to_json(types, tree, random_value_of(random, types, tree, 3));
    json = mutated(random, json);
    auto value = decode_json(types, tree, json);
    if (value) {
      RC_ASSERT(conforms(types, tree, *value));
      JsonReader reader(json);
      RC_ASSERT((reader.skip() && reader.finish()));
    } else {
      RC_ASSERT(!value.error().empty());
      for (const JsonProblem& problem : value.error()) RC_ASSERT(valid_text(problem.path));
    }
  }));
}

TEST(Property, strings_come_back_from_their_json) {
  EXPECT_TRUE(rc::check([](uint64_t seed) {
    Random random(seed);
    std::string text = random_text(random, 40), json, back;
    append_json_string(text, json);
    JsonReader reader(json);
    RC_ASSERT((reader.read_string(&back) && reader.finish()));
    RC_ASSERT(back == text);
  }));
}

TEST(Property, scalars_come_back_from_their_text) {
  EXPECT_TRUE(rc::check([](int64_t n, uint64_t bits) {
    std::string text;
    append_duration(n, text);
    RC_ASSERT(parse_duration(text) == n);
    text.clear();
    append_timestamp(n, text);
    RC_ASSERT(parse_timestamp(text) == n);
    double x = 0;
    std::memcpy(&x, &bits, sizeof x);
    if (std::isfinite(x)) {
      text.clear();
      append_float(x, text);
      RC_ASSERT(parse_float(text) == x);
    }
  }));
}

TEST(Property, changes_agree_with_a_slow_reference) {
  EXPECT_TRUE(rc::check([](uint64_t seed) {
    Random random(seed);
    std::vector<Value> reference;
    Value list = Value::list(std::vector<Value>());
    std::vector<std::pair<Value, std::vector<Value>>> kept;
    for (int i = 0; i < 40; ++i) {
      switch (random.below(4)) {
        case 0:
        case 1:
          reference.push_back(random_value(random, 2));
          list.append(reference.back());
          break;
        case 2:
          if (!reference.empty()) {
            auto at = static_cast<uint32_t>(random.below(reference.size()));
            reference[at] = random_value(random, 2);
            list.set_element(at, reference[at]);
          }
          break;
        default:
          kept.emplace_back(list, reference);
      }
    }
    kept.emplace_back(list, reference);
    for (auto& [value, items] : kept) {
      Value rebuilt = Value::list(items);
      RC_ASSERT(value == rebuilt);
      RC_ASSERT(value.logical_bytes() == rebuilt.logical_bytes());
      RC_ASSERT(value.depth() == rebuilt.depth());
    }
  }));
}

TEST(Property, programs_come_back_from_their_artifacts) {
  EXPECT_TRUE(rc::check([](uint64_t seed) {
    Random random(seed);
    Program program = random_program(random);
    std::string bytes = encode_artifact(program);
    auto back = decode_artifact(bytes);
    RC_ASSERT(back.has_value());
    RC_ASSERT(*back == program);
    RC_ASSERT(encode_artifact(*back) == bytes);
  }));
}

// Bytes changed below a right checksum: refused, or a program that the verifier may look at.
TEST(Property, mutated_artifacts_are_survived) {
  EXPECT_TRUE(rc::check([](uint64_t seed) {
    Random random(seed);
    std::string bytes = encode_artifact(random_program(random));
    std::string body = bytes.substr(0, bytes.size() - sizeof(Sha256));
    body = std::string(kArtifactMagic) + mutated(random, body.substr(kArtifactMagic.size()));
    Sha256 hash = sha256(body);
    body.append(reinterpret_cast<const char*>(hash.data()), hash.size());
    auto program = load_artifact(body);
    if (!program) RC_ASSERT(!program.error().message.empty());
  }));
}

}  // namespace
}  // namespace sluice::vm::testing
