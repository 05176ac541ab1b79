// The worker socket (protocols.md, "Worker socket").
#pragma once

#include <string>
#include <vector>

#include "gateway/codec/worker_frames.hpp"
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
  void report(WorkerVerb verb, const FrameFields& frame);
  void renew(const FrameFields& frame);
  void stream(const FrameFields& frame);
  void refresh(const FrameFields& frame);
  void leave(bool bye);
  void say_stale(std::string_view lease);
  std::string release_pending(std::uint64_t token);

  struct Pending {
    std::string lease;
    bool taken = false;
  };
  core::WorkerId worker_{};
  bool joined_ = false;
  std::vector<Pending> pending_;
  std::vector<std::uint32_t> free_;
  std::string run_text_;  // scratch
};

// A worker's report as a request: the lease is read and its tenant checked, the result decoded by
// the task's type (one that does not fit becomes a failure `Invalid`). Nothing: answer `stale`.
std::optional<node::ReportRequest> make_report(Shard& shard, const Principal& who,
                                               std::string_view lease_text, WorkerVerb verb,
                                               const FrameFields& frame);

}  // namespace sluice::gateway
