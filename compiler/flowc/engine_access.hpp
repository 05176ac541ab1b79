// What the commands that talk to an engine have in common: where it is, with what token, and what
// it answers when it refuses.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <utility>
#include <vector>

#include "gateway/client/engine_client.hpp"

namespace sluice::flowc {

struct EngineOptions {
  std::string url;    // --engine, SLUICE_URL, or http://127.0.0.1:8080
  std::string token;  // --token or SLUICE_TOKEN
};
void add_engine_options(CLI::App& command, EngineOptions& options);

// The members of a problem (RFC 9457) that people are told.
struct Problem {
  std::string code;
  std::string detail;
  std::vector<std::string> errors;  // "/text: …"
  std::string_view diagnostics;     // raw JSON array, a view into the body; may be empty
};
Problem parse_problem(std::string_view body);

// One request with the token, if there is one. Error: a sentence.
tl::expected<gateway::ClientResponse, std::string> call(const gateway::EngineUrl& url,
                                                        const EngineOptions& options,
                                                        gateway::ClientRequest request);

// Each prints why nothing came of it; returns the exit code. `errors` are places in the data with
// what is wrong there.
int print_errors(std::string_view detail, std::string_view code,
                 const std::vector<std::string>& errors);
int report_refusal(const gateway::ClientResponse& response, const EngineOptions& options);
int report_unreachable(const std::string& why);

// "?a=1&b=2" of the pairs whose value is not empty.
std::string query_of(const std::vector<std::pair<std::string_view, std::string>>& pairs);

// What follows a JSON argument of `-`: standard input. Error: a sentence, if it is not JSON.
tl::expected<void, std::string> read_json_argument(std::string& json, std::string_view what);

// A key that no other call gives.
std::string fresh_id();

// ---- members of the engine's answers; empty where there is none of that kind
std::string text_member(std::string_view json, std::string_view name);
std::string_view raw_member(std::string_view json, std::string_view name);
std::vector<std::string> texts_of(std::string_view array);
std::vector<std::string_view> elements_of(std::string_view array);

// The claims of a token as JSON, unverified: only to tell which way to go.
std::string claims_of(const std::string& token);
bool has_word(std::string_view words, std::string_view word);

// ---- a run as the engine tells it (GET /v1/runs/{id})
bool is_final(std::string_view state);
// What a run that has not ended is at, or waits for: "it is running, at …".
std::string standing_of(std::string_view run);

}  // namespace sluice::flowc
