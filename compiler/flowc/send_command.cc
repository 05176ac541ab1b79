// flowc send: one event from the shell; with --wait, until the runs that it started have answered.
#include <fmt/format.h>

#include <chrono>
#include <memory>
#include <optional>
#include <set>
#include <thread>

#include "compiler/flowc/command.hpp"
#include "compiler/flowc/engine_access.hpp"
#include "vm/json_reader.hpp"

namespace sluice::flowc {
namespace {

using std::chrono::steady_clock;

constexpr std::chrono::milliseconds kPoll{100};
// How often the runs are asked for while their deliveries are awaited.
constexpr std::chrono::milliseconds kAskEvery{2000};

struct SendOptions {
  std::string topic;
  std::string json;
  std::string client;
  std::string tenant;
  std::string id;
  unsigned event_version = 0;  // 0: the newest
  EngineOptions engine;
  bool wait = false;
  unsigned seconds = 60;
};

// How far the waiting for the event's runs has come.
struct Progress {
  steady_clock::time_point until;
  bool accepted = false;
  std::set<std::string> open;  // runs that have not answered
  int worst = kDone;           // of those that have
};

std::optional<gateway::ClientResponse> ask_run(const gateway::EngineUrl& url,
                                               const SendOptions& options, const std::string& run) {
  auto response = call(url, options.engine, {.target = "/v1/runs/" + run});
  if (!response || response->status != 200) return std::nullopt;
  return std::move(*response);
}

// A run that has ended is no longer waited for, and for one that joined another that one is.
// True: it had ended, and has an answer of its own.
bool settle(Progress& progress, const std::string& run, std::string_view body) {
  const std::string state = text_member(body, "state");
  if (!is_final(state)) return false;
  progress.open.erase(run);
  if (state == "joined") {
    progress.open.insert(text_member(body, "joined"));
    return false;
  }
  if (state != "completed") progress.worst = std::max(progress.worst, kFindings);
  return true;
}

// ---- what to do when the outcome is not known

// The same event with the same id is never taken twice, and waits again.
void print_next(const SendOptions& options, const Progress& progress) {
  for (const std::string& run : progress.open)
    fmt::print(stderr, "  `flowc runs {}` tells how it goes on\n", run);
  fmt::print(stderr, "  the same command with --id {} {}, and takes the event only once\n",
             options.id, progress.accepted ? "waits on" : "asks again");
}

int time_is_up(const gateway::EngineUrl& url, const SendOptions& options,
               const Progress& progress) {
  if (!progress.accepted) {
    fail(kUnreachable,
         fmt::format("no answer within {} s: the event may have been accepted, or not",
                     options.seconds));
    print_next(options, progress);
    return kUnreachable;
  }
  for (const std::string& run : progress.open) {
    const auto response = ask_run(url, options, run);
    fail(kFindings, fmt::format("the event was accepted, but run {} has not ended after {} s: {}",
                                run, options.seconds,
                                response ? standing_of(response->body)
                                         : std::string("the engine does not say why")));
  }
  print_next(options, progress);
  return kFindings;
}

int connection_lost(const SendOptions& options, const Progress& progress, const std::string& why) {
  fail(kUnreachable,
       fmt::format("{}; the event {}", why,
                   progress.accepted ? "was accepted, and its run goes on without this socket"
                                     : "may have been accepted, or not"));
  print_next(options, progress);
  return kUnreachable;
}

// ---- over HTTP: admins, and whoever does not wait

// Asks for the runs until they have ended; prints what each came to.
int await_runs(const gateway::EngineUrl& url, const SendOptions& options, Progress& progress) {
  while (!progress.open.empty()) {
    if (steady_clock::now() >= progress.until) return time_is_up(url, options, progress);
    const std::string run = *progress.open.begin();
    const auto response = call(url, options.engine, {.target = "/v1/runs/" + run});
    if (!response) return connection_lost(options, progress, response.error());
    if (response->status != 200 && response->status != 503)
      return report_refusal(*response, options.engine);
    if (response->status == 200 && settle(progress, run, response->body)) {
      fmt::print("{}\n", response->body);
      continue;
    }
    std::this_thread::sleep_for(kPoll);
  }
  return progress.worst;
}

int send_over_http(const gateway::EngineUrl& url, const SendOptions& options, Progress& progress) {
  const std::string version =
      options.event_version == 0 ? "" : std::to_string(options.event_version);
  const auto response = call(
      url, options.engine,
      {.method = "POST",
       .target =
           "/v1/topics/" + gateway::url_escape(options.topic) + "/events" +
           query_of({{"client", options.client}, {"tenant", options.tenant}, {"version", version}}),
       .headers = {{"Content-Type", "application/json"}, {"Idempotency-Key", options.id}},
       .body = options.json});
  if (!response) return report_unreachable(response.error());
  if (response->status != 200 && response->status != 202)
    return report_refusal(*response, options.engine);
  fmt::print("{}\n", response->body);
  std::fflush(stdout);
  if (!options.wait) return kDone;
  progress.accepted = true;
  for (std::string& run : texts_of(raw_member(response->body, "runs")))
    progress.open.insert(std::move(run));
  return await_runs(url, options, progress);
}

// ---- over the client socket: deliveries as they come

int print_rejected(const std::string& frame) {
  std::vector<std::string> errors;
  for (const std::string_view error : elements_of(raw_member(frame, "errors"))) {
    const std::string path = text_member(error, "path");
    errors.push_back((path.empty() ? "" : path + ": ") + text_member(error, "message"));
  }
  return print_errors(text_member(frame, "message"), text_member(frame, "code"), errors);
}

std::string send_frame(const SendOptions& options) {
  std::string frame = R"({"t":"send","id":)";
  vm::append_json_string(options.id, frame);
  frame += ",\"topic\":";
  vm::append_json_string(options.topic, frame);
  if (options.event_version != 0) frame += fmt::format(",\"version\":{}", options.event_version);
  return frame + ",\"data\":" + options.json + "}";
}

// Deliveries do not tell of a run that joined another, nor of what was delivered before.
void ask_all(const gateway::EngineUrl& url, const SendOptions& options, Progress& progress) {
  for (const std::string& run : std::set<std::string>(progress.open)) {
    const auto response = ask_run(url, options, run);
    if (response && settle(progress, run, response->body)) fmt::print("{}\n", response->body);
  }
}

// The outcomes of a repeat may have been delivered and acknowledged long ago: the runs are asked
// for. Those that still go on will deliver theirs here.
void take_accepted(const gateway::EngineUrl& url, const SendOptions& options, Progress& progress,
                   const std::string& frame) {
  progress.accepted = true;
  fmt::print("{}\n", frame);
  for (std::string& run : texts_of(raw_member(frame, "runs"))) progress.open.insert(std::move(run));
  if (raw_member(frame, "duplicate") == "true") ask_all(url, options, progress);
}

void take_delivery(const gateway::EngineUrl& url, const SendOptions& options, Progress& progress,
                   const std::string& frame) {
  const std::string run = text_member(frame, "run");
  if (!progress.open.contains(run)) return;
  fmt::print("{}\n", frame);
  if (raw_member(frame, "outcome") != "true") return;
  progress.open.erase(run);
  // The answer does not say whether the run failed.
  if (const auto response = ask_run(url, options, run)) settle(progress, run, response->body);
}

int send_over_socket(const gateway::EngineUrl& url, const SendOptions& options,
                     Progress& progress) {
  auto socket = gateway::EngineSocket::open(url, options.engine.token);
  if (!socket) return report_unreachable(socket.error());
  (void)socket->send(R"({"t":"hello"})");
  while (!progress.accepted || !progress.open.empty()) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(progress.until - steady_clock::now());
    if (left.count() <= 0) return time_is_up(url, options, progress);
    const auto slice = std::min(left, kAskEvery);
    const auto slice_ends = steady_clock::now() + slice;
    const auto frame = socket->receive(slice);
    if (!frame) {
      // The socket waits in whole milliseconds.
      if (steady_clock::now() + std::chrono::milliseconds(5) < slice_ends)
        return connection_lost(options, progress, frame.error());
      ask_all(url, options, progress);
      continue;
    }
    const std::string t = text_member(*frame, "t");
    if (t == "welcome") {
      (void)socket->send(send_frame(options));
    } else if (t == "accepted") {
      take_accepted(url, options, progress, *frame);
    } else if (t == "rejected") {
      return print_rejected(*frame);
    } else if (t == "error") {
      return fail(kFindings, fmt::format("{} ({})", text_member(*frame, "message"),
                                         text_member(*frame, "code")));
    } else if (t == "delivery") {
      take_delivery(url, options, progress, *frame);
    }
    std::fflush(stdout);
  }
  return progress.worst;
}

int send(SendOptions options) {
  const auto url = gateway::parse_engine_url(options.engine.url);
  if (!url) return fail(kUsage, url.error());
  if (auto json = read_json_argument(options.json, "the event"); !json)
    return fail(kUsage, json.error());
  if (options.id.empty()) options.id = fresh_id();
  const std::string claims = claims_of(options.engine.token);
  const std::string scope = text_member(claims, "scope");
  if (has_word(scope, "admin") && text_member(claims, "tenant") == "*" && options.tenant.empty()) {
    return fail(
        kUsage,
        "the token is an admin's for all tenants: say in which tenant with --tenant, and on "
        "whose behalf with --client");
  }
  const bool is_self = options.client.empty() || options.client == text_member(claims, "sub");
  Progress progress{.until = steady_clock::now() + std::chrono::seconds(options.seconds)};
  if (options.wait && has_word(scope, "client") && is_self)
    return send_over_socket(*url, options, progress);
  return send_over_http(*url, options, progress);
}

}  // namespace

