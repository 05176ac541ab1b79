// Every tests/golden/FEATURE/*.flow has the findings that it says, and no others.
//
// A file whose name begins with `fail_` has errors, any other has none. In a folder whose name
// begins with `program_` all files are one program; elsewhere each file is one. Files in `syntax`
// are only parsed, those in `deployment` are compiled as for an engine, those in `format` are
// formatted and compared with NAME.flow.golden; all others are compiled. UPDATE_GOLDEN=1 rewrites
// the files; review the difference.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <sstream>

#include "compiler/compile.hpp"
#include "compiler/fixes.hpp"
#include "compiler/format.hpp"
#include "compiler/parse.hpp"
#include "compiler/render.hpp"
#include "tests/golden/golden_file.hpp"

namespace sluice::golden {
namespace {

namespace fs = std::filesystem;

const fs::path kRoot = fs::path(SLUICE_SOURCE_DIR) / "tests/golden";

// Codes that no golden program can hit, with the reason.
const std::set<std::string_view>& unreachable_codes() {
  static const std::set<std::string_view> codes = {
      "E0119",  // a megabyte of source; parse_test makes it
  };
  return codes;
}

bool update() {
  return std::getenv("UPDATE_GOLDEN") != nullptr;
}

std::string read(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

void write(const fs::path& path, std::string_view text) {
  std::ofstream(path, std::ios::binary) << text;
}

std::vector<fs::path> files_in(const fs::path& directory) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(directory)) {
    if (entry.path().extension() == ".flow") files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

// The programs of all features: one file, or all files of a `program_` folder.
std::vector<std::vector<fs::path>> programs() {
  std::vector<std::vector<fs::path>> found;
  for (const auto& entry : fs::recursive_directory_iterator(kRoot)) {
    if (!entry.is_directory() || entry.path().filename() == "format") continue;
    std::vector<fs::path> files = files_in(entry.path());
    if (entry.path().filename().string().starts_with("program_")) {
      found.push_back(std::move(files));
    } else {
      for (fs::path& file : files) found.push_back({std::move(file)});
    }
  }
  std::sort(found.begin(), found.end());
  return found;
}

// The zones that the programs may name.
const std::vector<std::string>& zones() {
  static const std::vector<std::string> names{"America/New_York", "Europe/Berlin", "UTC"};
  return names;
}

compiler::CompileOptions options_of(const fs::path& path) {
  return {.deploying = path.parent_path().filename() == "deployment", .zones = zones};
}

class Golden : public testing::TestWithParam<std::vector<fs::path>> {
 protected:
  void SetUp() override {
    for (const fs::path& path : GetParam()) {
      sources_.add(fs::relative(path, kRoot).generic_string(), path.stem().string(), read(path));
    }
    given_ = sources_.size();
    const bool syntax_only = GetParam().front().parent_path().filename() == "syntax";
    if (syntax_only) {
      for (std::size_t i = 0; i < given_; ++i) {
        compiler::parse(sources_.file(compiler::FileId(i)), diagnostics_);
      }
      diagnostics_.sort();
    } else {
      result_ = compiler::compile(sources_, diagnostics_, options_of(GetParam().front()));
    }
  }

  compiler::SourceSet sources_;
  std::size_t given_ = 0;
  compiler::Diagnostics diagnostics_;
  compiler::CompileResult result_;
};

TEST_P(Golden, HasTheFindingsItSays) {
  for (std::size_t i = 0; i < given_; ++i) {
    const compiler::SourceFile& file = sources_.file(compiler::FileId(i));
    const std::vector<Finding> found = found_in(diagnostics_, file);
    if (update()) {
      write(GetParam()[i], rewrite(file.text(), found));
      continue;
    }
    const std::vector<Finding> expected = expected_in(file.text());
    for (const Finding& each : expected) {
      EXPECT_TRUE(std::count(found.begin(), found.end(), each))
          << file.path() << " is not told:\n  " << describe(each);
    }
    for (const Finding& each : found) {
      EXPECT_TRUE(std::count(expected.begin(), expected.end(), each))
          << file.path() << " is told, but not expected:\n  " << describe(each);
    }
    EXPECT_EQ(expected.size(), found.size()) << file.path();
  }
}

TEST_P(Golden, FailsIffItsNameSaysSo) {
  const auto says_so = [](const fs::path& path) {
    return path.filename().string().starts_with("fail_");
  };
  const bool named = std::any_of(GetParam().begin(), GetParam().end(), says_so);
  EXPECT_EQ(diagnostics_.has_errors(), named) << GetParam().front();
}

// What a fix mends is gone after it, and no fix breaks the text: the edits lie within it and do not
// overlap.
TEST_P(Golden, FixesMendWhatTheyAreFor) {
  const compiler::FixedFiles fixed = compiler::apply_fixes(diagnostics_, sources_);
  if (fixed.texts.empty()) return;
  compiler::SourceSet mended;
  for (std::size_t i = 0; i < given_; ++i) {
    const compiler::SourceFile& file = sources_.file(compiler::FileId(i));
    const auto changed = fixed.texts.find(file.id());
    mended.add(file.path(), file.module(),
               changed == fixed.texts.end() ? file.text() : changed->second);
  }
  compiler::Diagnostics after;
  if (GetParam().front().parent_path().filename() == "syntax") {
    for (std::size_t i = 0; i < given_; ++i) {
      compiler::parse(mended.file(compiler::FileId(i)), after);
    }
  } else {
    compiler::compile(mended, after, options_of(GetParam().front()));
  }
  std::map<std::string, std::ptrdiff_t> left;  // findings of one wording that may still be there
  std::ptrdiff_t unused = -static_cast<std::ptrdiff_t>(fixed.applied);  // of two at one place
  for (const compiler::Diagnostic& item : diagnostics_.items()) {
    left[item.message] += item.fixes.size() == 1 ? 0 : 1;
    unused += item.fixes.size() == 1 ? 1 : 0;
  }
  for (const compiler::Diagnostic& item : after.items()) {
    if (left.contains(item.message) && --left[item.message] < 0) --unused;
  }
  EXPECT_GE(unused, 0) << compiler::render_text(after, mended, {});
}

// Each fix by itself, alternatives included: what it was for is gone. It may uncover another
// mistake.
TEST_P(Golden, EachFixMendsItsOwnFinding) {
  const bool syntax = GetParam().front().parent_path().filename() == "syntax";
  const auto count = [](const compiler::Diagnostics& list, const compiler::Diagnostic& like) {
    return std::count_if(list.items().begin(), list.items().end(), [&](const auto& each) {
      return each.code == like.code && each.message == like.message;
    });
  };
  for (const compiler::Diagnostic& item : diagnostics_.items()) {
    for (const compiler::Fix& fix : item.fixes) {
      compiler::SourceSet mended;
      for (std::size_t i = 0; i < given_; ++i) {
        const compiler::SourceFile& file = sources_.file(compiler::FileId(i));
        std::vector<compiler::Edit> edits;
        for (const compiler::Edit& edit : fix.edits) {
          if (edit.span.file == file.id()) edits.push_back(edit);
        }
        mended.add(file.path(), file.module(), compiler::apply_edits(file.text(), edits));
      }
      compiler::Diagnostics after;
      for (std::size_t i = 0; syntax && i < given_; ++i) {
        compiler::parse(mended.file(compiler::FileId(i)), after);
      }
      if (!syntax) compiler::compile(mended, after);
      EXPECT_LT(count(after, item), count(diagnostics_, item))
          << GetParam().front() << ": " << item.message << ": " << fix.title << "\n"
          << compiler::render_text(after, mended, {});
    }
  }
}

std::string name_of(const testing::TestParamInfo<std::vector<fs::path>>& program) {
  const bool many = program.param.size() > 1;
  fs::path path = many ? program.param.front().parent_path() : program.param.front();
  std::string name = fs::relative(path, kRoot).replace_extension().generic_string();
  for (char& letter : name) {
    if (std::isalnum(static_cast<unsigned char>(letter)) == 0) letter = '_';
  }
  return name;
}

INSTANTIATE_TEST_SUITE_P(All, Golden, testing::ValuesIn(programs()), name_of);

TEST(GoldenFormat, IsAsWritten) {
  for (const fs::path& path : files_in(kRoot / "format")) {
    compiler::SourceSet sources;
    const auto id = sources.add(path.filename().string(), read(path));
    compiler::Diagnostics diagnostics;
    const auto formatted = compiler::format(sources.file(id), diagnostics);
    ASSERT_TRUE(formatted.has_value()) << compiler::render_text(diagnostics, sources, {});
    const fs::path golden = path.string() + ".golden";
    if (update()) write(golden, *formatted);
    EXPECT_EQ(*formatted, read(golden)) << path;
  }
}

// A code that nothing shows is a code that nobody knows to work.
TEST(GoldenCoverage, EveryCodeIsHit) {
  std::set<std::string> hit;
  for (const auto& files : programs()) {
    for (const fs::path& path : files) {
      for (const Finding& each : expected_in(read(path))) {
        const std::size_t open = each.text.find('[');
        hit.insert(each.text.substr(open + 1, 5));
      }
    }
  }
  for (const compiler::CodeInfo& row : compiler::all_codes()) {
    if (unreachable_codes().contains(row.name)) continue;
    EXPECT_TRUE(hit.contains(std::string(row.name)))
        << row.name << " (" << row.title << ") is hit by no file below tests/golden";
  }
}

}  // namespace
}  // namespace sluice::golden
