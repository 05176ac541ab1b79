#include "gateway/routes/router.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "gateway/codec/frame_fields.hpp"
#include "gateway/limits.hpp"

namespace sluice::gateway {
namespace {

enum class Access : std::uint8_t {
  kOpen,
  kSocket,    // the session itself checks the token
  kOperator,  // admin with tenant *
  kUser,      // client or admin
  kWorker,
};

struct Route {
  std::string_view method;
  std::array<std::string_view, 5> path;  // "*" takes any segment
  Access access;
  Handler handler;
};

constexpr std::array kRoutes = {
    Route{"POST", {"v1", "topics", "*", "events"}, Access::kUser, post_events},
    Route{"POST", {"v1", "flows", "*", "runs"}, Access::kUser, post_run},
    Route{"GET", {"v1", "runs"}, Access::kUser, get_runs},
    Route{"GET", {"v1", "runs", "*"}, Access::kUser, get_run},
    Route{"GET", {"v1", "runs", "*", "history"}, Access::kUser, get_history},
    Route{"POST", {"v1", "runs", "*", "cancel"}, Access::kUser, post_cancel},
    Route{"POST", {"v1", "runs", "*", "signal"}, Access::kUser, post_signal},
    Route{"GET", {"v1", "clients", "*", "deliveries"}, Access::kUser, get_deliveries},
    Route{"GET", {"v1", "topics"}, Access::kUser, get_topics},
    Route{"POST", {"v1", "deployments"}, Access::kOperator, post_deployment},
    Route{"GET", {"v1", "deployments"}, Access::kOperator, get_deployments},
    Route{"GET", {"v1", "deployments", "*"}, Access::kOperator, get_deployment},
    Route{"POST", {"v1", "tasks", "poll"}, Access::kWorker, post_poll},
    Route{"POST", {"v1", "tasks", "*", "done"}, Access::kWorker, post_done},
    Route{"POST", {"v1", "tasks", "*", "failed"}, Access::kWorker, post_failed},
    Route{"POST", {"v1", "tasks", "*", "renew"}, Access::kWorker, post_renew},
    Route{"GET", {"v1", "ws"}, Access::kSocket, get_client_socket},
    Route{"GET", {"v1", "worker"}, Access::kSocket, get_worker_socket},
    Route{"GET", {"v1", "cluster"}, Access::kOperator, get_cluster},
    Route{"GET", {"metrics"}, Access::kOpen, get_metrics},
    Route{"GET", {"healthz"}, Access::kOpen, get_healthz},
    Route{"GET", {"readyz"}, Access::kOpen, get_readyz},
};

bool matches(const Route& route, const std::vector<std::string>& path) {
  std::size_t size = 0;
  while (size < route.path.size() && !route.path[size].empty()) ++size;
  if (size != path.size()) return false;
  for (std::size_t i = 0; i < size; ++i) {
    if (path[i].empty()) return false;
    if (route.path[i] != "*" && route.path[i] != path[i]) return false;
  }
  return true;
}

std::string_view bearer_of(std::string_view authorization) {
  constexpr std::string_view kBearer = "bearer ";
  if (authorization.size() < kBearer.size()) return {};
  for (std::size_t i = 0; i < kBearer.size(); ++i) {
    const char c = authorization[i];
    if ((c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c) != kBearer[i]) return {};
  }
  authorization.remove_prefix(kBearer.size());
  while (!authorization.empty() && authorization.front() == ' ') authorization.remove_prefix(1);
  while (!authorization.empty() && authorization.back() == ' ') authorization.remove_suffix(1);
  return authorization;
}

// What is missing for this access, or empty.
std::string_view lacks(Access access, const Principal& who) {
  switch (access) {
    case Access::kOpen:
    case Access::kSocket:
      return {};
    case Access::kOperator:
      return who.is_operator() ? "" : "this needs the scope `admin` with tenant `*`";
    case Access::kUser:
      return who.is_client || who.is_admin || !who.publish.empty()
                 ? ""
                 : "this needs the scope `client` or `admin`";
    case Access::kWorker:
      return who.is_worker ? "" : "this needs the scope `worker`";
  }
  return {};
}

bool authorise(const ExchangePtr& exchange, Access access) {
  if (access == Access::kOpen || access == Access::kSocket) return true;
  const std::string_view token = bearer_of(exchange->request().authorization);
  auto principal = exchange->shard().tokens().verify(token, Shard::now_s());
  if (!principal) {
    exchange->shard().counters().refused_tokens.add();
    exchange->problem(ErrorCode::unauthorized, {.message = principal.error().message});
    return false;
  }
  exchange->principal = std::move(*principal);
  if (const std::string_view missing = lacks(access, *exchange->principal); !missing.empty()) {
    exchange->problem(ErrorCode::forbidden, {.message = std::string(missing)});
    return false;
  }
  return true;
}

}  // namespace

void route(const ExchangePtr& exchange) {
  const HttpRequest& request = exchange->request();
  std::string allowed;
  for (const Route& candidate : kRoutes) {
    if (!matches(candidate, request.path)) continue;
    if (candidate.method != request.method) {
      allowed += (allowed.empty() ? "" : ", ") + std::string(candidate.method);
      continue;
    }
    if (authorise(exchange, candidate.access)) candidate.handler(exchange);
    return;
  }
  if (allowed.empty()) {
    exchange->problem(ErrorCode::not_found, {.message = "there is no such resource"});
  } else {
    exchange->problem(ErrorCode::method_not_allowed, {.message = "use " + allowed});
  }
}

std::vector<std::string> served_routes() {
  std::vector<std::string> names;
  for (const Route& route : kRoutes) {
    std::string& name = names.emplace_back(route.method);
    name += ' ';
    for (const std::string_view segment : route.path) {
      if (!segment.empty()) name += "/" + std::string(segment);
    }
  }
  return names;
}

std::size_t body_limit(const GatewayOptions& options, std::string_view target) {
  if (target.starts_with("/v1/deployments")) return limits::kDeploymentBytes;
  if (target.starts_with("/v1/tasks")) return options.worker_frame_bytes;
  return options.body_bytes;
}

std::optional<std::string> tenant_for(const ExchangePtr& exchange, bool any_allowed) {
  const Principal& who = *exchange->principal;
  const auto named = exchange->request().parameter("tenant");
  if (!who.all_tenants()) {
    if (named && *named != who.tenant) {
      exchange->problem(ErrorCode::not_found,
                        {.message = "there is no such tenant for this token"});
      return std::nullopt;
    }
    return who.tenant;
  }
  if (named && !named->empty() && *named != "*" && named->size() <= limits::kNameBytes)
    return *named;
  if (any_allowed && !named) return std::string();
  exchange->problem(ErrorCode::bad_request,
                    {.message = "the token is for all tenants: name one with ?tenant="});
  return std::nullopt;
}

std::optional<std::string> client_for(const ExchangePtr& exchange) {
  const Principal& who = *exchange->principal;
  const auto named = exchange->request().parameter("client");
  if (who.is_admin) return named && named->size() <= limits::kNameBytes ? *named : who.client;
  if (named && *named != who.client) {
    exchange->problem(ErrorCode::forbidden, {.message = "the token is another client's"});
    return std::nullopt;
  }
  return who.client;
}

bool may_see(const Principal& who, std::string_view client) {
  return who.is_admin || (who.is_client && !who.client.empty() && client == who.client);
}

std::optional<std::uint32_t> limit_for(const ExchangePtr& exchange) {
  const auto text = exchange->request().parameter("limit");
  if (!text) return static_cast<std::uint32_t>(limits::kPageDefault);
  std::uint64_t limit = 0;
  if (!read_count(*text, &limit) || limit < 1 || limit > limits::kPageMax) {
    exchange->problem(
        ErrorCode::bad_request,
        {.message = fmt::format("`limit` is a number from 1 to {}", limits::kPageMax)});
    return std::nullopt;
  }
  return static_cast<std::uint32_t>(limit);
}

std::string time_json(std::int64_t us) {
  static const vm::TypeTable types;
  return vm::to_json(types, vm::kTypeTimestamp, vm::Value::timestamp(us));
}

void append_member(std::string& out, std::string_view name, std::string_view text) {
  out += ",\"";
  out += name;
  out += "\":";
  vm::append_json_string(text, out);
}

}  // namespace sluice::gateway
