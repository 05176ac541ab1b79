// GET /healthz, /readyz, /metrics, /v1/cluster, /v1/topics.
#include <fmt/format.h>

#include "gateway/routes/router.hpp"

namespace sluice::gateway {
namespace {

std::string_view name_of(node::Health health) {
  switch (health) {
    case node::Health::starting:
      return "starting";
    case node::Health::serving:
      return "serving";
    case node::Health::degraded:
      return "degraded";
    case node::Health::database_gone:
      return "database_gone";
    case node::Health::stopping:
      return "stopping";
    case node::Health::stopped:
      return "stopped";
  }
  return "";
}

void append_texts(std::string& out, std::string_view name, const std::vector<std::string>& texts) {
  out += fmt::format(",\"{}\":[", name);
  for (std::size_t i = 0; i < texts.size(); ++i) {
    if (i > 0) out += ',';
    vm::append_json_string(texts[i], out);
  }
  out += ']';
}

}  // namespace

void get_healthz(const ExchangePtr& exchange) {
  exchange->respond_json(200, R"({"status":"alive"})");
}

void get_readyz(const ExchangePtr& exchange) {
  const node::NodeStatus status = exchange->node().status();
  const bool ready =
      status.health == node::Health::serving || status.health == node::Health::degraded;
  if (!ready || exchange->shard().gateway().stopping()) {
    return exchange->problem(
        ErrorCode::unavailable,
        {.message = status.why.empty() ? std::string(name_of(status.health)) : status.why});
  }
  std::string body = fmt::format(R"({{"status":"{}")", name_of(status.health));
  if (!status.why.empty()) append_member(body, "why", status.why);
  append_texts(body, "warnings", status.warnings);
  exchange->respond_json(200, body + "}");
}

void get_metrics(const ExchangePtr& exchange) {
  HttpResponse response;
  response.content_type = "text/plain; version=0.0.4; charset=utf-8";
  response.body = exchange->shard().gateway().metrics();
  exchange->respond(std::move(response));
}

void get_cluster(const ExchangePtr& exchange) {
  exchange->wait();
  exchange->node().read_cluster(
      exchange->callback<node::ClusterStatus>([](Exchange& open, node::ClusterStatus&& cluster) {
        const node::NodeStatus status = open.node().status();
        std::string body = R"({"id":)";
        vm::append_json_string(cluster.id, body);
        append_member(body, "node", cluster.node);
        append_member(body, "health", name_of(status.health));
        if (!status.why.empty()) append_member(body, "why", status.why);
        append_member(body, "durability", cluster.durability);
        append_texts(body, "warnings", cluster.warnings);
        body += fmt::format(",\"recovery_ms\":{:.1f},\"recovered_records\":{}",
                            static_cast<double>(status.counters.recovery_us) / 1000.0,
                            status.counters.recovered_records);
        body += fmt::format(",\"partitions\":{},\"items\":[", cluster.partitions);
        for (std::size_t i = 0; i < cluster.items.size(); ++i) {
          const node::PartitionRow& row = cluster.items[i];
          body += fmt::format(R"({}{{"partition":{},"epoch":{},"seq":{})", i > 0 ? "," : "",
                              row.partition, row.epoch, row.seq);
          append_member(body, "owner", row.owner);
          append_member(body, "state", row.state);
          if (!row.why.empty()) append_member(body, "why", row.why);
          body += '}';
        }
        open.respond_json(200, body + "],\"next\":null}");
      }));
}

void get_topics(const ExchangePtr& exchange) {
  std::string body = R"({"items":[)";
  bool first = true;
  for (const node::TopicRow& topic : exchange->node().topics()) {
    body += std::exchange(first, false) ? R"({"name":)" : R"(,{"name":)";
    vm::append_json_string(topic.name, body);
    append_member(body, "order", topic.order);
    body += fmt::format(R"(,"dedupe_ms":{},"retain_ms":{}}})", topic.dedupe_ms, topic.retain_ms);
  }
  exchange->respond_json(200, body + "],\"next\":null}");
}

}  // namespace sluice::gateway
