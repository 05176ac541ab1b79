// What the compiler has to say about a program: one list of diagnostics, filled by every stage.
//
// A stage returns its result *and* goes on reporting; it never prints. Codes are the rows of
// diagnostics.def. Wording: lower case, no full stop, code in backticks, what was found; a label
// marks the narrowest wrong part; the note says why; a fix is an edit that mends it.
#pragma once

#include <cstddef>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "compiler/source.hpp"

namespace sluice::compiler {

enum class Severity { kError, kWarning };

enum class Code : std::uint16_t {
#define SLUICE_DIAGNOSTIC(code, severity, title, explanation) code,
#include "compiler/diagnostics.def"
#undef SLUICE_DIAGNOSTIC
};

struct CodeInfo {
  Code code;
  std::string_view name;  // "E0301"
  Severity severity;
  std::string_view title;        // a few words
  std::string_view explanation;  // what `flowc help CODE` prints, Markdown
};

// All rows, in the order of the file.
const std::vector<CodeInfo>& all_codes();
const CodeInfo& info(Code code);
// By name, in either case: "e0301". Nothing if there is no such code.
std::optional<Code> find_code(std::string_view name);

// Replace the text of `span` by `text`; an empty span inserts.
struct Edit {
  Span span;
  std::string text;
  friend bool operator==(const Edit&, const Edit&) = default;
};

struct Fix {
  std::string title;  // imperative: "write `==`"
  std::vector<Edit> edits;
};

struct Label {
  Span span;
  std::string text;
};

struct Diagnostic {
  Code code{};
  Severity severity = Severity::kError;
  Span span;
  std::string message;
  std::string primary_label;  // text under the carets; may be empty
  std::vector<Label> labels;  // secondary spans, each with its own text
  std::string note;           // why; may be empty
  std::vector<Fix> fixes;

  // For building in one expression: `report(…).here("…").also(span, "…").because("…")`.
  Diagnostic& here(std::string text);
  Diagnostic& also(Span where, std::string text);
  Diagnostic& because(std::string why);
  Diagnostic& mend(std::string title, std::vector<Edit> edits);
};

// The list. At most kDiagnosticsMax are kept; what comes after is counted only.
class Diagnostics {
 public:
  // The severity is that of the code's row. The reference lives as long as the list.
  Diagnostic& report(Code code, Span span, std::string message);

  bool has_errors() const { return errors_ > 0; }
  std::size_t error_count() const { return errors_; }
  std::size_t warning_count() const { return warnings_; }
  // How many were counted but not kept.
  std::size_t dropped() const { return dropped_; }

  const std::deque<Diagnostic>& items() const { return items_; }

  // All that is kept, to be put back or not: what is not is no longer counted.
  std::deque<Diagnostic> take();
  void put(Diagnostic diagnostic);

  // By file, then by place, errors before warnings at the same place; exact repeats go.
  void sort();

 private:
  std::size_t& count_of(Severity severity) {
    return severity == Severity::kError ? errors_ : warnings_;
  }

  std::deque<Diagnostic> items_;
  Diagnostic overflow_;  // what report() hands out once the list is full
  std::size_t errors_ = 0;
  std::size_t warnings_ = 0;
  std::size_t dropped_ = 0;
};

// The candidate nearest to `word` by edits, if it is near enough to be meant: for "did you mean".
std::optional<std::string_view> nearest(std::string_view word,
                                        const std::vector<std::string_view>& candidates);

}  // namespace sluice::compiler
