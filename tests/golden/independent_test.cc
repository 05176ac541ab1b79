// Independent mistakes in one file give exactly their own findings: none is lost, none is told
// twice, and none brings another one about.
//
// Each snippet is a whole little program with one mistake; `@` in its names is a number of its own.
// Every pair is tried in both orders, then larger sets drawn from fixed seeds, in one file and in
// the files of a project. What the reader could not read stays known by its name: what uses it is
// no second mistake.
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

// Mistakes that the reader finds. What it could read is checked all the same.
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
std::pair<std::vector<std::string>, std::string> findings(const std::vector<std::string>& texts) {
  compiler::SourceSet sources;
  compiler::Diagnostics diagnostics;
  for (const std::string& text : texts) {
    const std::string module = fmt::format("file{}", sources.size());
    sources.add(module + ".flow", texts.size() == 1 ? "" : module, text);
  }
  compiler::compile(sources, diagnostics);
  std::vector<std::string> codes;
  for (const compiler::Diagnostic& each : diagnostics.items()) {
    codes.emplace_back(compiler::info(each.code).name);
  }
  std::sort(codes.begin(), codes.end());
  return {codes, compiler::render_text(diagnostics, sources, {})};
}

// The snippets one after another, dealt out to so many files.
void expect_sum(const std::vector<const Snippet*>& chosen, std::size_t files = 1) {
  std::vector<std::string> texts(files);
  std::vector<std::string> expected;
  for (std::size_t i = 0; i < chosen.size(); ++i) {
    texts[i % files] += instance(*chosen[i], static_cast<int>(i) + 1);
    expected.emplace_back(chosen[i]->code);
  }
  std::sort(expected.begin(), expected.end());
  const auto [codes, shown] = findings(texts);
  std::string all;
  for (const std::string& text : texts) all += text + "\n";
  EXPECT_EQ(codes, expected) << all << shown;
}

