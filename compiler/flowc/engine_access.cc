#include "compiler/flowc/engine_access.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <iostream>
#include <iterator>

#include "compiler/flowc/command.hpp"
#include "gateway/auth/base64.hpp"
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

tl::expected<gateway::ClientResponse, std::string> call(const gateway::EngineUrl& url,
                                                        const EngineOptions& options,
                                                        gateway::ClientRequest request) {
  if (!options.token.empty())
    request.headers.emplace_back("Authorization", "Bearer " + options.token);
  return gateway::request(url, request);
}

int print_errors(std::string_view detail, std::string_view code,
                 const std::vector<std::string>& errors) {
  if (errors.empty()) return fail(kFindings, fmt::format("{} ({})", detail, code));
  // The detail only repeats the first.
  if (errors.size() == 1) return fail(kFindings, fmt::format("{} ({})", errors[0], code));
  fail(kFindings, fmt::format("{} things are wrong with the data ({})", errors.size(), code));
  for (const std::string& error : errors) fmt::print(stderr, "  {}\n", error);
  return kFindings;
}

namespace {

// Whose token it is, for whom it was refused.
std::string about_token(const std::string& token) {
  if (token.empty()) return "no token was given: --token, or SLUICE_TOKEN as `flowd dev` prints it";
  const std::string claims = claims_of(token);
  if (claims.empty()) return "the token is --token, or else SLUICE_TOKEN; `flowd token` makes one";
  const std::string client = text_member(claims, "sub");
  return fmt::format("the token (--token, or SLUICE_TOKEN) has scope `{}`, tenant `{}`{}",
                     text_member(claims, "scope"), text_member(claims, "tenant"),
                     client.empty() ? "" : ", client `" + client + "`");
}

}  // namespace

int report_refusal(const gateway::ClientResponse& response, const EngineOptions& options) {
  const Problem problem = parse_problem(response.body);
  if (problem.code.empty()) {
    return fail(kFindings, fmt::format("the engine answered HTTP {}: {}", response.status,
                                       response.body.substr(0, 200)));
  }
  print_errors(problem.detail, problem.code, problem.errors);
  if (response.status == 401 || response.status == 403)
    fmt::print(stderr, "  {}\n", about_token(options.token));
  return response.status == 503 ? kUnreachable : kFindings;
}

int report_unreachable(const std::string& why) {
  fail(kUnreachable, why);
  fmt::print(stderr, "  --engine, or SLUICE_URL, says where it is; `flowd dev` starts one\n");
  return kUnreachable;
}

std::string query_of(const std::vector<std::pair<std::string_view, std::string>>& pairs) {
  std::string query;
  for (const auto& [name, value] : pairs) {
    if (value.empty()) continue;
    query += fmt::format("{}{}={}", query.empty() ? "?" : "&", name, gateway::url_escape(value));
  }
  return query;
}

tl::expected<void, std::string> read_json_argument(std::string& json, std::string_view what) {
  if (json == "-") {
    json.assign(std::istreambuf_iterator<char>(std::cin), std::istreambuf_iterator<char>());
  }
  JsonReader reader(json);
  if (reader.skip() && reader.finish()) return {};
  return tl::unexpected(
      fmt::format("{} is not JSON: {} at byte {}", what, reader.error(), reader.error_offset()));
}

std::string fresh_id() {
  return fmt::format("flowc-{}-{}", std::chrono::steady_clock::now().time_since_epoch().count(),
                     getpid());
}

std::string text_member(std::string_view json, std::string_view name) {
  JsonReader reader(json);
  std::string_view key;
  std::string text;
  if (reader.kind() != JsonKind::object || !reader.begin_object()) return text;
  while (reader.next_key(&key)) {
    if (key == name && reader.kind() == JsonKind::string) {
      reader.read_string(&text);
    } else {
      reader.skip();
    }
  }
  return text;
}

std::string_view raw_member(std::string_view json, std::string_view name) {
  JsonReader reader(json);
  std::string_view key;
  std::string_view raw;
  if (reader.kind() != JsonKind::object || !reader.begin_object()) return raw;
  while (reader.next_key(&key)) {
    if (key == name) {
      reader.skip(&raw);
    } else {
      reader.skip();
    }
  }
  return raw;
}

std::vector<std::string> texts_of(std::string_view array) {
  std::vector<std::string> texts;
  JsonReader reader(array);
  if (reader.kind() != JsonKind::array || !reader.begin_array()) return texts;
  while (reader.next_element()) reader.read_string(&texts.emplace_back());
  return texts;
}

std::vector<std::string_view> elements_of(std::string_view array) {
  std::vector<std::string_view> elements;
  JsonReader reader(array);
  if (reader.kind() != JsonKind::array || !reader.begin_array()) return elements;
  while (reader.next_element()) {
    if (!reader.skip(&elements.emplace_back())) break;
  }
  return elements;
}

std::string claims_of(const std::string& token) {
  const std::size_t first = token.find('.');
  const std::size_t second = token.find('.', first + 1);
  if (first == std::string::npos || second == std::string::npos) return {};
  return gateway::base64url_decode(std::string_view(token).substr(first + 1, second - first - 1))
      .value_or("");
}

bool has_word(std::string_view words, std::string_view word) {
  return (" " + std::string(words) + " ").find(" " + std::string(word) + " ") != std::string::npos;
}

bool is_final(std::string_view state) {
  return state == "completed" || state == "failed" || state == "cancelled" ||
         state == "superseded" || state == "joined";
}

std::string standing_of(std::string_view run) {
  if (const std::string_view lacks = raw_member(run, "no_worker"); !lacks.empty()) {
    return fmt::format("it waits for a worker: nobody serves task `{}` (pool `{}`)",
                       text_member(lacks, "task"), text_member(lacks, "pool"));
  }
  std::string text = "it is " + text_member(run, "state");
  if (const std::string step = text_member(run, "step"); !step.empty()) {
    text += ", at " + step;
    if (const std::string_view attempt = raw_member(run, "attempt"); !attempt.empty())
      text += fmt::format(" (attempt {})", attempt);
  }
  if (const std::string why = text_member(run, "why"); !why.empty()) text += "; last: " + why;
  return text;
}

}  // namespace sluice::flowc
