#include "compiler/flowc/test_report.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "compiler/render.hpp"

namespace sluice::flowc {

using compiler::json_quote;

namespace {

std::string painted(bool colour, std::string_view code, std::string_view text) {
  return colour ? fmt::format("\x1b[{}m{}\x1b[0m", code, text) : std::string(text);
}

std::string indented(std::string_view text, std::string_view by) {
  std::string out;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    out += fmt::format("{}{}\n", end == 0 ? "" : by, text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return out;
}

std::string failure_text(const TestFailure& failure, const compiler::SourceSet& sources,
                         bool colour) {
  std::string out = compiler::render_excerpt(failure.span, failure.message, sources, {colour});
  if (!failure.expected.empty()) {
    out += "expected:\n" + painted(colour, "32", indented(failure.expected, "  "));
  }
  if (!failure.actual.empty()) {
    out += "actual:\n" + painted(colour, "31", indented(failure.actual, "  "));
  }
  if (!failure.timeline.empty()) out += "timeline:\n" + indented(failure.timeline, "  ");
  return out;
}

std::string place_json(compiler::Span span, const compiler::SourceSet& sources) {
  const compiler::SourceFile& file = sources.file(span.file);
  const auto from = file.position(span.begin);
  const auto to = file.position(span.end);
  return fmt::format(R"("file":{},"line":{},"column":{},"end_line":{},"end_column":{})",
                     json_quote(file.path()), from.line, from.column, to.line, to.column);
}

std::size_t failed_of(const std::vector<TimedResult>& results) {
  return static_cast<std::size_t>(std::count_if(
      results.begin(), results.end(), [](const auto& each) { return !each.result.passed(); }));
}

// Text inside XML; what XML cannot hold becomes `?`.
std::string xml(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    switch (c) {
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '&':
        out += "&amp;";
        break;
      case '"':
        out += "&quot;";
        break;
      default:
        out += byte < 0x20 && c != '\n' && c != '\t' ? '?' : c;
    }
  }
  return out;
}

}  // namespace

std::string test_text(const TestResult& result, const compiler::SourceSet& sources, bool colour) {
  const compiler::ir::TestDef& test = *result.test;
  const std::string crashes =
      result.crashes == 0 ? "" : fmt::format("  ({} crashes)", result.crashes);
  std::string out = fmt::format(
      "{} {}: {}{}\n",
      result.passed() ? painted(colour, "32", "ok    ") : painted(colour, "1;31", "FAILED"),
      test.module->name, test.title, crashes);
  for (const TestFailure& failure : result.failures) {
    out += indented(failure_text(failure, sources, colour), "  ") + "\n";
  }
  return out;
}

std::string broken_text(const std::vector<Broken>& broken, const compiler::SourceSet& sources,
                        bool colour) {
  std::string out;
  for (const Broken& each : broken) {
    out += failure_text({each.span, each.message, "", each.actual, ""}, sources, colour);
  }
  return out;
}

std::string broken_json(const std::vector<Broken>& broken, const compiler::SourceSet& sources) {
  std::string out = "[";
  for (const Broken& each : broken) {
    out += fmt::format(R"({}{{"message":{},{},"actual":{}}})", out.size() == 1 ? "" : ",",
                       json_quote(each.message), place_json(each.span, sources),
                       json_quote(each.actual));
  }
  return out + "]";
}

std::string summary_text(const std::vector<TimedResult>& results, bool colour) {
  const std::size_t failed = failed_of(results);
  std::string out = fmt::format("{} passed", results.size() - failed);
  if (failed > 0) out += ", " + painted(colour, "1;31", fmt::format("{} failed", failed));
  return out + "\n";
}

std::string tests_json(const std::vector<TimedResult>& results,
                       const compiler::SourceSet& sources) {
  std::string out = R"({"tests":[)";
  for (std::size_t i = 0; i < results.size(); ++i) {
    const TestResult& result = results[i].result;
    out += fmt::format(
        R"({}{{"title":{},"module":{},{},"outcome":"{}","records":{},"crashes":{},"failures":[)",
        i == 0 ? "" : ",", json_quote(result.test->title), json_quote(result.test->module->name),
        place_json(result.test->tree->name.span, sources), result.passed() ? "passed" : "failed",
        result.records, result.crashes);
    for (std::size_t f = 0; f < result.failures.size(); ++f) {
      const TestFailure& failure = result.failures[f];
      out += fmt::format(R"({}{{"message":{},{},"expected":{},"actual":{},"timeline":{}}})",
                         f == 0 ? "" : ",", json_quote(failure.message),
                         place_json(failure.span, sources), json_quote(failure.expected),
                         json_quote(failure.actual), json_quote(failure.timeline));
    }
    out += "]}";
  }
  const std::size_t failed = failed_of(results);
  return out + fmt::format("],\"passed\":{},\"failed\":{}}}\n", results.size() - failed, failed);
}

std::string tests_junit(const std::vector<TimedResult>& results,
                        const compiler::SourceSet& sources) {
  std::map<std::string, std::vector<const TimedResult*>> suites;
  double seconds = 0;
  for (const TimedResult& each : results) {
    suites[each.result.test->module->name].push_back(&each);
    seconds += each.seconds;
  }
  std::string out = fmt::format(
      "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
      "<testsuites tests=\"{}\" failures=\"{}\" time=\"{:.3f}\">\n",
      results.size(), failed_of(results), seconds);
  for (const auto& [module, tests] : suites) {
    std::string cases;
    std::size_t failed = 0;
    double took = 0;
    for (const TimedResult* each : tests) {
      const TestResult& result = each->result;
      const compiler::Span span = result.test->tree->name.span;
      const compiler::SourceFile& file = sources.file(span.file);
      took += each->seconds;
      failed += result.passed() ? 0 : 1;
      cases += fmt::format(
          "    <testcase classname=\"{}\" name=\"{}\" file=\"{}\" line=\"{}\" time=\"{:.3f}\"",
          xml(module), xml(result.test->title), xml(file.path()), file.position(span.begin).line,
          each->seconds);
      if (result.passed()) {
        cases += "/>\n";
        continue;
      }
      cases += ">\n";
      for (const TestFailure& failure : result.failures) {
        cases += fmt::format("      <failure message=\"{}\">{}</failure>\n", xml(failure.message),
                             xml(failure_text(failure, sources, false)));
      }
      cases += "    </testcase>\n";
    }
    out += fmt::format("  <testsuite name=\"{}\" tests=\"{}\" failures=\"{}\" time=\"{:.3f}\">\n",
                       xml(module), tests.size(), failed, took);
    out += cases + "  </testsuite>\n";
  }
  return out + "</testsuites>\n";
}

}  // namespace sluice::flowc
