// Gateway::metrics: counters in Prometheus's text format.
#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include <limits>

#include "gateway/net/gateway.hpp"
#include "gateway/net/http_session.hpp"

namespace sluice::gateway {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

MetricFamily family(std::string name, std::string help, MetricType type) {
  MetricFamily made;
  made.name = std::move(name);
  made.help = std::move(help);
  made.type = type;
  return made;
}

class Families {
 public:
  void counter(std::string name, std::string help, double value) {
    add(std::move(name), std::move(help), MetricType::Counter, value);
  }
  void gauge(std::string name, std::string help, double value) {
    add(std::move(name), std::move(help), MetricType::Gauge, value);
  }
  void histogram(MetricFamily made) { families_.push_back(std::move(made)); }
  std::string text() const { return prometheus::TextSerializer().Serialize(families_); }

 private:
  void add(std::string name, std::string help, MetricType type, double value) {
    MetricFamily made = family(std::move(name), std::move(help), type);
    ClientMetric metric;
    (type == MetricType::Counter ? metric.counter.value : metric.gauge.value) = value;
    made.metric.push_back(metric);
    families_.push_back(std::move(made));
  }
  std::vector<MetricFamily> families_;
};

struct SumRow {
  const char* name;
  const char* help;
  Counter Counters::*counter;
  bool gauge = false;
};

constexpr SumRow kRows[] = {
    {"sluice_client_sockets", "Client sockets open now", &Counters::clients, true},
    {"sluice_worker_sockets", "Worker sockets open now", &Counters::workers, true},
    {"sluice_event_streams", "Server-sent event streams open now", &Counters::streams, true},
    {"sluice_http_requests_total", "HTTP requests", &Counters::http_requests},
    {"sluice_http_errors_total", "HTTP answers with a status of 400 or more",
     &Counters::http_errors},
    {"sluice_frames_in_total", "WebSocket messages received", &Counters::frames_in},
    {"sluice_frames_out_total", "WebSocket messages sent", &Counters::frames_out},
    {"sluice_socket_bytes_in_total", "Bytes received on upgraded sockets", &Counters::bytes_in},
    {"sluice_socket_bytes_out_total", "Bytes sent on upgraded sockets", &Counters::bytes_out},
    {"sluice_socket_reads_total", "System calls that read from upgraded sockets", &Counters::reads},
    {"sluice_socket_writes_total", "System calls that wrote to upgraded sockets",
     &Counters::writes},
    {"sluice_sends_total", "Events that clients sent", &Counters::sends},
    {"sluice_accepted_total", "Events answered with accepted", &Counters::accepted},
    {"sluice_rejected_total", "Events answered with rejected", &Counters::rejected},
    {"sluice_deliveries_sent_total", "Deliveries written to sockets, repeats included",
     &Counters::deliveries},
    {"sluice_tasks_sent_total", "Task frames written", &Counters::tasks},
    {"sluice_reports_total", "Reports of workers", &Counters::reports},
    {"sluice_closed_slow_total", "Sockets closed because they did not take their bytes",
     &Counters::closed_slow},
    {"sluice_closed_misuse_total", "Sockets closed because of protocol misuse",
     &Counters::closed_bad},
    {"sluice_closed_expired_total", "Sockets closed because their token expired",
     &Counters::closed_expired},
    {"sluice_refused_tokens_total", "Tokens refused", &Counters::refused_tokens},
};

void add_accept_latency(Families& families, const std::vector<std::unique_ptr<Shard>>& shards) {
  MetricFamily made =
      family("sluice_accept_seconds", "From a send to its answer", MetricType::Histogram);
  ClientMetric metric;
  std::uint64_t cumulative = 0;
  double sum = 0;
  for (std::size_t i = 0; i <= kLatencyBoundsUs.size(); ++i) {
    for (const auto& shard : shards)
      cumulative += shard->counters().accept_latency.buckets[i].get();
    const double bound = i < kLatencyBoundsUs.size() ? kLatencyBoundsUs[i] / 1e6
                                                     : std::numeric_limits<double>::infinity();
    metric.histogram.bucket.push_back({cumulative, bound});
  }
  for (const auto& shard : shards)
    sum += static_cast<double>(shard->counters().accept_latency.sum_us.get()) / 1e6;
  metric.histogram.sample_count = cumulative;
  metric.histogram.sample_sum = sum;
  made.metric.push_back(metric);
  families.histogram(std::move(made));
}

void add_node(Families& families, const node::NodeStatus& status) {
  const node::NodeCounters& c = status.counters;
  const auto n = [](std::uint64_t value) { return static_cast<double>(value); };
  families.gauge(
      "sluice_ready", "1 while records are taken",
      status.health == node::Health::serving || status.health == node::Health::degraded ? 1 : 0);
  families.counter("sluice_records_total", "Records journaled", n(c.records));
  families.counter("sluice_batches_total", "Batches committed", n(c.batches));
  families.counter("sluice_append_bytes_total", "Bytes of batches", n(c.append_bytes));
  families.counter("sluice_append_retries_total", "Batches sent again", n(c.append_retries));
  families.counter("sluice_commit_seconds_total",
                   "Time from a batch's sending to its answer, summed", n(c.commit_us_total) / 1e6);
  families.counter("sluice_deliveries_total", "Deliveries stored", n(c.deliveries));
  families.counter("sluice_duplicates_total", "Requests answered from an earlier one",
                   n(c.duplicates));
  families.counter("sluice_tasks_handed_out_total", "Attempts handed to workers",
                   n(c.tasks_handed_out));
  families.counter("sluice_reports_settled_total", "Reports that were used or remembered",
                   n(c.reports_settled));
  families.counter("sluice_reports_stale_total", "Reports that came too late", n(c.reports_stale));
  families.counter("sluice_attempts_lapsed_total", "Attempts lost or timed out",
                   n(c.attempts_lapsed));
  families.counter("sluice_checkpoints_total", "Checkpoints committed", n(c.checkpoints));
  families.counter("sluice_database_reconnects_total", "Connections to PostgreSQL made again",
                   n(c.reconnects));
  families.gauge("sluice_inbox_depth", "Requests waiting to be applied", n(c.inbox_depth));
  families.gauge("sluice_runs_live", "Runs that have not ended", n(c.runs_live));
  families.gauge("sluice_partitions_serving", "Partitions that are served here",
                 n(c.partitions_serving));
  families.gauge("sluice_partitions_halted",
                 "Partitions that have halted at a record: see flowd repair",
                 n(c.partitions_halted));
  families.gauge("sluice_recovery_seconds", "How long the last start's recovery took",
                 n(c.recovery_us) / 1e6);
}

}  // namespace

std::string Gateway::metrics() const {
  Families families;
  for (const SumRow& row : kRows) {
    std::uint64_t sum = 0;
    for (const auto& shard : shards_) sum += (shard->counters().*row.counter).get();
    if (row.gauge) {
      families.gauge(row.name, row.help, static_cast<double>(sum));
    } else {
      families.counter(row.name, row.help, static_cast<double>(sum));
    }
  }
  families.gauge("sluice_http_connections", "HTTP connections open now", http_sessions());
  add_accept_latency(families, shards_);
  add_node(families, node_->status());
  return families.text();
}

}  // namespace sluice::gateway
