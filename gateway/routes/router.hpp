// Which request goes where. One file per resource holds the handlers.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/net/exchange.hpp"
#include "gateway/net/gateway.hpp"

namespace sluice::gateway {

using ExchangePtr = std::shared_ptr<Exchange>;
using Handler = void (*)(const ExchangePtr&);

// Authenticates where the route needs it and calls its handler; 404 and 405 otherwise.
void route(const ExchangePtr& exchange);

// "POST /v1/topics/*/events" of every route, as docs/openapi.yaml lists them.
std::vector<std::string> served_routes();

// The most bytes that a body for this target may have.
std::size_t body_limit(const GatewayOptions& options, std::string_view target);

// Handlers. Path parameters are request().path[i].
void post_deployment(const ExchangePtr& exchange);
void get_deployments(const ExchangePtr& exchange);
void get_deployment(const ExchangePtr& exchange);
void post_events(const ExchangePtr& exchange);
void post_run(const ExchangePtr& exchange);
void get_runs(const ExchangePtr& exchange);
void get_run(const ExchangePtr& exchange);
void get_history(const ExchangePtr& exchange);
void post_cancel(const ExchangePtr& exchange);
void post_signal(const ExchangePtr& exchange);
void get_deliveries(const ExchangePtr& exchange);
void get_topics(const ExchangePtr& exchange);
void post_poll(const ExchangePtr& exchange);
void post_done(const ExchangePtr& exchange);
void post_failed(const ExchangePtr& exchange);
void post_renew(const ExchangePtr& exchange);
void get_client_socket(const ExchangePtr& exchange);
void get_worker_socket(const ExchangePtr& exchange);
void get_cluster(const ExchangePtr& exchange);
void get_metrics(const ExchangePtr& exchange);
void get_healthz(const ExchangePtr& exchange);
void get_readyz(const ExchangePtr& exchange);

// ---- what several resources need

// The tenant that a request of clients or admins works in: the token's, or for tenant `*` what
// ?tenant= names. Answers with a problem and returns nothing if there is none. `any_allowed`: an
// operator may leave it out, which gives "" (all tenants).
std::optional<std::string> tenant_for(const ExchangePtr& exchange, bool any_allowed);
// On whose behalf: a client's token is itself; an admin may name one by ?client=. Answers with a
// problem if a client names another.
std::optional<std::string> client_for(const ExchangePtr& exchange);
// Whether the asker sees what belongs to this client: its own, or anything for an admin.
bool may_see(const Principal& who, std::string_view client);
// `limit` of a list; answers with a problem if it is no number from 1 to limits::kPageMax.
std::optional<std::uint32_t> limit_for(const ExchangePtr& exchange);
// Microseconds as RFC 3339 with quotes.
std::string time_json(std::int64_t us);
// Appends `,"name":"text"`.
void append_member(std::string& out, std::string_view name, std::string_view text);

}  // namespace sluice::gateway
