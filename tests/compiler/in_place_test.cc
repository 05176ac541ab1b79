// Variables that are changed where they are: who took the value before keeps what it took.
#include <gtest/gtest.h>

#include "tests/compiler/play.hpp"

namespace sluice::compiler::testing {
namespace {

std::string outcome(const std::string& statements) {
  const std::string text = R"(
event Done { text: string }
record Point { x: int, y: int, from: Point? = none }
const nothing: {string: int} = [:]
flow it(n: int) -> Done {
)" + statements + R"(
} on failure (why) { return Done { text: why.message } }
)";
  return play(text, R"({"n":3})", {});
}

struct Row {
  const char* statements;
  const char* text;
};

TEST(InPlace, who_took_the_value_keeps_it) {
  const Row rows[] = {
      {R"(var p = Point { x: 1, y: 2 }  let before = p
          set p = p with { x: p.y, y: p.x }
          return Done { text: "${p.x} ${p.y} ${before.x} ${before.y}" })",
       "2 1 1 2"},
      {R"(var p = Point { x: 1, y: 2 }
          set p = p with { x: 5, from: p }
          let from = p.from ?? p
          return Done { text: "${p.x} ${from.x}" })",
       "5 1"},
      {R"(var xs = [n]  let before = xs
          set xs = xs + [len(xs) + 10]
          each i in 1..2 { set xs = xs + [xs[len(xs) - 1] + i] }
          return Done { text: "${xs} ${before}" })",
       "[3,11,12,14] [3]"},
      {R"(var xs = [[n]]
          set xs = xs + [xs[0]]
          each x in xs { set xs = xs + [x] }
          return Done { text: "${xs}" })",
       "[[3],[3],[3],[3]]"},
      {R"(var text = "a"  let before = text
          set text = text + "b" + text + "${n}"
          set text = text + text
          return Done { text: "${text} ${before}" })",
       "aba3aba3 a"},
      {R"(var counts = nothing  let before = counts
          each word in ["a", "b", "a"] { set counts = put(counts, word, (counts[word] ?? 0) + 1) }
          return Done { text: "${counts} ${before}" })",
       "{\"a\":2,\"b\":1} {}"},
      {R"(var sum = 0
          each i in 3..1 { set sum = 100 }
          each i in 1..n { if i == 2 { continue }  set sum = sum + i }
          each i in 1..n { each j in 1..n { if j > i { break }  set sum = sum * 2 } }
          return Done { text: "${sum}" })",
       "256"},
      {R"(return Done { text: "${[i * i for i in 1..n if i != 2]} ${[x for x in [n, 7]]}" })",
       "[1,9] [3,7]"},
      {R"(var p = Point { x: 1, y: 2 }
          try { set p = p with { x: 9, y: 1 / (n - 3) } } catch (why) { }
          return Done { text: "${p.x} ${p.y}" })",
       "1 2"},
      {R"(return Done { text: "${n <= 3} ${n > 2} ${n >= 4} ${n < 3} ${n != 3} ${n == 3} ${n % 2}" +
                              " ${n - 5} ${n * -4}" + (if n > 2 and n <= 3 then " in" else " out") })",
       "true true false false false true 1 -2 -12 in"},
  };
  for (const Row& row : rows) {
    EXPECT_NE(outcome(row.statements)
                  .find("Done { text: \"" +
                        [&] {
                          std::string quoted;
                          for (const char* c = row.text; *c != '\0'; ++c) {
                            if (*c == '"') quoted += '\\';
                            quoted += *c;
                          }
                          return quoted;
                        }() +
                        "\" }"),
              std::string::npos)
        << row.statements << "\n"
        << outcome(row.statements);
  }
}

// A map that is asked often gets an index; it must find what a search finds, and no more.
TEST(InPlace, large_maps_find_what_is_there) {
  EXPECT_NE(outcome(R"(
    var squares = nothing
    each i in 1..300 { set squares = put(squares, "k${i % 200}", i) }
    var found = 0
    each i in 0..399 { if (squares["k${i}"] ?? -1) >= 0 { set found = found + 1 } }
    set squares = put(squares, "k7", -1)
    set squares = remove(squares, "k8")
    each i in 0..399 { if has(squares, "k${i}") { set found = found + 1000 } }
    return Done { text: "${found} ${squares["k7"] ?? 0} ${squares["k8"] ?? 0} ${squares["k99"] ?? 0}" }
  )")
                .find("Done { text: \"199200 -1 0 299\" }"),
            std::string::npos);
}

}  // namespace
}  // namespace sluice::compiler::testing
