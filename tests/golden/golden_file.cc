#include "tests/golden/golden_file.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

namespace sluice::golden {
namespace {

std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    lines.push_back(text.substr(0, end));
    if (end == std::string_view::npos) break;
    text.remove_prefix(end + 1);
  }
  return lines;
}

bool begins_finding(std::string_view text) {
  return text.starts_with("error[") || text.starts_with("warning[");
}

// The expectation that a line holds, without the line that it speaks of.
std::optional<Finding> expectation(std::string_view line) {
  const std::size_t slashes = line.find_first_not_of(' ');
  if (slashes == std::string_view::npos || !line.substr(slashes).starts_with("//")) return {};
  Finding finding;
  std::string_view rest = line.substr(slashes + 2);
  if (rest.starts_with("@ ")) {
    unsigned begin = 0;
    unsigned end = 0;
    int used = 0;
    const std::string copy(rest);
    if (std::sscanf(copy.c_str(), "@ %u-%u %n", &begin, &end, &used) != 2) return {};
    finding.column_begin = begin;
    finding.column_end = end;
    finding.text = rest.substr(static_cast<std::size_t>(used));
    return begins_finding(finding.text) ? std::optional(finding) : std::nullopt;
  }
  const std::size_t first = rest.find_first_not_of(' ');
  if (first == std::string_view::npos || rest[first] != '^') return {};
  std::size_t behind = rest.find_first_not_of('^', first);
  if (behind == std::string_view::npos) return {};
  finding.column_begin = static_cast<std::uint32_t>(slashes + 2 + first + 1);
  finding.column_end = static_cast<std::uint32_t>(slashes + 2 + behind + 1);
  finding.text = rest.substr(std::min(behind + 1, rest.size()));
  return begins_finding(finding.text) ? std::optional(finding) : std::nullopt;
}

std::string written(const Finding& finding, std::string_view code) {
  const std::size_t indent = std::min(code.find_first_not_of(' '), code.size());
  const std::size_t width = std::max<std::size_t>(finding.column_end - finding.column_begin, 1);
  const bool empty = finding.column_begin == finding.column_end;
  const std::size_t slashes =
      std::min<std::size_t>(indent, finding.column_begin < 4 ? 0 : finding.column_begin - 4);
  if (finding.column_begin < 4 || empty) {
    return fmt::format("//@ {}-{} {}", finding.column_begin, finding.column_end, finding.text);
  }
  const std::size_t gap = finding.column_begin - 1 - slashes - 2;
  return fmt::format("{}//{}{} {}", std::string(slashes, ' '), std::string(gap, ' '),
                     std::string(width, '^'), finding.text);
}

}  // namespace

std::vector<Finding> expected_in(std::string_view text) {
  std::vector<Finding> findings;
  std::uint32_t line = 0;
  std::uint32_t code_line = 1;
  for (const std::string_view each : lines_of(text)) {
    ++line;
    if (auto finding = expectation(each); finding.has_value()) {
      finding->line = code_line;
      findings.push_back(*finding);
    } else {
      code_line = line;
    }
  }
  std::sort(findings.begin(), findings.end());
  return findings;
}

std::vector<Finding> found_in(const compiler::Diagnostics& diagnostics,
                              const compiler::SourceFile& file) {
  std::vector<Finding> findings;
  for (const compiler::Diagnostic& item : diagnostics.items()) {
    if (item.span.file != file.id()) continue;
    const std::size_t size = file.text().size();
    const auto begin = file.position(std::min<std::size_t>(item.span.begin, size));
    const auto end = file.position(std::min<std::size_t>(item.span.end, size));
    Finding finding;
    finding.line = begin.line;
    finding.column_begin = begin.column;
    const auto line_end =
        static_cast<std::uint32_t>(compiler::count_code_points(file.line_text(begin.line)) + 1);
    finding.column_end = end.line == begin.line ? end.column : std::max(line_end, begin.column);
    const bool error = item.severity == compiler::Severity::kError;
    finding.text = fmt::format("{}[{}]: {}", error ? "error" : "warning",
                               compiler::info(item.code).name, item.message);
    // An expectation is a line of its own, so a place in one belongs to the code above it.
    const bool at_end = begin.line == file.line_count() && file.line_text(begin.line).empty();
    std::uint32_t line = at_end && begin.line > 1 ? begin.line - 1 : begin.line;
    while (line > 1 && expectation(file.line_text(line)).has_value()) --line;
    if (line != finding.line) {
      // Behind the last line of code.
      finding.line = line;
      finding.column_begin =
          static_cast<std::uint32_t>(compiler::count_code_points(file.line_text(line)) + 1);
      finding.column_end = finding.column_begin;
    }
    findings.push_back(std::move(finding));
  }
  std::sort(findings.begin(), findings.end());
  return findings;
}

std::string rewrite(std::string_view text, const std::vector<Finding>& found) {
  std::string out;
  std::uint32_t line = 0;
  std::string pending;  // the expectations of the code under way
  const auto findings_of = [&](std::uint32_t of_line, std::string_view code) {
    std::string lines;
    for (const Finding& each : found) {
      if (each.line == of_line) lines += written(each, code) + "\n";
    }
    return lines;
  };
  for (const std::string_view each : lines_of(text)) {
    ++line;
    if (expectation(each).has_value()) continue;
    out += std::string(each) + "\n" + findings_of(line, each);
  }
  return out;
}

std::string describe(const Finding& finding) {
  return fmt::format("{}:{}-{} {}", finding.line, finding.column_begin, finding.column_end,
                     finding.text);
}

}  // namespace sluice::golden
