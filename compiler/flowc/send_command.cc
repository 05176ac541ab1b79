// flowc send: one event from the shell; with --wait, until the runs that it started have answered.
#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <iostream>
#include <iterator>
#include <memory>
#include <set>
#include <thread>

#include "compiler/flowc/command.hpp"
#include "compiler/flowc/engine_access.hpp"
#include "gateway/auth/base64.hpp"
#include "vm/json_reader.hpp"

namespace sluice::flowc {
namespace {

using std::chrono::steady_clock;
using vm::JsonKind;
using vm::JsonReader;

constexpr std::chrono::milliseconds kPoll{100};

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

// The claims of a token, unverified: only to tell which way to go.
std::string claims_of(const std::string& token) {
  const std::size_t first = token.find('.');
  const std::size_t second = token.find('.', first + 1);
  if (first == std::string::npos || second == std::string::npos) return {};
  return gateway::base64url_decode(std::string_view(token).substr(first + 1, second - first - 1))
      .value_or("");
}

bool has_word(std::string_view scope, std::string_view word) {
  return (" " + std::string(scope) + " ").find(" " + std::string(word) + " ") != std::string::npos;
}

std::string fresh_id() {
  return fmt::format("flowc-{}-{}", steady_clock::now().time_since_epoch().count(), getpid());
}

bool is_final(std::string_view state) {
  return state == "completed" || state == "failed" || state == "cancelled" || state == "superseded";
}

// ---- over HTTP: admins, and whoever does not wait

gateway::ClientRequest with_token(const SendOptions& options, gateway::ClientRequest request) {
  if (!options.engine.token.empty())
    request.headers.emplace_back("Authorization", "Bearer " + options.engine.token);
  return request;
}

std::string scope_query(const SendOptions& options) {
  std::string query;
  const auto add = [&](std::string_view name, const std::string& value) {
    if (!value.empty())
      query += fmt::format("{}{}={}", query.empty() ? "?" : "&", name, gateway::url_escape(value));
  };
  add("client", options.client);
  add("tenant", options.tenant);
  return query;
}

std::string events_query(const SendOptions& options) {
  std::string query = scope_query(options);
  if (options.event_version == 0) return query;
  return query + fmt::format("{}version={}", query.empty() ? "?" : "&", options.event_version);
}

// Polls one run until it has ended; prints its outcome.
int await_run(const gateway::EngineUrl& url, const SendOptions& options, const std::string& run,
              steady_clock::time_point until) {
  while (steady_clock::now() < until) {
    const auto response = gateway::request(url, with_token(options, {.target = "/v1/runs/" + run}));
    if (!response) return fail(kUnreachable, response.error());
    if (response->status != 200 && response->status != 503) return report_refusal(*response);
    if (const std::string state = text_member(response->body, "state"); is_final(state)) {
      fmt::print("{}\n", response->body);
      return state == "completed" ? kDone : kFindings;
    }
    std::this_thread::sleep_for(kPoll);
  }
  return fail(kFindings, fmt::format("run {} has not ended after {} s", run, options.seconds));
}

int send_over_http(const gateway::EngineUrl& url, const SendOptions& options) {
  const auto until = steady_clock::now() + std::chrono::seconds(options.seconds);
  const auto response = gateway::request(
      url, with_token(options, {.method = "POST",
                                .target = "/v1/topics/" + gateway::url_escape(options.topic) +
                                          "/events" + events_query(options),
                                .headers = {{"Content-Type", "application/json"},
                                            {"Idempotency-Key", options.id}},
                                .body = options.json}));
  if (!response) return fail(kUnreachable, response.error());
  if (response->status != 200 && response->status != 202) return report_refusal(*response);
  fmt::print("{}\n", response->body);
  std::fflush(stdout);
  if (!options.wait) return kDone;
  int worst = kDone;
  for (const std::string& run : texts_of(raw_member(response->body, "runs"))) {
    worst = std::max(worst, await_run(url, options, run, until));
  }
  return worst;
}

// ---- over the client socket: deliveries as they come

int print_rejected(const std::string& frame) {
  fail(kFindings,
       fmt::format("{} ({})", text_member(frame, "message"), text_member(frame, "code")));
  JsonReader reader(raw_member(frame, "errors"));
  if (reader.kind() == JsonKind::array && reader.begin_array()) {
    while (reader.next_element()) {
      std::string_view raw;
      if (!reader.skip(&raw)) break;
      fmt::print(stderr, "  {}: {}\n", text_member(raw, "path"), text_member(raw, "message"));
    }
  }
  return kFindings;
}

std::string send_frame(const SendOptions& options) {
  std::string frame = R"({"t":"send","id":)";
  vm::append_json_string(options.id, frame);
  frame += ",\"topic\":";
  vm::append_json_string(options.topic, frame);
  if (options.event_version != 0) frame += fmt::format(",\"version\":{}", options.event_version);
  return frame + ",\"data\":" + options.json + "}";
}

int send_over_socket(const gateway::EngineUrl& url, const SendOptions& options) {
  const auto until = steady_clock::now() + std::chrono::seconds(options.seconds);
  auto socket = gateway::EngineSocket::open(url, options.engine.token);
  if (!socket) return fail(kUnreachable, socket.error());
  (void)socket->send(R"({"t":"hello"})");
  std::set<std::string> open_runs;
  bool accepted = false;
  while (!accepted || !open_runs.empty()) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(until - steady_clock::now());
    if (left.count() <= 0)
      return fail(kFindings, fmt::format("no outcome after {} s", options.seconds));
    const auto frame = socket->receive(left);
    if (!frame) return fail(accepted ? kFindings : kUnreachable, frame.error());
    const std::string t = text_member(*frame, "t");
    if (t == "welcome") {
      (void)socket->send(send_frame(options));
    } else if (t == "accepted") {
      accepted = true;
      for (std::string& run : texts_of(raw_member(*frame, "runs")))
        open_runs.insert(std::move(run));
      // A repeat's outcome may have been delivered and acknowledged long ago.
      if (raw_member(*frame, "duplicate") == "true") open_runs.clear();
      fmt::print("{}\n", *frame);
    } else if (t == "rejected") {
      return print_rejected(*frame);
    } else if (t == "error") {
      return fail(kFindings, fmt::format("{} ({})", text_member(*frame, "message"),
                                         text_member(*frame, "code")));
    } else if (t == "delivery") {
      const std::string run = text_member(*frame, "run");
      if (!open_runs.contains(run)) continue;
      fmt::print("{}\n", *frame);
      if (raw_member(*frame, "outcome") == "true") open_runs.erase(run);
    }
    std::fflush(stdout);
  }
  return kDone;
}

int send(SendOptions options) {
  const auto url = gateway::parse_engine_url(options.engine.url);
  if (!url) return fail(kUsage, url.error());
  if (options.json == "-") {
    options.json.assign(std::istreambuf_iterator<char>(std::cin), std::istreambuf_iterator<char>());
  }
  JsonReader reader(options.json);
  if (!reader.skip() || !reader.finish()) {
    return fail(kUsage, fmt::format("the event is not JSON: {} at byte {}", reader.error(),
                                    reader.error_offset()));
  }
  if (options.id.empty()) options.id = fresh_id();
  const std::string claims = claims_of(options.engine.token);
  const bool is_client = has_word(text_member(claims, "scope"), "client");
  const bool is_self = options.client.empty() || options.client == text_member(claims, "sub");
  if (options.wait && is_client && is_self) return send_over_socket(*url, options);
  return send_over_http(*url, options);
}

}  // namespace

void add_send_command(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<SendOptions>();
  CLI::App* command = app.add_subcommand("send", "Sends one event to a topic");
  command->add_option("TOPIC", options->topic, "Name of the topic")->required();
  command->add_option("JSON", options->json, "The event, or - for standard input")->required();
  add_engine_options(*command, options->engine);
  command->add_option("--client", options->client, "On whose behalf, with an admin's token");
  command->add_option("--tenant", options->tenant, "In which tenant, with a token for all of them");
  command->add_option("--id", options->id, "Idempotency key; a fresh one otherwise");
  command->add_option("--event-version", options->event_version,
                      "Version of the event that the JSON is in; the newest otherwise");
  command->add_flag("--wait", options->wait, "Print deliveries until the runs have answered");
  command->add_option("--timeout", options->seconds, "Seconds that --wait lasts at most")
      ->capture_default_str()
      ->check(CLI::Range(1, 86400));
  command->footer(
      "\nExamples:\n"
      "  flowc send asks '{\"text\":\"hello\"}' --wait\n"
      "  flowc send asks - --client alice --tenant dev < ask.json");
  command->callback([options, &exit_code] { exit_code = send(*options); });
}

}  // namespace sluice::flowc
