// flowc deploy: sends a program's sources to an engine, which compiles them; what it finds is
// printed as `check` prints it.
#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <optional>

#include "compiler/flowc/command.hpp"
#include "compiler/flowc/engine_access.hpp"
#include "compiler/flowc/inputs.hpp"
#include "vm/json_reader.hpp"

namespace sluice::flowc {
namespace {

using vm::JsonKind;
using vm::JsonReader;

struct DeployOptions {
  std::vector<std::string> paths;
  EngineOptions engine;
  bool force = false;
  Format format = Format::kText;
};

// Module a.b is a/b.flow to the engine, wherever its file lies here.
std::string wire_path(const compiler::SourceFile& file) {
  std::string path = file.module();
  std::replace(path.begin(), path.end(), '.', '/');
  return path + std::string(kSourceExtension);
}

std::string sources_json(const compiler::SourceSet& sources) {
  std::string body = "{";
  for (const compiler::SourceFile& file : sources) {
    if (body.size() > 1) body += ',';
    vm::append_json_string(wire_path(file), body);
    body += ':';
    vm::append_json_string(file.text(), body);
  }
  return body + "}";
}

// One diagnostic of the engine's answer.
struct Finding {
  std::string code, message, file, label, note;
  std::int64_t line = 1, column = 1, end_line = 1, end_column = 1;
  std::string text;  // of a label
  std::vector<Finding> labels;
};

Finding read_finding(JsonReader& reader) {
  Finding finding;
  std::string_view key;
  if (!reader.begin_object()) return finding;
  while (reader.next_key(&key)) {
    std::string* text = key == "code"      ? &finding.code
                        : key == "message" ? &finding.message
                        : key == "file"    ? &finding.file
                        : key == "label"   ? &finding.label
                        : key == "note"    ? &finding.note
                        : key == "text"    ? &finding.text
                                           : nullptr;
    std::int64_t* number = key == "line"         ? &finding.line
                           : key == "column"     ? &finding.column
                           : key == "end_line"   ? &finding.end_line
                           : key == "end_column" ? &finding.end_column
                                                 : nullptr;
    if (text != nullptr && reader.kind() == JsonKind::string) {
      reader.read_string(text);
    } else if (number != nullptr && reader.kind() == JsonKind::number) {
      reader.read_int(number);
    } else if (key == "labels" && reader.kind() == JsonKind::array) {
      reader.begin_array();
      while (reader.next_element()) finding.labels.push_back(read_finding(reader));
    } else {
      reader.skip();
    }
  }
  return finding;
}

// A place in code points as an offset; the end of the line where there are not so many.
std::uint32_t offset_of(const compiler::SourceFile& file, std::int64_t line, std::int64_t column) {
  const auto wanted =
      static_cast<std::uint32_t>(std::clamp<std::int64_t>(line, 1, file.line_count()));
  const std::string_view text = file.line_text(wanted);
  std::size_t at = 0;
  for (std::int64_t i = 1; i < column && at < text.size(); ++i) {
    ++at;
    while (at < text.size() && (static_cast<unsigned char>(text[at]) & 0xc0) == 0x80) ++at;
  }
  return static_cast<std::uint32_t>(file.line_begin(wanted) + at);
}

std::optional<compiler::Span> span_of(const compiler::SourceSet& sources, const Finding& finding) {
  for (const compiler::SourceFile& file : sources) {
    if (wire_path(file) != finding.file) continue;
    const std::uint32_t begin = offset_of(file, finding.line, finding.column);
    const std::uint32_t end = offset_of(file, finding.end_line, finding.end_column);
    return compiler::Span{file.id(), begin, std::max(begin, end)};
  }
  return std::nullopt;
}

// What this flowc does not know (a code of a newer engine) is printed plainly.
void print_findings(std::string_view json, const compiler::SourceSet& sources, Format format) {
  compiler::Diagnostics diagnostics;
  JsonReader reader(json);
  if (reader.begin_array()) {
    while (reader.next_element()) {
      const Finding finding = read_finding(reader);
      const auto code = compiler::find_code(finding.code);
      const auto span = span_of(sources, finding);
      if (!code || !span) {
        fmt::print(stderr, "{}:{}:{}: {}: {}\n", finding.file, finding.line, finding.column,
                   finding.code, finding.message);
        continue;
      }
      compiler::Diagnostic& diagnostic = diagnostics.report(*code, *span, finding.message);
      diagnostic.primary_label = finding.label;
      diagnostic.note = finding.note;
      for (const Finding& label : finding.labels) {
        if (const auto where = span_of(sources, label)) diagnostic.also(*where, label.text);
      }
    }
  }
  print_diagnostics(diagnostics, sources, format);
}

struct Deployed {
  std::string id, hash;
  std::vector<std::string> flows;
  std::string_view diagnostics;
};
Deployed read_deployed(std::string_view body) {
  Deployed deployed;
  JsonReader reader(body);
  std::string_view key;
  if (!reader.begin_object()) return deployed;
  while (reader.next_key(&key)) {
    if (key == "id" && reader.kind() == JsonKind::string) {
      reader.read_string(&deployed.id);
    } else if (key == "hash" && reader.kind() == JsonKind::string) {
      reader.read_string(&deployed.hash);
    } else if (key == "diagnostics") {
      reader.skip(&deployed.diagnostics);
    } else if (key == "flows" && reader.kind() == JsonKind::array) {
      reader.begin_array();
      while (reader.next_element()) reader.read_string(&deployed.flows.emplace_back());
    } else {
      reader.skip();
    }
  }
  return deployed;
}

int deploy(const DeployOptions& options) {
  const auto url = gateway::parse_engine_url(options.engine.url);
  if (!url) return fail(kUsage, url.error());
  compiler::Diagnostics diagnostics;
  const auto sources = read_sources(options.paths, diagnostics);
  if (!sources) return fail(kUsage, sources.error());
  for (const compiler::SourceFile& file : *sources) {
    // Text that is not UTF-8 cannot travel as JSON; it is the same error here as there.
    if (const auto at = file.invalid_utf8_at()) {
      return fail(kFindings, fmt::format("{}: not UTF-8 at byte {}; `flowc check` shows the place",
                                         file.path(), *at));
    }
  }
  if (diagnostics.has_errors()) {
    print_diagnostics(diagnostics, *sources, options.format);
    return kFindings;
  }
  gateway::ClientRequest request{
      .method = "POST",
      .target = options.force ? "/v1/deployments?force=true" : "/v1/deployments",
      .headers = {{"Content-Type", "application/json"}},
      .body = sources_json(*sources)};
  const auto response = call(*url, options.engine, std::move(request));
  if (!response) return report_unreachable(response.error());
  if (response->status != 200 && response->status != 201) {
    const Problem problem = parse_problem(response->body);
    if (problem.code != "compile") {
      const int code = report_refusal(*response, options.engine);
      if (problem.code == "incompatible") {
        fmt::print(stderr,
                   "  --force deploys it all the same: sends to what is gone are refused from then "
                   "on; runs that go on keep the program they began with\n");
      }
      return code;
    }
    print_findings(problem.diagnostics, *sources, options.format);
    return kFindings;
  }
  const Deployed deployed = read_deployed(response->body);
  if (!deployed.diagnostics.empty() && deployed.diagnostics != "[]")
    print_findings(deployed.diagnostics, *sources, options.format);
  fmt::print("deployment {}{}: {} ({})\n", deployed.id,
             response->status == 200 ? ", known already" : "", fmt::join(deployed.flows, ", "),
             deployed.hash.substr(0, 12));
  return kDone;
}

}  // namespace

void add_deploy_command(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<DeployOptions>();
  CLI::App* command =
      app.add_subcommand("deploy", "Sends a program to an engine and makes it the current one");
  command->add_option("PATH", options->paths, "Files, directories, globs, or -")->required();
  add_engine_options(*command, options->engine);
  add_format_option(*command, options->format);
  command->add_flag("--force", options->force,
                    "Even if topics that hold events go, or running runs break");
  command->footer(
      "\nExamples:\n"
      "  flowc deploy examples/support\n"
      "  flowc deploy --engine http://127.0.0.1:8080 --token \"$(flowd token --tenant '*' --scope "
      "admin)\" answer.flow");
  command->callback([options, &exit_code] { exit_code = deploy(*options); });
}

}  // namespace sluice::flowc
