// flowc signal and flowc cancel: what can be said to a run that goes on.
#include <fmt/format.h>

#include <memory>

#include "compiler/flowc/command.hpp"
#include "compiler/flowc/engine_access.hpp"
#include "vm/json_reader.hpp"

namespace sluice::flowc {
namespace {

struct VerbOptions {
  std::string run;
  std::string event;
  std::string json = "{}";
  std::string tenant;
  std::string id;
  unsigned event_version = 0;  // 0: the newest
  EngineOptions engine;
};

int say(const VerbOptions& options, std::string_view verb, std::string body) {
  const auto url = gateway::parse_engine_url(options.engine.url);
  if (!url) return fail(kUsage, url.error());
  gateway::ClientRequest request{
      .method = "POST",
      .target = fmt::format("/v1/runs/{}/{}{}", gateway::url_escape(options.run), verb,
                            query_of({{"tenant", options.tenant}})),
      .headers = {{"Content-Type", "application/json"}},
      .body = std::move(body)};
  request.headers.emplace_back("Idempotency-Key", options.id.empty() ? fresh_id() : options.id);
  const auto response = call(*url, options.engine, std::move(request));
  if (!response) return report_unreachable(response.error());
  if (response->status != 200 && response->status != 202)
    return report_refusal(*response, options.engine);
  fmt::print("{}\n", response->body);
  return kDone;
}

int send_signal(VerbOptions options) {
  if (auto json = read_json_argument(options.json, "the event"); !json)
    return fail(kUsage, json.error());
  std::string body = R"({"event":)";
  vm::append_json_string(options.event, body);
  if (options.event_version != 0) body += fmt::format(",\"version\":{}", options.event_version);
  return say(options, "signal", body + ",\"data\":" + options.json + "}");
}

void add_common(CLI::App& command, VerbOptions& options) {
  add_engine_options(command, options.engine);
  command.add_option("--tenant", options.tenant, "Whose run it is, with a token for all tenants")
      ->type_name("NAME");
  command.add_option("--id", options.id, "Idempotency key; a fresh one otherwise")
      ->type_name("KEY");
}

}  // namespace

void add_signal_command(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<VerbOptions>();
  CLI::App* command = app.add_subcommand("signal", "Sends an event to a run that receives it");
  command->add_option("RUN", options->run, "Id of the run; `flowc runs` lists them")->required();
  command->add_option("EVENT", options->event, "Name of the event that a `receive` waits for")
      ->required();
  command->add_option("JSON", options->json, "The event, or - for standard input")
      ->capture_default_str();
  add_common(*command, *options);
  command
      ->add_option("--event-version", options->event_version,
                   "Version of the event that the JSON is in; the newest otherwise")
      ->type_name("N");
  command->footer(
      "\nExamples:\n"
      "  flowc signal 0190f5fe-7c00-7a00-8000-000000000001 Approved '{\"by\":\"ada\"}'");
  command->callback([options, &exit_code] { exit_code = send_signal(*options); });
}

void add_cancel_command(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<VerbOptions>();
  CLI::App* command =
      app.add_subcommand("cancel", "Cancels a run; what its steps did is compensated");
  command->add_option("RUN", options->run, "Id of the run; `flowc runs` lists them")->required();
  add_common(*command, *options);
  command->footer("\nExamples:\n  flowc cancel 0190f5fe-7c00-7a00-8000-000000000001");
  command->callback([options, &exit_code] { exit_code = say(*options, "cancel", ""); });
}

}  // namespace sluice::flowc