void add_send_command(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<SendOptions>();
  CLI::App* command = app.add_subcommand("send", "Sends one event to a topic");
  command->add_option("TOPIC", options->topic, "Name of the topic")->required();
  command->add_option("JSON", options->json, "The event, or - for standard input")->required();
  add_engine_options(*command, options->engine);
  command->add_option("--client", options->client, "On whose behalf, with an admin's token")
      ->type_name("NAME");
  command->add_option("--tenant", options->tenant, "In which tenant, with a token for all of them")
      ->type_name("NAME");
  command->add_option("--id", options->id, "Idempotency key; a fresh one otherwise")
      ->type_name("KEY");
  command
      ->add_option("--event-version", options->event_version,
                   "Version of the event that the JSON is in; the newest otherwise")
      ->type_name("N");
  command->add_flag("--wait", options->wait,
                    "Print deliveries until the runs have answered; exit code 1 if one failed");
  command->add_option("--timeout", options->seconds, "Seconds that --wait lasts at most")
      ->capture_default_str()
      ->type_name("N")
      ->check(CLI::Range(1, 86400).description(""));
  command->footer(
      "\nExamples:\n"
      "  flowc send asks '{\"text\":\"hello\"}' --wait\n"
      "  flowc send asks - --client alice --tenant dev < ask.json");
  command->callback([options, &exit_code] { exit_code = send(*options); });
}

}  // namespace sluice::flowc
