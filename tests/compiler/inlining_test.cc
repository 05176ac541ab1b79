// Small functions are put where they are called: nothing shows but the time.
#include <gtest/gtest.h>

#include "tests/compiler/play.hpp"

namespace sluice::compiler::testing {
namespace {

std::string outcome(const std::string& statements) {
  const std::string text = R"(
event Done { text: string }
record Point { x: int, y: int }
fn twice(x: int) -> int = x + x
fn greater(a: int, b: int) -> int = if a > b then a else twice(b)
fn minus(a: int, b: int) -> int = a - b
fn curve(x: float) -> float = 1.0 - x * 2.0 + (x + 0.5) / 4.0 - 3.0 / x
fn first(p: Point) -> int = p.x
fn same(p: Point) -> Point = p
fn or_none(m: {string: int}, k: string) -> int = m[k] ?? 7
fn shout(text: string) -> string = "${upper(text)}!"
fn part(n: int) -> int = 12 / (n - 3)
flow it(n: int) -> Done {
)" + statements + R"(
} on failure (why) { return Done { text: why.message } }
)";
  return play(text, R"({"n":3})", {});
}

TEST(Inlining, changes_no_value) {
  const struct {
    const char* statements;
    const char* text;
  } rows[] = {
      {R"(return Done { text: "${twice(twice(n))} ${minus(twice(n), n)} ${minus(n, twice(n))}" })",
       "12 3 -3"},
      {R"(var x = n  set x = twice(x)  set x = x + twice(x)  return Done { text: "${x}" })", "18"},
      {R"(var x = n  let y = twice(x)  set x = 10  return Done { text: "${y} ${x}" })", "6 10"},
      {R"(let a = 1  let b = 2  return Done { text: "${minus(b, a)} ${minus(a, b)}" })", "1 -1"},
      {R"(return Done { text: "${greater(5, n)} ${greater(n, 5)} ${greater(minus(n, 2), n)}" })",
       "5 10 6"},
      {R"(return Done { text: "${curve(2.0)} ${curve(-0.5)}" })", "-3.875 8"},
      {R"(var p = Point { x: n, y: 2 }
          set p = p with { x: p.y, y: first(p) }
          let q = same(p)
          set p = p with { x: twice(first(q)) }
          return Done { text: "${p.x} ${p.y} ${q.x} ${q.y}" })",
       "4 3 2 3"},
      {R"(let m = ["a": n]  return Done { text: "${or_none(m, "a")} ${or_none(m, "b")}" })", "3 7"},
      {R"(return Done { text: shout(shout("a${n}")) })", "A3!!"},
      {R"(return Done { text: "${[twice(x) for x in 1..n if greater(x, 2) == 4]}" })", "[2,4]"},
      {R"(return Done { text: "${part(n)}" })", "division by zero"},
  };
  for (const auto& row : rows) {
    EXPECT_NE(outcome(row.statements).find(row.text), std::string::npos)
        << row.statements << "\n     got: " << outcome(row.statements);
  }
}

}  // namespace
}  // namespace sluice::compiler::testing
