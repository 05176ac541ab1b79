#include "compiler/fixes.hpp"

#include <algorithm>

namespace sluice::compiler {
namespace {

bool overlap(const Edit& a, const Edit& b) {
  if (a.span.file != b.span.file) return false;
  if (a.span.begin == b.span.begin && a.span.size() + b.span.size() == 0) return true;
  return a.span.begin < b.span.end && b.span.begin < a.span.end;
}

}  // namespace

std::string apply_edits(std::string_view text, std::vector<Edit> edits) {
  std::stable_sort(edits.begin(), edits.end(),
                   [](const Edit& a, const Edit& b) { return a.span.begin < b.span.begin; });
  std::string out;
  std::size_t at = 0;
  for (const Edit& edit : edits) {
    out += text.substr(at, edit.span.begin - at);
    out += edit.text;
    at = edit.span.end;
  }
  return out + std::string(text.substr(at));
}

FixedFiles apply_fixes(const Diagnostics& diagnostics, const SourceSet& sources) {
  FixedFiles result;
  std::map<FileId, std::vector<Edit>> chosen;
  for (const Diagnostic& item : diagnostics.items()) {
    if (item.fixes.size() != 1) continue;
    const std::vector<Edit>& edits = item.fixes.front().edits;
    const bool free = std::none_of(edits.begin(), edits.end(), [&](const Edit& edit) {
      const std::vector<Edit>& taken = chosen[edit.span.file];
      return std::any_of(taken.begin(), taken.end(),
                         [&](const Edit& other) { return overlap(edit, other); });
    });
    if (!free) continue;
    for (const Edit& edit : edits) chosen[edit.span.file].push_back(edit);
    ++result.applied;
  }
  for (auto& [file, edits] : chosen) {
    if (!edits.empty()) result.texts[file] = apply_edits(sources.file(file).text(), edits);
  }
  return result;
}

}  // namespace sluice::compiler
