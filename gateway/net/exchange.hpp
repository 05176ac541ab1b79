// One HTTP request and its answer, independent of the HTTP library. Routes get an Exchange and call
// respond() once, now or later.
//
// Thread rule: belongs to its shard's thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "gateway/codes.hpp"
#include "gateway/net/shard.hpp"
#include "vm/json.hpp"

namespace sluice::gateway {

struct HttpRequest {
  std::string method;
  std::vector<std::string> path;  // decoded segments, without empty ones at the end
  std::vector<std::pair<std::string, std::string>> query;
  std::string body;
  std::string authorization, content_type, accept, idempotency_key, last_event_id, correlation,
      traceparent;
  // Of a WebSocket handshake.
  bool wants_websocket = false;
  std::string websocket_key, websocket_version, websocket_protocols;

  // The first value of that name, or nothing.
  std::optional<std::string> parameter(std::string_view name) const;
};

struct InputError;

struct HttpResponse {
  unsigned status = 200;
  std::string body;
  std::string content_type = "application/json";
  std::vector<std::pair<std::string, std::string>> headers;
};

// What a problem says beyond its code.
struct ProblemDetails {
  std::string message;               // empty: the registry's text
  std::uint32_t retry_after_ms = 0;  // 0: the default of retryable codes
  const std::vector<vm::JsonProblem>* errors = nullptr;
  std::string extra;    // more members: `,"diagnostics":[…]`
  unsigned status = 0;  // 0: the code's own
};

// What a problem says about input that was not taken.
ProblemDetails details_of(const InputError& error);

class Exchange : public std::enable_shared_from_this<Exchange>, public AnswerSink {
 public:
  using Send = std::function<void(HttpResponse&&)>;

  Exchange(Shard& shard, HttpRequest request, Send send);

  Shard& shard() { return shard_; }
  node::Node& node() { return shard_.node(); }
  const HttpRequest& request() const { return request_; }
  std::uint64_t id() const { return id_; }
  std::shared_ptr<const Principal> principal;  // set by the router where the route needs a token

  // Answers. Only the first call counts.
  void respond(HttpResponse response);
  void respond_json(unsigned status, std::string body);
  void problem(ErrorCode code, ProblemDetails details = {});
  void problem(const node::Refusal& refusal);
  bool answered() const { return answered_; }
  // What `x-correlation-id` will say.
  void set_correlation(std::string correlation) { correlation_ = std::move(correlation); }
  const std::string& correlation() const { return correlation_; }

  // Waits for answers of the node: keeps the exchange alive, and answers 503 when the time is up.
  void wait(std::chrono::milliseconds at_most = limits_answer());
  node::Reply reply(std::uint64_t token) const { return {shard_.number(), id_, token}; }
  std::function<void(std::uint64_t, node::Accepted&)> when_accepted;
  std::function<void(std::uint64_t, node::Refusal&)> when_rejected;
  std::function<void(bool settled)> when_reported;
  std::function<void()> when_time_is_up;  // instead of the 503
  std::function<void()> when_gone;        // called once the exchange is over, however

  // Set by the session: gives up the socket, for a protocol other than HTTP. What was read beyond
  // the request goes to `rest`. After it, respond() does nothing. -1: the socket is gone.
  std::function<int(std::string& rest)> take_socket;

  // The peer hung up.
  void abandon();
  void tick(Time now);

  void on_accepted(std::uint64_t token, node::Accepted& answer) override;
  void on_rejected(std::uint64_t token, node::Refusal& refusal) override;
  void on_settled(std::uint64_t token) override;
  void on_stale(std::uint64_t token) override;

  // A callback for the node that runs `then` on this shard, if the exchange still waits by then.
  template <typename T>
  node::Callback<T> callback(std::function<void(Exchange&, T&&)> then) {
    return [shard = &shard_, id = id_,
            then = std::move(then)](tl::expected<T, node::Refusal> result) mutable {
      auto shared = std::make_shared<tl::expected<T, node::Refusal>>(std::move(result));
      shard->post([shard, id, then, shared] {
        const std::shared_ptr<Exchange> exchange = shard->find_exchange(id);
        if (!exchange || exchange->answered()) return;
        if (*shared) {
          then(*exchange, std::move(**shared));
        } else {
          exchange->problem(shared->error());
        }
      });
    };
  }

 private:
  static std::chrono::milliseconds limits_answer();
  void finish();

  Shard& shard_;
  HttpRequest request_;
  Send send_;
  std::uint64_t id_;
  std::string correlation_;
  bool answered_ = false;
  bool held_ = false;
  Time deadline_{};
};

// The body of a problem (RFC 9457).
std::string problem_body(const ErrorRow& row, const ProblemDetails& details,
                         std::string_view correlation);

// 36 characters of a random UUID (version 4), for ids and correlations that nobody gave.
std::string random_id();

}  // namespace sluice::gateway
