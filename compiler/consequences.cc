#include "compiler/consequences.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

namespace sluice::compiler {
namespace {

constexpr std::size_t kPlacesShown = 3;

bool is_syntax(Code code) {
  return info(code).name.starts_with("E01");
}

bool is_unknown_name(Code code) {
  return code == Code::E0201 || code == Code::E0202 || code == Code::E0203 || code == Code::E0212 ||
         code == Code::E0213 || code == Code::E0801 || code == Code::E0805;
}

// The declarations that hold a line which could not be read.
std::vector<Span> broken_declarations(const ir::Program& program, const Diagnostics& diagnostics) {
  std::vector<Span> broken;
  for (const Diagnostic& item : diagnostics.items()) {
    if (!is_syntax(item.code)) continue;
    for (const auto& tree : program.trees) {
      if (tree->file != item.span.file) continue;
      for (const ast::Decl& each : tree->declarations) {
        const bool holds = each.span.begin <= item.span.begin && item.span.end <= each.span.end;
        if (holds) broken.push_back(each.span);
      }
    }
  }
  return broken;
}

bool begins_in(const Diagnostic& item, const std::vector<Span>& places) {
  return std::any_of(places.begin(), places.end(), [&](const Span& place) {
    return place.file == item.span.file && place.begin <= item.span.begin &&
           item.span.begin < place.end;
  });
}

// The place of a name that was told further up.
void add_place(Diagnostic& told, const Diagnostic& again, std::size_t number) {
  if (number <= kPlacesShown) told.also(again.span, "and here");
  // The same mend, in all places.
  if (told.fixes.size() != again.fixes.size()) return;
  for (std::size_t i = 0; i < told.fixes.size(); ++i) {
    auto& edits = told.fixes[i].edits;
    for (const Edit& edit : again.fixes[i].edits) {
      if (std::find(edits.begin(), edits.end(), edit) == edits.end()) edits.push_back(edit);
    }
  }
}

}  // namespace

void settle_consequences(const SourceSet& sources, const ir::Program& program,
                         Diagnostics& diagnostics) {
  using Line = std::pair<FileId, std::uint32_t>;
  const auto line_of = [&](const Diagnostic& item) {
    return Line{item.span.file, sources.file(item.span.file).position(item.span.begin).line};
  };
  std::set<Line> unread;
  std::set<Line> wrong;
  for (const Diagnostic& item : diagnostics.items()) {
    if (item.severity == Severity::kError) wrong.insert(line_of(item));
    if (is_syntax(item.code)) unread.insert(line_of(item));
  }
  if (wrong.empty()) return;

  const std::vector<Span> broken = broken_declarations(program, diagnostics);

  struct Told {
    std::size_t at = 0;
    std::size_t places = 1;
  };
  std::map<std::tuple<FileId, Code, std::string>, Told> names;
  std::set<Line> given_up;  // by the parser
  std::vector<Diagnostic> kept;
  for (Diagnostic& item : diagnostics.take()) {
    const Line line = line_of(item);
    if (!is_syntax(item.code) && unread.contains(line)) continue;
    const bool lost = item.code == Code::E0101 || item.code == Code::E0115;
    if (lost && !given_up.insert(line).second) continue;
    if (item.code == Code::W0004 && wrong.contains(line)) continue;
    if (item.severity == Severity::kWarning && begins_in(item, broken)) continue;
    if (is_unknown_name(item.code)) {
      // Of types the word alone: "no event `Ask`" and "no type `Ask`" are the same.
      const std::string& text = sources.file(item.span.file).text();
      const std::string name =
          item.code == Code::E0202 ? text.substr(item.span.begin, item.span.size()) : item.message;
      const auto [told, fresh] =
          names.try_emplace({item.span.file, item.code, name}, Told{kept.size()});
      if (!fresh) {
        add_place(kept[told->second.at], item, told->second.places++);
        continue;
      }
    }
    kept.push_back(std::move(item));
  }
  for (const auto& [key, told] : names) {
    const std::size_t more = told.places - 1;
    if (more > kPlacesShown) {
      kept[told.at].labels.back().text = fmt::format("and here, and {} more", more - kPlacesShown);
    }
  }
  for (Diagnostic& item : kept) diagnostics.put(std::move(item));
}

}  // namespace sluice::compiler
