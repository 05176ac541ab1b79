#include "compiler/flowc/engine_access.hpp"

#include <fmt/format.h>

#include "compiler/flowc/command.hpp"
#include "vm/json_reader.hpp"

namespace sluice::flowc {
namespace {

using vm::JsonKind;
using vm::JsonReader;

std::string text_at(JsonReader& reader) {
  std::string text;
  if (reader.kind() == JsonKind::string) {
    reader.read_string(&text);
  } else {
    reader.skip();
  }
  return text;
}

void read_errors(JsonReader& reader, std::vector<std::string>& errors) {
  if (!reader.begin_array()) return;
  while (reader.next_element()) {
    std::string path;
    std::string message;
    std::string_view key;
    if (!reader.begin_object()) return;
    while (reader.next_key(&key)) {
      const bool is_path = key == "path";
      const bool is_message = key == "message";
      std::string text = text_at(reader);
      if (is_path) path = std::move(text);
      if (is_message) message = std::move(text);
    }
    errors.push_back(path.empty() ? message : path + ": " + message);
  }
}

}  // namespace

void add_engine_options(CLI::App& command, EngineOptions& options) {
  options.url = "http://127.0.0.1:8080";
  command.add_option("--engine", options.url, "URL of the engine")
      ->envname("SLUICE_URL")
      ->capture_default_str();
  command.add_option("--token", options.token, "Token; `flowd token` makes one")
      ->envname("SLUICE_TOKEN");
}

Problem parse_problem(std::string_view body) {
  Problem problem;
  JsonReader reader(body);
  std::string_view key;
  if (reader.kind() != JsonKind::object || !reader.begin_object()) return problem;
  while (reader.next_key(&key)) {
    if (key == "code") {
      problem.code = text_at(reader);
    } else if (key == "detail") {
      problem.detail = text_at(reader);
    } else if (key == "errors" && reader.kind() == JsonKind::array) {
      read_errors(reader, problem.errors);
    } else if (key == "diagnostics") {
      reader.skip(&problem.diagnostics);
    } else {
      reader.skip();
    }
  }
  return problem;
}

int report_refusal(const gateway::ClientResponse& response) {
  const Problem problem = parse_problem(response.body);
  if (problem.code.empty()) {
    return fail(kFindings, fmt::format("the engine answered HTTP {}: {}", response.status,
                                       response.body.substr(0, 200)));
  }
  fail(kFindings, fmt::format("{} ({})", problem.detail, problem.code));
  for (const std::string& error : problem.errors) fmt::print(stderr, "  {}\n", error);
  return response.status == 503 ? kUnreachable : kFindings;
}

}  // namespace sluice::flowc
