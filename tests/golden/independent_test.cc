// Independent mistakes in one file give exactly their own findings: none is lost, none is told
// twice, and none brings another one about.
//
// Each snippet is a whole little program with one mistake; `@` in its names is a number of its own.
// Every pair is tried in both orders, then larger sets drawn from fixed seeds.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "compiler/compile.hpp"
#include "compiler/render.hpp"

namespace sluice::golden {
namespace {

struct Snippet {
  std::string_view code;
  std::string_view text;
};

// What stands round the mistakes that need a flow.
#define FLOW(settings, body)                                        \
  "event In@ { text: string, n: int, hint: string? = none }\n"      \
  "event Out@ { text: string }\n"                                   \
  "task work@(text: string) -> string { timeout 1s  idempotent }\n" \
  "flow run@(ask: In@) -> Out@ timeout 1h " settings " {\n" body    \
  "\n  return Out@ { text: \"\" }\n} on failure (why) {\n  return Out@ { text: why.message }\n}\n"

// Mistakes that stop nothing from being read.
const std::vector<Snippet> kMeaning = {
    {"E0201", "const a@ = b@\n"},
    {"E0202", "record A@ { b: Missing@ }\n"},
    {"E0201", "task t@() { pool nowhere@ }\n"},
    {"E0201", "task t@() { uses nobody@ }\n"},
    {"E0203", FLOW("", "  let x = work@(ask.text)\n  if ask.n > 1 { fail Odd x }")},
    {"E0204", "record A@ { b: int, b: int }\n"},
    {"E0204", "fn f@(a: int, a: int) -> int = 1\n"},
    {"E0212", FLOW("", "  step s = work@(ask.txt)")},
    {"E0212", FLOW("", "  if ask.n > 1 { return Out@ { text: \"\", more: 1 } }")},
    {"E0213", "enum Z@ { only }\nconst c@ = Z@.other\n"},
    {"E0214", FLOW("", "  step s = work@(tex: ask.text)")},
    {"E0215", "fn f@(n: int) -> int = f@(n)\n"},
    {"E0215", "const a@ = b@\nconst b@ = a@\n"},
    {"E0301", "fn f@() -> int = \"text\"\n"},
    {"E0301", "const c@: int = \"text\"\n"},
    {"E0301", FLOW("", "  step s = work@(ask.hint)")},
    {"E0301", FLOW("", "  if ask.n { sleep 1s }")},
    {"E0301", FLOW("", "  sleep 5")},
    {"E0302", "fn f@(a: string) -> string = a - a\n"},
    {"E0303", "enum Z@ { a, b }\nfn f@(z: Z@) -> int = match z { case a => 1 }\n"},
    {"E0305", FLOW("", "  if ask.n > 1 { return Out@ {} }")},
    {"E0307", FLOW("", "  step s = work@()")},
    {"E0307", FLOW("", "  step s = work@(ask.text, ask.text)")},
    {"E0308", "fn f@(a: string) -> int = a.length\n"},
    {"E0310", "fn g@() -> duration = 1s\npolicy p@ { within g@() }\n"},
    {"E0316", FLOW("", "  each x in ask.n { step s = work@(\"${x}\") }")},
    {"E0401",
     "event Out@ {}\nflow run@() -> Out@ timeout 1s {} on failure (why) { return Out@ {} }\n"},
    {"E0402", "event Out@ {}\nflow run@() -> Out@ timeout 1s { return Out@ {} }\n"},
    {"E0403",
     "event Out@ {}\nevent Other@ {}\nflow run@() -> Out@ timeout 1s { return Other@ {} }"
     " on failure (why) { return Out@ {} }\n"},
    {"E0404", "event Out@ {}\nflow run@() timeout 1s { return Out@ {} }\n"},
    {"E0409", FLOW("", "  let x = 1\n  set x = 2\n  if x == 2 { sleep 1s }")},
    {"E0412", FLOW("", "  break")},
    {"E0413", FLOW("", "  notify \"text\"")},
    {"E0501", "task t@() { timeout 1s  timeout 2s }\n"},
    {"E0502", "task t@() { keep }\n"},
    {"E0503", "task t@() { attempts 0 }\n"},
    {"E0504", "task t@() { timeout 1s  attempts 2 on [TimedOut] }\n"},
    {"E0702", FLOW("", "  while ask.n > 1 { if ask.n > 2 { break } }")},
    {"E0704", FLOW("budget 1 calls of work@", "  step a = work@(\"\")\n  step b = work@(a)")},
    {"E0704", FLOW("budget 1s", "  step a = work@(\"\")\n  step b = work@(a)")},
    {"E0705",
     "event In@ { mail: string pii }\nflow run@(in_: In@) timeout 1s "
     "{ fail Odd in_.mail }\n"},
    {"W0001", FLOW("", "  let unused = 1")},
    {"W0003", FLOW("", "  try { step s = work@(\"\") } catch TimedOuts { sleep 1s }")},
    {"W0004", FLOW("", "  if ask.n > 1 { return Out@ { text: \"\" }  sleep 1s }")},
    {"W0008", FLOW("", "  let x = ask.text ?? \"\"\n  step s = work@(x)")},
    {"W0009", FLOW("", "  var x = \"\"\n  step s = work@(x)")},
    {"W0010", FLOW("", "  sleep 2h")},
    {"W0010", FLOW("", "  deadline 1s { sleep 2s }")},
};

// Mistakes that the reader finds; what has some is not checked further.
const std::vector<Snippet> kReading = {
    {"E0101", "record A@ { b }\n"},
    {"E0101", "record A@ { b: List<string> }\n"},
    {"E0101", "record A@ { b: string[] }\n"},
    {"E0101", "record A@ { b?: string }\n"},
    {"E0101", "fn f@() -> int { return 1 }\n"},
    {"E0101", "event A@ = { b: int }\n"},
    {"E0101", "task t@() { timeout: 1s }\n"},
    {"E0101", "task t@() { pool \"cpu\" }\n"},
    {"E0101", "task t@() { attempts 3 backoff 1s }\n"},
    {"E0101", FLOW("", "  fail \"why\"")},
    {"E0101", FLOW("", "  notify Out@(\"x\")")},
    {"E0101", FLOW("", "  step s = work@(f\"x\")")},
    {"E0101", FLOW("", "  if (ask.n == 1) fail Odd \"x\"")},
    {"E0101", FLOW("", "  match ask.n { case 1 => fail Odd \"x\" }")},
    {"E0101", FLOW("", "  let t = match ask.n { case 1 { \"a\" } else { \"b\" } }")},
    {"E0101", FLOW("", "  try { sleep 1s } catch why { sleep 1s }")},
    {"E0101", FLOW("", "  try { sleep 1s } catch (TimedOut) { sleep 1s }")},
    {"E0101", FLOW("", "  let s = await work@(ask.text)")},
    {"E0101", "event Out@ {}\nflow run@() Out@ timeout 1s { return Out@ {} }\n"},
    {"E0101", "event Out@ {}\nflow run@() timeout 1s -> Out@ { return Out@ {} }\n"},
    {"E0102", FLOW("", "  step s = work@(ask.text")},
    {"E0103", FLOW("", "  step s = work@(ask.text))")},
    {"E0104", FLOW("", "  step s = work@(\"abc)")},
    {"E0105", FLOW("", "  if ask.n = 1 { sleep 1s }")},
    {"E0106", FLOW("", "  if ask.n > 1 && ask.n < 3 { sleep 1s }")},
    {"E0108", "# text @\n"},
    {"E0109", FLOW("", "  step s = work@('x')")},
    {"E0111", "task t@() { timeout 5 s }\n"},
    {"E0113", "record a@ { b: int }\n"},
    {"E0114", FLOW("", "  let step = 1")},
    {"E0115", "functoin f@() -> int = 1\n"},
    {"E0115", FLOW("", "  stpe s = work@(ask.text)")},
    {"E0115", "task t@() { attemps 3 }\n"},
    {"E0115", FLOW("", "  try { sleep 1s } except { sleep 1s }")},
    {"E0115", FLOW("", "  for (let i = 0; i < 3; i++) { sleep 1s }")},
    {"E0121", FLOW("", "  x = 2")},
    {"E0126", FLOW("", "  let x: int = 1")},
};

std::string instance(const Snippet& snippet, int number) {
  std::string text;
  for (const char letter : snippet.text) {
    text += letter == '@' ? fmt::format("{}", number) : std::string(1, letter);
  }
  return text;
}

// Codes found in the text, sorted; the rendered findings beside them.
std::pair<std::vector<std::string>, std::string> findings(const std::string& text) {
  compiler::SourceSet sources;
  compiler::Diagnostics diagnostics;
  sources.add("mistakes.flow", "", text);
  compiler::compile(sources, diagnostics);
  std::vector<std::string> codes;
  for (const compiler::Diagnostic& each : diagnostics.items()) {
    codes.emplace_back(compiler::info(each.code).name);
  }
  std::sort(codes.begin(), codes.end());
  return {codes, compiler::render_text(diagnostics, sources, {})};
}

void expect_sum(const std::vector<const Snippet*>& chosen) {
  std::string text;
  std::vector<std::string> expected;
  for (std::size_t i = 0; i < chosen.size(); ++i) {
    text += instance(*chosen[i], static_cast<int>(i) + 1);
    expected.emplace_back(chosen[i]->code);
  }
  std::sort(expected.begin(), expected.end());
  const auto [codes, shown] = findings(text);
  EXPECT_EQ(codes, expected) << text << "\n" << shown;
}

class Independent : public testing::TestWithParam<const std::vector<Snippet>*> {};

TEST_P(Independent, OneMistakeIsOneFinding) {
  for (const Snippet& each : *GetParam()) expect_sum({&each});
}

TEST_P(Independent, TwoMistakesAreTwoFindings) {
  const std::vector<Snippet>& all = *GetParam();
  for (const Snippet& first : all) {
    for (const Snippet& second : all) {
      expect_sum({&first, &second});
      if (HasFailure()) return;  // the first one says enough
    }
  }
}

TEST_P(Independent, ManyMistakesAreAsManyFindings) {
  for (unsigned seed = 1; seed <= 100; ++seed) {
    std::mt19937 random(seed);
    std::vector<const Snippet*> chosen;
    for (int i = 0; i < 12; ++i) chosen.push_back(&(*GetParam())[random() % GetParam()->size()]);
    expect_sum(chosen);
    if (HasFailure()) {
      ADD_FAILURE() << "seed " << seed;
      return;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Kinds, Independent, testing::Values(&kMeaning, &kReading),
                         [](const auto& kind) { return kind.index == 0 ? "Meaning" : "Reading"; });

}  // namespace
}  // namespace sluice::golden
