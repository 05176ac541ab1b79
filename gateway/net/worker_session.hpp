// The worker socket (protocols.md, "Worker socket").
#pragma once

#include <string>
#include <vector>

#include "gateway/codec/worker_frames.hpp"
#include "gateway/net/pending_reports.hpp"
#include "gateway/net/websocket_session.hpp"

namespace sluice::gateway {

class WorkerSession final : public WebsocketSession, public AnswerSink, public WorkerSink {
 public:
  WorkerSession(Connection& connection, std::string header_token);

  void on_accepted(std::uint64_t, node::Accepted&) override {}
  void on_rejected(std::uint64_t token, node::Refusal& refusal) override;
  void on_settled(std::uint64_t token) override;
  void on_stale(std::uint64_t token) override;
  void on_task(node::TaskFrame& task) override;
  void on_cancel(const node::CancelTask& cancel) override;
  void on_stale_lease(const node::StaleLease& stale) override;

 private:
  void on_text(std::string_view text) override;
  void on_closed() override;
  void on_session_tick(Time now) override;
  void hello(const FrameFields& frame);
  void report(WorkerVerb verb, const FrameFields& frame, std::string_view text);
  void load_first(std::uint32_t deployment, std::string lease, std::string frame);
  void say_late(Time now);
  void renew(const FrameFields& frame);
  void stream(const FrameFields& frame);
  void refresh(const FrameFields& frame);
  void leave(bool bye);
  void say_stale(std::string_view lease);

  core::WorkerId worker_{};
  bool joined_ = false;
  PendingReports reports_;
  // Reports whose program could not be had yet.
  struct Late {
    Time at{};
    std::string frame;
  };
  std::vector<Late> late_;
  std::size_t late_bytes_ = 0;
  std::string run_text_;  // scratch
};

// The deployment by whose task the lease's result is read, if it must be loaded first
// (Node::load_deployment): a run that has ended may be of one that is not in memory any more.
std::optional<std::uint32_t> missing_program(Shard& shard, const Principal& who,
                                             std::string_view lease_text);

// A worker's report as a request: the lease is read and its tenant checked, the result decoded by
// the task's type (one that does not fit becomes a failure `Invalid`). Nothing: answer `stale`.
std::optional<node::ReportRequest> make_report(Shard& shard, const Principal& who,
                                               std::string_view lease_text, WorkerVerb verb,
                                               const FrameFields& frame);

}  // namespace sluice::gateway
