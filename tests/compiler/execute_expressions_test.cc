#include <gtest/gtest.h>

#include "tests/compiler/play.hpp"

// What expressions compute, from source to value, each through parser, checker, code and machine.
namespace sluice::compiler::testing {
namespace {

struct Row {
  const char* type;
  const char* expr;
  const char* value;
};

constexpr const char* kDeclarations = R"(
enum Role { user, assistant, tool(name: string, tries: int) }
record Turn { role: Role, text: string, note: string? = none }
record Talk { turns: [Turn], owner: Turn? }
const most = 2 * 21
const turn = Turn { role: Role.user, text: "hi" }
const none_yet: [string] = []
fn twice(n: int) -> int = n * 2
fn greet(name: string, word: string = "hello") -> string = "${word}, ${name}"
fn noted(t: Turn) -> string? = t.note
fn maybe(n: int) -> int? = if n > 0 then n else none
fn owner(t: Talk) -> string? = t.owner?.text
fn weigh(r: Role) -> int =
  match r { case user => 1 case assistant => 2 case tool(_, tries) => tries }
fn word(n: int) -> string = match n { case 1 => "one" case -1 => "minus one" else => "many" }
fn opt(r: Role?) -> string = match r { case none => "nobody" case user => "you" else => "other" }
fn truth(b: bool) -> string = match b { case true => "yes" case false => "no" }
)";

class Expressions : public ::testing::TestWithParam<Row> {};

TEST_P(Expressions, evaluate) {
  const Row& row = GetParam();
  EXPECT_EQ(value_of(row.type, row.expr, kDeclarations), row.value) << row.expr;
}

constexpr Row kNumbers[] = {
    {"int", "1 + 2 * 3 - 4", "3"},
    {"int", "(1 + 2) * 3", "9"},
    {"int", "-7 / 2", "-3"},
    {"int", "-7 % 3", "-1"},
    {"int", "most", "42"},
    {"int", "-most", "-42"},
    {"int", "9223372036854775807", "9223372036854775807"},
    {"int", "-9223372036854775808", "-9223372036854775808"},
    {"float", "1.5 + float(2)", "3.5"},
    {"float", "2 * float(3) / 4", "1.5"},
    {"float", "-0.5", "-0.5"},
    {"float", "if true then 1 else 2.5", "1"},
    {"duration", "2m + 30s", "150s"},
    {"duration", "3 * 10s", "30s"},
    {"duration", "10s * 3 - 5s", "25s"},
    {"duration", "10s / 4", "2500ms"},
    {"int", "1m / 7s", "8"},
    {"duration", "-(5s)", "-5s"},
    {"int", "twice(twice(5))", "20"},
};

constexpr Row kLogic[] = {
    {"bool", "1 < 2 and 2 <= 2 and 3 > 2 and 3 >= 3", "true"},
    {"bool", "not (1 == 2) and 1 != 2", "true"},
    {"bool", "false and 1 / (most - 42) == 0", "false"},
    {"bool", "true or 1 / (most - 42) == 0", "true"},
    {"bool", "\"a\" < \"b\" and 1s < 1m and float(0) < 0.5", "true"},
    {"bool", "turn == turn with { text: \"hi\" }", "true"},
    {"bool", "[1, 2] == [1, 2] and [\"a\": 1] != [\"a\": 2]", "true"},
    {"bool", "3 in 1..4 and not (5 in 1..4) and 1 in 1..1", "true"},
    {"bool", "2 in [1, 2] and not (\"c\" in [\"a\": 1])", "true"},
    {"bool", "\"a\" in [\"a\": 1]", "true"},
    {"bool", "maybe(0) == none and maybe(1) == 1", "true"},
    {"string", "if most > 40 and not (most > 50) then \"in\" else \"out\"", "\"in\""},
    {"string", "if most < 40 or most > 50 then \"out\" else \"in\"", "\"in\""},
    {"string", "truth(1 < 2 or false)", "\"yes\""},
};

constexpr Row kData[] = {
    {"[int]", "[n * n for n in 1..5 if n % 2 == 1]", "[1, 9, 25]"},
    {"[string]", "[\"${w}!\" for w in split(\"a b\", \" \")]", "[\"a!\", \"b!\"]"},
    {"[[int]]", "[[m for m in 1..n] for n in 1..3]", "[[1], [1, 2], [1, 2, 3]]"},
    {"[int]", "1..0", "[]"},
    {"[int]", "[1, 2] + [3] + []", "[1, 2, 3]"},
    {"[string]", "none_yet", "[]"},
    {"[float]", "[1, 2.5]", "[1, 2.5]"},
    {"[int?]", "[1, none]", "[1, none]"},
    {"int", "[10, 20, 30][1]", "20"},
    {"int?", "[\"a\": 1][\"b\"]", "none"},
    {"int", "[\"a\": 1][\"a\"] ?? 0", "1"},
    {"int", "maybe(0) ?? maybe(3) ?? 7", "3"},
    {"{string: int}", "[\"b\": 2, \"a\": 1]", "[\"a\": 1, \"b\": 2]"},
    {"{string: int}", "[:]", "[:]"},
    {"Turn", "turn with { text: \"${turn.text}!\", note: turn.text }",
     "Turn { role: Role.user, text: \"hi!\", note: \"hi\" }"},
    {"string?", "noted(turn)", "none"},
    {"string?", "owner(Talk { turns: [turn], owner: turn })", "\"hi\""},
    {"string?", "owner(Talk { turns: [] })", "none"},
    {"string", "Talk { turns: [turn] }.turns[0].text", "\"hi\""},
    {"Role", "Role.tool(tries: 3, name: \"x\")", "Role.tool(name: \"x\", tries: 3)"},
    {"[int]", "[weigh(r) for r in [Role.user, Role.assistant, Role.tool(\"x\", 9)]]", "[1, 2, 9]"},
    {"[string]", "[word(n) for n in [1, -1, 5]]", "[\"one\", \"minus one\", \"many\"]"},
    {"[string]", "[opt(none), opt(Role.user), opt(Role.assistant)]",
     "[\"nobody\", \"you\", \"other\"]"},
};

constexpr Row kText[] = {
    {"string", "\"a${1}b${true}c${5s}d${0.5 + float(0)}\"", "\"a1btruec5sd0.5\""},
    {"string", "\"plain\"", "\"plain\""},
    {"string", "\"\"", "\"\""},
    {"string", "\"a\" + \"b\"", "\"ab\""},
    {"string", "greet(\"you\")", "\"hello, you\""},
    {"string", "greet(word: \"bye\", name: \"you\")", "\"bye, you\""},
    {"string", "join(reverse(split(\"a,b,c\", \",\")), \"-\")", "\"c-b-a\""},
    {"int", "len(\"äöü\") + len([1, 2]) + len([\"a\": 1])", "6"},
    {"int", "sum([n for n in 1..10])", "55"},
    {"int?", "first([n for n in 1..3 if n > 5])", "none"},
    {"int", "max(3, min(10, 7))", "7"},
    {"string", "if starts_with(\"flow\", \"fl\") then upper(\"x\") else \"\"", "\"X\""},
    {"string", "\"\"\"\n    one\n      two ${most}\n    \"\"\"", "\"one\\n  two 42\""},
};

constexpr Row kFaults[] = {
    {"int", "9223372036854775807 + most", "Fault: "},
    {"int", "-9223372036854775808 - most", "Fault: "},
    {"int", "4611686018427387904 * most", "Fault: "},
    {"int", "1 / (most - 42)", "Fault: "},
    {"int", "1 % (most - 42)", "Fault: "},
    {"int", "[1, 2][most]", "Fault: "},
    {"int", "[1, 2][-1]", "Fault: "},
    {"float", "1.0 / float(most - 42)", "Fault: "},
    {"[int]", "1..9223372036854775807", "Fault: "},
};

INSTANTIATE_TEST_SUITE_P(numbers, Expressions, ::testing::ValuesIn(kNumbers));
INSTANTIATE_TEST_SUITE_P(logic, Expressions, ::testing::ValuesIn(kLogic));
INSTANTIATE_TEST_SUITE_P(data, Expressions, ::testing::ValuesIn(kData));
INSTANTIATE_TEST_SUITE_P(text, Expressions, ::testing::ValuesIn(kText));

class Faults : public ::testing::TestWithParam<Row> {};

TEST_P(Faults, end_the_function) {
  const Row& row = GetParam();
  const std::string found = value_of(row.type, row.expr, kDeclarations);
  EXPECT_EQ(found.substr(0, std::string_view(row.value).size()), row.value) << found;
}

INSTANTIATE_TEST_SUITE_P(all, Faults, ::testing::ValuesIn(kFaults));

TEST(Expressions, long_lists_need_no_register_each) {
  std::string list = "[";
  for (int i = 0; i < 3000; ++i) list += std::to_string(i) + " + most, ";
  EXPECT_EQ(value_of("int", "len(" + list + "])", kDeclarations), "3000");
}

TEST(Expressions, standard_modules) {
  constexpr const char* kImports = "import std.text\nimport std.list\n";
  EXPECT_EQ(value_of("[string]", "text.words(\" a  b\\tc \")", kImports), R"(["a", "b", "c"])");
  EXPECT_EQ(value_of("string", "text.shorten(\"abcdef\", 4)", kImports), "\"abc…\"");
  EXPECT_EQ(value_of("string", "text.indent(\"a\\nb\", \"> \")", kImports), R"("> a\n> b")");
  EXPECT_EQ(value_of("bool", "text.is_blank(\" \\n\")", kImports), "true");
  EXPECT_EQ(value_of("string", "text.counted(2, \"file\", \"files\")", kImports), "\"2 files\"");
  EXPECT_EQ(value_of("[[string]]", "list.chunks([\"a\", \"b\", \"c\"], 2)", kImports),
            R"([["a", "b"], ["c"]])");
  EXPECT_EQ(value_of("[string]", "list.without([\"a\", \"b\"], [\"a\"])", kImports), R"(["b"])");
  EXPECT_EQ(value_of("float?", "list.mean([1, 2.5, 4])", kImports), "2.5");
}

}  // namespace
}  // namespace sluice::compiler::testing
