// What the commands that talk to an engine have in common: where it is, with what token, and what
// it answers when it refuses.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <string_view>
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

// Prints why the engine refused; returns the exit code.
int report_refusal(const gateway::ClientResponse& response);

}  // namespace sluice::flowc