// All of them, the reader's and the others.
const std::vector<Snippet>& mixed() {
  static const std::vector<Snippet> all = [] {
    std::vector<Snippet> both = kMeaning;
    both.insert(both.end(), kReading.begin(), kReading.end());
    return both;
  }();
  return all;
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

TEST_P(Independent, FilesOfAProjectAreAsIndependent) {
  for (unsigned seed = 1; seed <= 50; ++seed) {
    std::mt19937 random(seed);
    std::vector<const Snippet*> chosen;
    for (int i = 0; i < 15; ++i) chosen.push_back(&(*GetParam())[random() % GetParam()->size()]);
    expect_sum(chosen, 3);
    if (HasFailure()) {
      ADD_FAILURE() << "seed " << seed;
      return;
    }
  }
}

std::string kind_name(const testing::TestParamInfo<const std::vector<Snippet>*>& kind) {
  constexpr const char* kNames[] = {"Meaning", "Reading", "Mixed"};
  return kNames[kind.index];
}

INSTANTIATE_TEST_SUITE_P(Kinds, Independent, testing::Values(&kMeaning, &kReading, &mixed()),
                         kind_name);

// One mistake of the reader's, and what uses the thing that was lost: one finding.
struct Lost {
  std::string_view name;
  std::vector<std::string> files;
};

const std::vector<Lost> kLost = {
    {"Constant", {"const a = = 1\nconst b = a + 1\n"}},
    {"Function", {"fn f(n: int) { n }\nfn g() -> int = f(1) + f(1, 2)\n"}},
    {"Record", {"record A b: int }\nrecord B { a: A }\nfn f(x: A) -> int = x.b\n"}},
    {"Field",
     {"record A { b: int[], c: int }\nfn f(x: A) -> [int] = x.b\n"
      "fn g() -> A = A { b: [], c: 1 }\n"}},
    {"Parameter", {"fn f(a: int[], b: int) -> int = b\nfn g() -> int = f([1], 2)\n"}},
    {"Case", {"enum E { a, 1 }\nfn f(e: E) -> int = match e { case a => 1  case b => 2 }\n"}},
    {"Task",
     {"event Out { text: string }\ntask t(a: string) => string { timeout 1s keyed }\n"
      "flow run() -> Out timeout 1h { step s = t(\"\")  return Out { text: s } }"
      " on failure (why) { return Out { text: \"\" } }\n"}},
    {"PolicyOfATask",
     {"event Out { text: string }\n"
      "task t(a: string) -> string { timeout: 1s  idempotent }\n"
      "flow run() -> Out { step s = t(\"\")  return Out { text: s } }"
      " on failure (why) { return Out { text: \"\" } }\n"}},
    {"HarmlessTask",
     {"event Out { text: string }\n"
      "task t(a: string) -> string { timeout 1s  idempotnt }\n"
      "flow run() -> Out timeout 1h { step s = t(\"\") step z = t(s)"
      " return Out { text: z } } on failure (why) { return Out { text: \"\" } }\n"}},
    {"Let", {FLOW("", "  let x = = ask.text\n  step s = work@(x)\n  if x == s { sleep 1s }")}},
    {"UseOfALet", {FLOW("", "  let x = ask.text\n  step s = work@(x +)")}},
    {"Step", {FLOW("", "  step s = = work@(ask.text)\n  step z = work@(s)")}},
    {"Return",
     {"event Out {}\nflow run() -> Out timeout 1s { retrun Out {} }"
      " on failure (why) { return Out {} }\n"}},
    {"Branch",
     {FLOW("",
           "  let x = race {\n    branch a { yield ask.text }\n"
           "    branch b { yeild ask.text }\n  }\n  step s = work@(x)")}},
    {"Timeout",
     {"event Out { text: string }\ntask t() -> string { idempotent }\n"
      "flow run() -> Out timeout: 1s { step s = t()  return Out { text: s } }"
      " on failure (why) { return Out { text: \"\" } }\n"}},
    {"OnFailure",
     {"event Out {}\nflow run() -> Out timeout 1s { return Out {} }\n"
      "on failur (why) { return Out {} }\n"}},
    {"Wait", {FLOW("", "  while ask.n > 1 { step = work@(\"\") }")}},
    {"ImportLine", {"import std.text extra\nfn f(a: string) -> string = text.shorten(a, 3)\n"}},
    {"ImportedName",
     {"import file1\nfn f() -> int = file1.g()\nfn h() -> int = file1.g(1)\n"
      "fn i() -> string = file1.g()\n",
      "fn g() { 1 }\n"}},
    {"UnreadableFile", {"import file1\nfn f() -> int = file1.g() + file1.h.i\n", "fn g\xff"}},
    {"Given",
     {"event Out { text: string }\ntask t( -> string { timeout 1s  idempotent }\n"
      "flow run() timeout 1s { step t() }\n"
      "test \"x\" { given t returns \"a\"  when start run()  expect step t once }\n"}},
    {"When",
     {"event In {}\nevent Out {}\ntopic ins of In {}\n"
      "flow run(i: In) -> Out on ins timeout 1s { return Out {} }"
      " on failure (why) { return Out {} }\n"
      "test \"x\" {\n  whem In {}\n  expect return Out\n}\n"}},
};

class LostThings : public testing::TestWithParam<Lost> {};

TEST_P(LostThings, AreOneFinding) {
  std::vector<std::string> texts;
  for (const std::string& each : GetParam().files) texts.push_back(instance({"", each}, 1));
  const auto [codes, shown] = findings(texts);
  EXPECT_EQ(codes.size(), 1u) << texts[0] << "\n" << shown;
}

INSTANTIATE_TEST_SUITE_P(All, LostThings, testing::ValuesIn(kLost),
                         [](const auto& row) { return std::string(row.param.name); });

}  // namespace
}  // namespace sluice::golden
