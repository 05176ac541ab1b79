// One token too few, twice, or another one in its place: one mistake, so one finding wherever that
// can be told. Good programs are mutated by fixed seeds; the share of mutants with more than one
// finding has a bound, and so has the number of findings of any.
//
// ONE_TOKEN_SHOW=N prints the first N mutants with several findings.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>
#include <random>
#include <sstream>

#include "compiler/compile.hpp"
#include "compiler/render.hpp"

namespace sluice::golden {
namespace {

namespace fs = std::filesystem;

constexpr int kMutantsPerProgram = 30;
// What there is now: they only ever go down.
constexpr std::size_t kFindingsMax = 7;
constexpr double kSeveralMax = 0.05;

struct Token {
  std::size_t begin = 0;
  std::size_t end = 0;
};

bool in_word(char letter) {
  return std::isalnum(static_cast<unsigned char>(letter)) != 0 || letter == '_';
}

std::size_t end_of_string(const std::string& text, std::size_t at) {
  const bool block = text.compare(at, 3, "\"\"\"") == 0;
  std::size_t end = at + (block ? 3 : 1);
  while (end < text.size()) {
    if (text[end] == '\\') {
      end += 2;
    } else if (block ? text.compare(end, 3, "\"\"\"") == 0 : text[end] == '"') {
      return end + (block ? 3 : 1);
    } else {
      ++end;
    }
  }
  return text.size();
}

// Words, numbers, whole strings and signs; comments are none.
std::vector<Token> tokens_of(const std::string& text) {
  static const std::vector<std::string> kSigns = {
      "->", "=>", "==", "!=", "<=", ">=", "..", "??", "?."};
  std::vector<Token> tokens;
  std::size_t at = 0;
  while (at < text.size()) {
    std::size_t end = at + 1;
    if (std::isspace(static_cast<unsigned char>(text[at])) != 0) {
      at = end;
      continue;
    }
    if (text.compare(at, 2, "//") == 0) {
      at = std::min(text.find('\n', at), text.size());
      continue;
    }
    if (text[at] == '"') {
      end = end_of_string(text, at);
    } else if (in_word(text[at])) {
      while (end < text.size() && in_word(text[end])) ++end;
    } else if (std::count(kSigns.begin(), kSigns.end(), text.substr(at, 2)) > 0) {
      end = at + 2;
    }
    tokens.push_back({at, end});
    at = end;
  }
  return tokens;
}

struct Program {
  std::string name;
  std::vector<std::pair<std::string, std::string>> files;  // module, text
};

std::string read(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

struct Found {
  std::size_t count = 0;
  std::string shown;
};

Found findings(const Program& program, bool show) {
  compiler::SourceSet sources;
  compiler::Diagnostics diagnostics;
  for (const auto& [module, text] : program.files) sources.add(module + ".flow", module, text);
  compiler::compile(sources, diagnostics);
  Found found{diagnostics.items().size() + diagnostics.dropped(), ""};
  if (show) found.shown = compiler::render_text(diagnostics, sources, {});
  return found;
}

// Programs that are right: the golden ones, the examples, the tests of the language.
std::vector<Program> programs() {
  std::vector<Program> all;
  const fs::path root = SLUICE_SOURCE_DIR;
  for (const char* directory : {"tests/golden", "tests/language", "examples"}) {
    for (const auto& entry : fs::recursive_directory_iterator(root / directory)) {
      const fs::path& path = entry.path();
      if (path.extension() != ".flow" || path.string().find("program_") != std::string::npos ||
          path.string().find("node_modules") != std::string::npos) {
        continue;
      }
      Program program{fs::relative(path, root).generic_string(), {{path.stem(), read(path)}}};
      if (findings(program, false).count == 0) all.push_back(std::move(program));
    }
  }
  std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  return all;
}

enum class Change { kRemoved, kTwice, kReplaced };

std::string mutate(const std::string& text, const std::vector<Token>& tokens, std::mt19937& random,
                   std::string* what) {
  const Token token = tokens[random() % tokens.size()];
  const auto change = static_cast<Change>(random() % 3);
  const std::string spelled = text.substr(token.begin, token.end - token.begin);
  const Token other = tokens[random() % tokens.size()];
  const std::string instead = text.substr(other.begin, other.end - other.begin);
  std::string mutant = text;
  const std::size_t size = token.end - token.begin;
  switch (change) {
    case Change::kRemoved:
      *what = fmt::format("without `{}`", spelled);
      return mutant.replace(token.begin, size, "");
    case Change::kTwice:
      *what = fmt::format("twice `{}`", spelled);
      return mutant.insert(token.end, " " + spelled);
    case Change::kReplaced:
      *what = fmt::format("`{}` in place of `{}`", instead, spelled);
      return mutant.replace(token.begin, size, instead);
  }
  return mutant;
}

TEST(OneToken, IsMostlyOneFinding) {
  const char* show = std::getenv("ONE_TOKEN_SHOW");
  int left = show == nullptr ? 0 : std::atoi(show);
  std::map<std::size_t, int> counts;
  int total = 0;
  std::size_t number = 0;
  const std::vector<Program> all = programs();
  ASSERT_GT(all.size(), 20u);
  for (const Program& good : all) {
    std::mt19937 random(static_cast<unsigned>(++number));
    const std::vector<Token> tokens = tokens_of(good.files[0].second);
    for (int i = 0; i < kMutantsPerProgram; ++i) {
      std::string what;
      Program mutant = good;
      mutant.files[0].second = mutate(good.files[0].second, tokens, random, &what);
      const Found found = findings(mutant, left > 0);
      ++counts[found.count];
      ++total;
      EXPECT_LE(found.count, kFindingsMax) << good.name << " " << what << "\n" << found.shown;
      if (found.count < 2 || left <= 0) continue;
      --left;
      std::cout << "==== " << good.name << " " << what << "\n" << found.shown << "\n";
    }
  }
  int several = 0;
  for (const auto& [count, mutants] : counts) {
    std::cout << fmt::format("{} findings: {} mutants\n", count, mutants);
    if (count > 1) several += mutants;
  }
  const double share = static_cast<double>(several) / total;
  std::cout << fmt::format("{} of {} mutants have several findings: {:.1f} %\n", several, total,
                           share * 100);
  EXPECT_LE(share, kSeveralMax);
}

}  // namespace
}  // namespace sluice::golden
