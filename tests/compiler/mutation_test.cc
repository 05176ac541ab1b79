// Broken programs, made from good ones by a fixed seed: whatever the text, the front half ends,
// says something where it must, and stays within the text.
#include <gtest/gtest.h>

#include <ctime>
#include <random>

#include "compiler/format.hpp"
#include "compiler/limits.hpp"
#include "compiler/render.hpp"
#include "tests/compiler/testing.hpp"

namespace sluice::compiler {
namespace {

constexpr std::uint32_t kSeed = 20'261'123;
// Seconds of this process's own work: what else runs on the machine does not count.
constexpr double kTimeMax = 6;
constexpr double kOneTimeMax = 5;

double cpu_seconds() {
  return static_cast<double>(std::clock()) / CLOCKS_PER_SEC;
}

const std::vector<std::string>& pieces() {
  static const std::vector<std::string> texts = {"{",
                                                 "}",
                                                 "(",
                                                 ")",
                                                 "[",
                                                 "]",
                                                 "\"",
                                                 "\"\"\"",
                                                 "${",
                                                 "//",
                                                 "///",
                                                 "/*",
                                                 "*/",
                                                 ";",
                                                 "&&",
                                                 "!",
                                                 "=",
                                                 "==",
                                                 "->",
                                                 "=>",
                                                 "..",
                                                 "?",
                                                 "?.",
                                                 "??",
                                                 ".",
                                                 ",",
                                                 ":",
                                                 "\\",
                                                 "'",
                                                 "`",
                                                 "#",
                                                 "\n",
                                                 "\r\n",
                                                 "\t",
                                                 " ",
                                                 "if",
                                                 "else",
                                                 "match",
                                                 "case",
                                                 "let",
                                                 "step",
                                                 "flow",
                                                 "record",
                                                 "keyed",
                                                 "on",
                                                 "failure",
                                                 "within",
                                                 "in",
                                                 "not",
                                                 "then",
                                                 "Type",
                                                 "name",
                                                 "5m",
                                                 "5min",
                                                 "1.5",
                                                 "99999999999999999999",
                                                 "\xC3\xA4",
                                                 "\xFF",
                                                 std::string(1, '\0'),
                                                 "\xE2\x80\x9C",
                                                 "as",
                                                 "with {",
                                                 "race {",
                                                 "each x in"};
  return texts;
}

class Mutator {
 public:
  explicit Mutator(std::vector<std::string> corpus) : corpus_(std::move(corpus)), random_(kSeed) {}

  std::string next() {
    std::string text = corpus_[below(corpus_.size())];
    const std::size_t changes = 1 + below(4);
    for (std::size_t i = 0; i < changes; ++i) change(text);
    return text;
  }

 private:
  std::size_t below(std::size_t bound) { return bound == 0 ? 0 : random_() % bound; }

  void change(std::string& text) {
    const std::size_t at = below(text.size() + 1);
    const std::size_t length = below(1 + below(40));
    switch (below(5)) {
      case 0:
        text.insert(at, pieces()[below(pieces().size())]);
        break;
      case 1:
        text.erase(at, length);
        break;
      case 2:
        text.insert(at, text.substr(below(text.size() + 1), length));
        break;
      case 3:
        if (at < text.size()) text[at] = static_cast<char>(random_() & 0xFF);
        break;
      default: {
        const std::string& other = corpus_[below(corpus_.size())];
        text = text.substr(0, at) + other.substr(below(other.size() + 1));
      }
    }
  }

  std::vector<std::string> corpus_;
  std::mt19937 random_;
};

void check_one(const std::string& text) {
  const double begin = cpu_seconds();
  const auto parsed = parse_text(text);
  for (const Diagnostic& item : parsed->diagnostics.items()) {
    ASSERT_LE(item.span.begin, item.span.end) << item.message << "\n" << text;
    ASSERT_LE(item.span.end, text.size()) << item.message << "\n" << text;
    ASSERT_FALSE(item.message.empty());
    for (const Fix& fix : item.fixes) {
      for (const Edit& edit : fix.edits) ASSERT_LE(edit.span.end, text.size()) << text;
    }
  }
  ASSERT_EQ(parsed->result.ok, !parsed->diagnostics.has_errors()) << text;
  ASSERT_FALSE(render_text(parsed->diagnostics, parsed->sources, {}).empty() &&
               parsed->diagnostics.has_errors());
  if (parsed->result.ok) {
    Diagnostics diagnostics;
    const auto once = format(parsed->file(), diagnostics);
    ASSERT_TRUE(once.has_value()) << text;
    const auto again = parse_text(*once);
    ASSERT_TRUE(again->result.ok) << text << "\nformatted:\n" << *once << again->findings();
    Diagnostics second;
    ASSERT_EQ(format(again->file(), second), once) << text;
  }
  ASSERT_LT(cpu_seconds() - begin, kOneTimeMax) << text;
}

std::vector<std::string> corpus() {
  std::vector<std::string> texts;
  for (const auto& path : flow_files({"tests/golden/syntax", "tests/golden/format", "examples"})) {
    texts.push_back(read_text(path));
  }
  return texts;
}

TEST(Mutation, NothingBreaksTheFrontHalf) {
  Mutator mutator(corpus());
  const double begin = cpu_seconds();
  std::size_t runs = 0;
  while (cpu_seconds() - begin < kTimeMax && runs < 3'000) {
    ++runs;
    check_one(mutator.next());
    if (HasFatalFailure()) return;
  }
  RecordProperty("runs", static_cast<int>(runs));
  EXPECT_GT(runs, 50u);
}

// Every prefix of a program is a program under way in an editor.
TEST(Mutation, EveryPrefixIsToldAsUnfinished) {
  const auto files = flow_files({"tests/golden/format"});
  ASSERT_FALSE(files.empty());
  const std::string text = read_text(files.front());
  for (std::size_t size = 0; size < text.size(); size += 7) {
    check_one(text.substr(0, size));
    if (HasFatalFailure()) return;
  }
}

}  // namespace
}  // namespace sluice::compiler
