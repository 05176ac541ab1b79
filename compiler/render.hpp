// Diagnostics for people and for programs. Nothing here decides anything.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "compiler/diagnostics.hpp"
#include "compiler/source.hpp"

namespace sluice::compiler {

struct RenderOptions {
  bool colour = false;
};

// For a terminal: each diagnostic with the lines it speaks of, then one line that counts them.
// Empty when there is nothing to say. Control characters and broken UTF-8 of the source are shown
// as `?`.
std::string render_text(const Diagnostics& diagnostics, const SourceSet& sources,
                        const RenderOptions& options);

// The lines of a span as diagnostics show them, with its place and `label` under the carets.
std::string render_excerpt(Span span, std::string label, const SourceSet& sources,
                           const RenderOptions& options);

// A JSON array, one object each: code, severity, message, file, line, column, end_line, end_column
// (from 1, in code points, the end behind the last one), labels, note, fixes. The form that HTTP
// answers carry.
std::string render_json_array(const Diagnostics& diagnostics, const SourceSet& sources);

// `{"diagnostics":[…],"errors":N,"warnings":N}` and a line end.
std::string render_json(const Diagnostics& diagnostics, const SourceSet& sources);

// SARIF 2.1.0 with every code as a rule, and a line end.
std::string render_sarif(const Diagnostics& diagnostics, const SourceSet& sources);

// A JSON string with its quotes. Invalid UTF-8 becomes U+FFFD.
std::string json_quote(std::string_view text);

// What `flowc help CODE` prints.
std::string render_explanation(Code code, const RenderOptions& options);

}  // namespace sluice::compiler
