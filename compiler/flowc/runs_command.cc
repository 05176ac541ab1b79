// flowc runs: lists the runs of an engine, or tells one of them with its history.
#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "compiler/flowc/command.hpp"
#include "compiler/flowc/engine_access.hpp"

namespace sluice::flowc {
namespace {

constexpr std::size_t kPageMax = 1000;  // what the engine gives at a time

struct RunsOptions {
  std::string run;
  std::string status, flow, client, tenant, correlation, since;
  std::size_t limit = 20;
  EngineOptions engine;
  bool json = false;
};

// What there is to say about it beside its state.
std::string remark_of(std::string_view run) {
  const std::string state = text_member(run, "state");
  if (!is_final(state)) {
    const std::string_view lacks = raw_member(run, "no_worker");
    const std::string step = text_member(run, "step");
    if (lacks.empty()) return step;
    return fmt::format("{}: no worker serves `{}` (pool `{}`)", step, text_member(lacks, "task"),
                       text_member(lacks, "pool"));
  }
  if (const std::string why = text_member(run, "why"); !why.empty()) return why;
  return text_member(raw_member(run, "outcome"), "name");
}

// Rows in columns as wide as they need; the last one ends where its text does.
void print_table(const std::vector<std::vector<std::string>>& rows) {
  std::vector<std::size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  for (const auto& row : rows) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i)
      line += fmt::format("{:<{}}", row[i], i + 1 < row.size() ? widths[i] + 2 : 0);
    while (!line.empty() && line.back() == ' ') line.pop_back();
    fmt::print("{}\n", line);
  }
}

// The value as it stands: texts without their quotes.
std::string plain(std::string_view object, std::string_view name) {
  const std::string_view raw = raw_member(object, name);
  if (raw == "null") return {};
  return raw.starts_with('"') ? text_member(object, name) : std::string(raw);
}

int list_runs(const gateway::EngineUrl& url, const RunsOptions& options) {
  std::vector<std::vector<std::string>> rows = {
      {"RUN", "STATE", "FLOW", "CLIENT", "STARTED", "WHERE"}};
  std::size_t left = options.limit;
  std::string cursor;
  do {
    const auto response = call(
        url, options.engine,
        {.target = "/v1/runs" + query_of({{"status", options.status},
                                          {"flow", options.flow},
                                          {"client", options.client},
                                          {"tenant", options.tenant},
                                          {"correlation", options.correlation},
                                          {"since", options.since},
                                          {"cursor", cursor},
                                          {"limit", std::to_string(std::min(left, kPageMax))}})});
    if (!response) return report_unreachable(response.error());
    if (response->status != 200) return report_refusal(*response, options.engine);
    for (const std::string_view run : elements_of(raw_member(response->body, "items"))) {
      --left;
      if (options.json) {
        fmt::print("{}\n", run);
      } else {
        rows.push_back({plain(run, "id"), plain(run, "state"), plain(run, "flow"),
                        plain(run, "client"), plain(run, "started"), remark_of(run)});
      }
    }
    cursor = text_member(response->body, "next");
  } while (!cursor.empty() && left > 0);
  if (options.json) return kDone;
  if (rows.size() == 1) {
    fmt::print(stderr, "no runs\n");
  } else {
    print_table(rows);
    if (!cursor.empty()) fmt::print(stderr, "older ones: --limit\n");
  }
  return kDone;
}

void print_run(std::string_view run) {
  std::vector<std::vector<std::string>> rows;
  const auto add = [&](std::string name, std::string value) {
    if (!value.empty()) rows.push_back({std::move(name), std::move(value)});
  };
  const std::string state = text_member(run, "state");
  add("run", plain(run, "id"));
  add("flow", plain(run, "flow"));
  add("tenant", plain(run, "tenant"));
  add("client", plain(run, "client"));
  add("state", state);
  if (!is_final(state)) add("", standing_of(run));
  add("why", plain(run, "why"));
  const std::string_view outcome = raw_member(run, "outcome");
  if (!outcome.empty())
    add("outcome", plain(outcome, "name") + " " + std::string(raw_member(outcome, "data")));
  for (const char* name : {"started", "ended", "wakes", "correlation"}) add(name, plain(run, name));
  print_table(rows);
}

void print_history(std::string_view body) {
  std::vector<std::vector<std::string>> rows = {{"TIME", "KIND", "STEP", "DATA"}};
  for (const std::string_view record : elements_of(raw_member(body, "items"))) {
    std::string step = plain(record, "step");
    if (const std::string attempt = plain(record, "attempt"); !attempt.empty())
      step += " (" + attempt + ")";
    std::string kind = plain(record, "kind");
    if (const std::string verdict = plain(record, "verdict"); !verdict.empty())
      kind += " (" + verdict + ")";
    const std::string_view data = raw_member(record, "data");
    rows.push_back({plain(record, "time"), kind, step, data == "{}" ? "" : std::string(data)});
  }
  fmt::print("\n");
  print_table(rows);
  if (raw_member(body, "complete") == "false")
    fmt::print(stderr, "its older records were dropped by retention\n");
}

int tell_run(const gateway::EngineUrl& url, const RunsOptions& options) {
  const std::string target = "/v1/runs/" + gateway::url_escape(options.run);
  const std::string query = query_of({{"tenant", options.tenant}});
  const auto run = call(url, options.engine, {.target = target + query});
  if (!run) return report_unreachable(run.error());
  if (run->status != 200) return report_refusal(*run, options.engine);
  if (options.json) {
    fmt::print("{}\n", run->body);
    return kDone;
  }
  print_run(run->body);
  const auto history = call(url, options.engine, {.target = target + "/history" + query});
  if (!history) return report_unreachable(history.error());
  if (history->status != 200) return report_refusal(*history, options.engine);
  print_history(history->body);
  return kDone;
}

int runs(const RunsOptions& options) {
  const auto url = gateway::parse_engine_url(options.engine.url);
  if (!url) return fail(kUsage, url.error());
  return options.run.empty() ? list_runs(*url, options) : tell_run(*url, options);
}

}  // namespace

void add_runs_command(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<RunsOptions>();
  CLI::App* command = app.add_subcommand("runs", "Lists runs, newest first, or tells one of them");
  command->add_option("RUN", options->run, "Id of a run; without it, runs are listed");
  add_engine_options(*command, options->engine);
  const auto filter = [&](const char* name, std::string& value, const char* what) {
    command->add_option(name, value, what)->type_name("TEXT");
  };
  filter("--status", options->status, "Only those that are running, waiting, failed, …");
  filter("--flow", options->flow, "Only those of this flow");
  filter("--client", options->client, "Only this client's");
  filter("--tenant", options->tenant, "Only this tenant's");
  filter("--correlation", options->correlation, "Only those of this conversation");
  filter("--since", options->since, "Only those that began then or later (RFC 3339)");
  command->add_option("--limit", options->limit, "So many at most")
      ->capture_default_str()
      ->type_name("N")
      ->check(CLI::Range(1, 1'000'000).description(""));
  command->add_flag("--json", options->json, "One JSON object a line, as the engine gives it");
  command->footer(
      "\nExamples:\n"
      "  flowc runs --status failed\n"
      "  flowc runs 0190f5fe-7c00-7a00-8000-000000000001");
  command->callback([options, &exit_code] { exit_code = runs(*options); });
}

}  // namespace sluice::flowc
