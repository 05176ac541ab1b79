#include <gtest/gtest.h>

#include "tests/compiler/play.hpp"
#include "vm/artifact.hpp"
#include "vm/evaluator.hpp"

// Versions of events, and values that are checked while a program runs.
namespace sluice::compiler::testing {
namespace {

constexpr const char* kVersions = R"(
event Ask v1 { text: string where len(text) < 10 }
event Ask v2 { question: string, n: int }
event Ask v3 { question: string where len(question) > 1, n: int, language: string }
event Answer { text: string }
record Oldest { q: string }
topic asks of Ask {}
upgrade Ask v2 -> v3 (old) = Ask { question: old.question, n: 10 / old.n, language: "en" }
upgrade Ask v1 -> v2 (old) = Ask { question: old.text, n: 1 }
flow answer(ask: Ask) -> Answer on asks timeout 30s { return Answer { text: ask.question } }
on failure (why) { return Answer { text: why.message } }
)";

// What the edge makes of an event that comes in the version.
std::string taken(std::string_view text, std::string_view json, std::uint64_t version) {
  const auto program = compile_text(text);
  if (program == nullptr) return "does not compile";
  vm::Unit unit(program);
  const vm::Program& parts = program->program();
  const std::uint32_t event = vm::find_by_name(parts.events, "Ask").value();
  vm::TypeTable types = parts.types;
  const vm::TypeId type = types.record_type(parts.events[event].record);
  const auto value = vm::decode_event(unit, event, type, json, version);
  if (value) return vm::describe(parts.types, *value);
  return value.error()[0].path + ": " + value.error()[0].message;
}

TEST(Versions, are_upgraded_one_after_the_other) {
  const char* newest = R"(Ask { question: "why", n: 10, language: "en" })";
  EXPECT_EQ(taken(kVersions, R"({"text": "why"})", 1), newest);
  EXPECT_EQ(taken(kVersions, R"({"question": "why", "n": 1})", 2), newest);
  EXPECT_EQ(taken(kVersions, R"({"question": "why", "n": 10, "language": "en"})", 3), newest);
  EXPECT_EQ(taken(kVersions, R"({"question": "why", "n": 10, "language": "en"})", 0), newest);
}

TEST(Versions, are_checked_by_their_own_type_and_by_the_newest) {
  EXPECT_EQ(taken(kVersions, R"({"text": 1})", 1), "/text: expected a string, found a number");
  EXPECT_EQ(taken(kVersions, R"({"text": "much too long"})", 1),
            "/text: does not satisfy `where len(text) < 10`");
  EXPECT_EQ(taken(kVersions, R"({"text": "y"})", 1),
            "/question: does not satisfy `where len(question) > 1`");
  EXPECT_EQ(taken(kVersions, R"({"text": "why"})", 0), "/text: unknown field");
}

TEST(Versions, that_nobody_knows_or_that_cannot_be_upgraded_are_refused) {
  EXPECT_EQ(taken(kVersions, "{}", 4), ": version 4 of `Ask` is not known; the newest is 3");
  EXPECT_EQ(taken(kVersions, R"({"question": "why", "n": 0})", 2),
            ": the upgrade from version 2 failed: division by zero");
}

TEST(Versions, that_are_not_declared_come_as_json) {
  const std::string text = R"(
event Ask v2 { question: string }
event Answer { text: string }
record Oldest { q: string }
topic asks of Ask {}
upgrade Ask v1 -> v2 (old) = Ask { question: (old as Oldest).q }
flow answer(ask: Ask) -> Answer on asks timeout 30s { return Answer { text: ask.question } }
on failure (why) { return Answer { text: why.message } }
)";
  EXPECT_EQ(taken(text, R"({"q": "why"})", 1), R"(Ask { question: "why" })");
  EXPECT_EQ(taken(text, R"({"text": "why"})", 1),
            ": the upgrade from version 1 failed: this is no Oldest: /q: is missing");
}

TEST(Checked, json_asks_the_constraints_of_its_type) {
  constexpr const char* kRecord =
      "record Line { n: int where square(n) < 100, more: [Line] = [] }\n"
      "fn square(n: int) -> int = n * n\n";
  EXPECT_EQ(value_of("int", R"((decode("{\"n\": 9}") as Line).n)", kRecord), "9");
  EXPECT_EQ(
      value_of("int", R"((decode("{\"n\": 9, \"more\": [{\"n\": 10}]}") as Line).n)", kRecord),
      "Invalid: this is no Line: /more/0/n: does not satisfy `where square(n) < 100`");
  EXPECT_EQ(value_of("Line?", R"(decode("null") as Line?)", kRecord), "none");
  EXPECT_EQ(value_of("[json]", R"(decode("[1, {}]") as [json])"), "[json 1, json {}]");
}

TEST(Now, is_captured_by_the_filter_of_a_receive) {
  const std::string text = R"(
event Ask { text: string }
event More { at: timestamp }
event Answer { text: string }
topic asks of Ask {}
flow answer(ask: Ask) -> Answer on asks timeout 30s {
  receive m: More from client where m.at > now within 5s { return Answer { text: "${m.at}" } }
  else { return Answer { text: "late" } }
  return Answer { text: "" }
}
on failure (why) { return Answer { text: why.message } }
)";
  EXPECT_EQ(play(text, R"({"ask": {"text": "hi"}})",
                 {R"(More < {"at": "1969-12-31T00:00:00Z"})",
                  R"(More < {"at": "1971-01-01T00:00:00Z"})"}),
            "timer 1 receive answer/m 5000ms\ncancel timer 1\n"
            "finish completed Answer { text: \"1971-01-01T00:00:00Z\" }\n");
}

}  // namespace
}  // namespace sluice::compiler::testing
