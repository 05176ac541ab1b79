#include <fmt/format.h>

#include <algorithm>

#include "compiler/render.hpp"
#include "vm/json_reader.hpp"

namespace sluice::compiler {
namespace {

struct Places {
  Position begin;
  Position end;
};

Places places_of(Span span, const SourceSet& sources) {
  const SourceFile& file = sources.file(span.file);
  const std::size_t size = file.text().size();
  return {file.position(std::min<std::size_t>(span.begin, size)),
          file.position(std::min<std::size_t>(span.end, size))};
}

std::string place_fields(Span span, const SourceSet& sources) {
  const Places places = places_of(span, sources);
  return fmt::format(R"("file":{},"line":{},"column":{},"end_line":{},"end_column":{})",
                     json_quote(sources.file(span.file).path()), places.begin.line,
                     places.begin.column, places.end.line, places.end.column);
}

// `[a,b]` of what `print` makes of each item.
template <typename Items, typename Print>
std::string array(const Items& items, const Print& print) {
  std::string out = "[";
  for (const auto& each : items) {
    if (out.size() > 1) out += ',';
    out += print(each);
  }
  return out + "]";
}

std::string json_object(const Diagnostic& item, const SourceSet& sources) {
  const auto label = [&](const Label& each) {
    return fmt::format(R"({{{},"text":{}}})", place_fields(each.span, sources),
                       json_quote(each.text));
  };
  const auto edit = [&](const Edit& each) {
    return fmt::format(R"({{{},"text":{}}})", place_fields(each.span, sources),
                       json_quote(each.text));
  };
  const auto fix = [&](const Fix& each) {
    return fmt::format(R"({{"title":{},"edits":{}}})", json_quote(each.title),
                       array(each.edits, edit));
  };
  const std::string note =
      item.note.empty() ? "" : fmt::format(R"(,"note":{})", json_quote(item.note));
  const std::string here = item.primary_label.empty()
                               ? ""
                               : fmt::format(R"(,"label":{})", json_quote(item.primary_label));
  return fmt::format(
      R"({{"code":"{}","severity":"{}","message":{},{}{},"labels":{}{},"fixes":{}}})",
      info(item.code).name, item.severity == Severity::kError ? "error" : "warning",
      json_quote(item.message), place_fields(item.span, sources), here, array(item.labels, label),
      note, array(item.fixes, fix));
}

// A path as a relative reference of RFC 3986; `<stdin>` and blanks would be none.
std::string uri_of(std::string_view path) {
  constexpr std::string_view kPlain = "-._~/";
  std::string uri;
  for (const char letter : path) {
    const auto byte = static_cast<unsigned char>(letter);
    const bool word = (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
                      (byte >= '0' && byte <= '9');
    if (word || kPlain.find(letter) != std::string_view::npos) {
      uri += letter;
    } else {
      uri += fmt::format("%{:02X}", byte);
    }
  }
  return uri;
}

std::string sarif_artifact(FileId file, const SourceSet& sources) {
  return fmt::format(R"("artifactLocation":{{"uri":{}}})",
                     json_quote(uri_of(sources.file(file).path())));
}

std::string sarif_region(Span span, const SourceSet& sources) {
  const Places places = places_of(span, sources);
  return fmt::format(R"({{"startLine":{},"startColumn":{},"endLine":{},"endColumn":{}}})",
                     places.begin.line, places.begin.column, places.end.line, places.end.column);
}

std::string sarif_location(Span span, const SourceSet& sources) {
  return fmt::format(R"("physicalLocation":{{{},"region":{}}})", sarif_artifact(span.file, sources),
                     sarif_region(span, sources));
}

std::string sarif_fix(const Fix& fix, const SourceSet& sources) {
  const auto change = [&](const Edit& edit) {
    return fmt::format(
        R"({{{},"replacements":[{{"deletedRegion":{},"insertedContent":{{"text":{}}}}}]}})",
        sarif_artifact(edit.span.file, sources), sarif_region(edit.span, sources),
        json_quote(edit.text));
  };
  return fmt::format(R"({{"description":{{"text":{}}},"artifactChanges":{}}})",
                     json_quote(fix.title), array(fix.edits, change));
}

std::string sarif_result(const Diagnostic& item, const SourceSet& sources) {
  std::string text = item.message;
  if (!item.note.empty()) text += "; " + item.note;
  const auto related = [&](const Label& label) {
    return fmt::format(R"({{{},"message":{{"text":{}}}}})", sarif_location(label.span, sources),
                       json_quote(label.text));
  };
  std::string extra;
  if (!item.labels.empty()) {
    extra += fmt::format(R"(,"relatedLocations":{})", array(item.labels, related));
  }
  if (!item.fixes.empty()) {
    const auto fix = [&](const Fix& each) { return sarif_fix(each, sources); };
    extra += fmt::format(R"(,"fixes":{})", array(item.fixes, fix));
  }
  return fmt::format(R"({{"ruleId":"{}","ruleIndex":{},"level":"{}","message":{{"text":{}}},)"
                     R"("locations":[{{{}}}]{}}})",
                     info(item.code).name, static_cast<std::size_t>(item.code),
                     item.severity == Severity::kError ? "error" : "warning", json_quote(text),
                     sarif_location(item.span, sources), extra);
}

std::string sarif_rule(const CodeInfo& row) {
  return fmt::format(
      R"({{"id":"{}","shortDescription":{{"text":{}}},"fullDescription":{{"text":{}}},)"
      R"("help":{{"text":{},"markdown":{}}},"defaultConfiguration":{{"level":"{}"}}}})",
      row.name, json_quote(row.title), json_quote(row.title), json_quote(row.explanation),
      json_quote(row.explanation), row.severity == Severity::kError ? "error" : "warning");
}

}  // namespace

std::string json_quote(std::string_view text) {
  // A source's own bytes may be no UTF-8; a reader of JSON must get some all the same.
  std::string valid;
  while (const auto bad = find_invalid_utf8(text)) {
    valid += text.substr(0, *bad);
    valid += "\xEF\xBF\xBD";
    text.remove_prefix(*bad + 1);
  }
  valid += text;
  std::string out;
  vm::append_json_string(valid, out);
  return out;
}

std::string render_json_array(const Diagnostics& diagnostics, const SourceSet& sources) {
  return array(diagnostics.items(),
               [&](const Diagnostic& item) { return json_object(item, sources); });
}

std::string render_json(const Diagnostics& diagnostics, const SourceSet& sources) {
  return fmt::format("{{\"diagnostics\":{},\"errors\":{},\"warnings\":{}}}\n",
                     render_json_array(diagnostics, sources), diagnostics.error_count(),
                     diagnostics.warning_count());
}

std::string render_sarif(const Diagnostics& diagnostics, const SourceSet& sources) {
  return fmt::format(
      R"({{"$schema":"https://json.schemastore.org/sarif-2.1.0.json","version":"2.1.0",)"
      R"("runs":[{{"tool":{{"driver":{{"name":"flowc","rules":{}}}}},)"
      R"("columnKind":"unicodeCodePoints","results":{}}}]}})"
      "\n",
      array(all_codes(), sarif_rule), array(diagnostics.items(), [&](const Diagnostic& item) {
        return sarif_result(item, sources);
      }));
}

}  // namespace sluice::compiler
