#include "compiler/diagnostics.hpp"

#include <algorithm>
#include <tuple>
#include <utility>

#include "compiler/limits.hpp"

namespace sluice::compiler {

const std::vector<CodeInfo>& all_codes() {
  static const std::vector<CodeInfo> rows = {
#define SLUICE_DIAGNOSTIC(code, severity, title, explanation) \
  CodeInfo{Code::code, #code, Severity::severity, title, explanation},
#include "compiler/diagnostics.def"
#undef SLUICE_DIAGNOSTIC
  };
  return rows;
}

const CodeInfo& info(Code code) {
  return all_codes().at(static_cast<std::size_t>(code));
}

std::optional<Code> find_code(std::string_view name) {
  std::string upper(name);
  for (char& letter : upper) {
    if (letter >= 'a' && letter <= 'z') letter = static_cast<char>(letter - 'a' + 'A');
  }
  for (const CodeInfo& row : all_codes()) {
    if (row.name == upper) return row.code;
  }
  return std::nullopt;
}

Diagnostic& Diagnostic::here(std::string text) {
  primary_label = std::move(text);
  return *this;
}

Diagnostic& Diagnostic::also(Span where, std::string text) {
  labels.push_back({where, std::move(text)});
  return *this;
}

Diagnostic& Diagnostic::because(std::string why) {
  note = std::move(why);
  return *this;
}

Diagnostic& Diagnostic::mend(std::string title, std::vector<Edit> edits) {
  fixes.push_back({std::move(title), std::move(edits)});
  return *this;
}

Diagnostic& Diagnostics::report(Code code, Span span, std::string message) {
  const Severity severity = info(code).severity;
  count_of(severity) += 1;
  Diagnostic diagnostic{code, severity, span, std::move(message), {}, {}, {}, {}};
  if (items_.size() >= kDiagnosticsMax) {
    ++dropped_;
    overflow_ = std::move(diagnostic);
    return overflow_;
  }
  items_.push_back(std::move(diagnostic));
  return items_.back();
}

std::deque<Diagnostic> Diagnostics::take() {
  for (const Diagnostic& item : items_) count_of(item.severity) -= 1;
  return std::exchange(items_, {});
}

void Diagnostics::put(Diagnostic diagnostic) {
  count_of(diagnostic.severity) += 1;
  items_.push_back(std::move(diagnostic));
}

void Diagnostics::sort() {
  const auto place = [](const Diagnostic& item) {
    return std::tuple(item.span.file, item.span.begin, item.severity, item.code, item.span.end);
  };
  std::stable_sort(items_.begin(), items_.end(),
                   [&](const Diagnostic& a, const Diagnostic& b) { return place(a) < place(b); });
  std::deque<Diagnostic> kept;
  for (Diagnostic& item : items_) {
    const bool repeat =
        !kept.empty() && place(kept.back()) == place(item) && kept.back().message == item.message;
    if (repeat) {
      count_of(item.severity) -= 1;
    } else {
      kept.push_back(std::move(item));
    }
  }
  items_ = std::move(kept);
}

namespace {

// Edits between two short words, a swap of neighbours counting as one.
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before(b.size() + 1);
  std::vector<std::size_t> last(b.size() + 1);
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) last[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t change = last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      row[j] = std::min({change, last[j] + 1, row[j - 1] + 1});
      const bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
      if (swapped) row[j] = std::min(row[j], before[j - 2] + 1);
    }
    std::swap(before, last);
    std::swap(last, row);
  }
  return last[b.size()];
}

}  // namespace

std::optional<std::string_view> nearest(std::string_view word,
                                        const std::vector<std::string_view>& candidates) {
  constexpr std::size_t kWordMax = 64;  // nobody mistypes a longer one, and distance() is quadratic
  if (word.size() > kWordMax) return std::nullopt;
  // A third of the letters may be wrong: one of 3 to 5, two of 6 to 8.
  const std::size_t allowed = word.size() < 3 ? 0 : (word.size() < 6 ? 1 : word.size() / 3);
  std::optional<std::string_view> best;
  std::size_t best_distance = allowed + 1;
  for (const std::string_view candidate : candidates) {
    if (candidate.size() > kWordMax || candidate == word) continue;
    const std::size_t found = distance(word, candidate);
    if (found < best_distance) {
      best_distance = found;
      best = candidate;
    }
  }
  return best;
}

}  // namespace sluice::compiler
