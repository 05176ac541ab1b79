// The client socket (protocols.md, "Client socket").
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "gateway/codec/client_frames.hpp"
#include "gateway/net/delivery_feed.hpp"
#include "gateway/net/group_feed.hpp"
#include "gateway/net/publish.hpp"
#include "gateway/net/stream_feed.hpp"
#include "gateway/net/told_streams.hpp"
#include "gateway/net/websocket_session.hpp"

namespace sluice::gateway {

class ClientSession final : public WebsocketSession,
                            public AnswerSink,
                            public DeliverySink,
                            private DeliveryFeed::Owner,
                            private GroupFeed::Subscriber,
                            private StreamFeed::Owner {
 public:
  ClientSession(Connection& connection, std::string header_token);

  // A newer socket of the same session has come.
  void taken_over();
  // What the session's last socket was told of streams: those that have ended since are ended here.
  void inherit_streams(const std::vector<node::StreamUpdate>& told);

  void on_accepted(std::uint64_t token, node::Accepted& answer) override;
  void on_rejected(std::uint64_t token, node::Refusal& refusal) override;
  void on_settled(std::uint64_t) override {}
  void on_stale(std::uint64_t) override {}
  void on_delivery(const node::Delivery& delivery) override;
  void on_stream(const node::StreamUpdate& update) override;

 private:
  enum class State { kHello, kAttaching, kLive };

  void on_text(std::string_view text) override;
  void on_pong(std::string_view payload) override;
  void on_drained() override { resume_feeds(); }
  void on_wake(Time now) override;
  // A page that could not be had (the database was gone) is asked for again.
  void on_session_tick(Time) override { resume_feeds(); }
  void on_closed() override;
  void resume_feeds();

  void hello(const FrameFields& frame);
  void on_attached(tl::expected<node::Attached, node::Refusal>& attached);
  void welcome(std::uint64_t offset, bool recovered);
  void send_event(const FrameFields& frame);
  void signal_run(const FrameFields& frame);
  void send_signal(std::uint64_t token, SignalInput input, const node::RunProgram& of);
  void cancel_run(const FrameFields& frame);
  void subscribe(const FrameFields& frame);
  void unsubscribe(const FrameFields& frame);
  std::string end_subscription(const std::string& group);
  void answer_ended(std::string_view id, std::string_view group);
  void end_forbidden_subscriptions();
  bool may_subscribe(std::string_view group) const;
  void ack(std::uint64_t offset);
  void watch(const FrameFields& frame);
  void unwatch(const FrameFields& frame);
  void on_watched(const core::RunId& run, const std::string& id,
                  const tl::expected<node::RunRow, node::Refusal>& row);
  void on_run(const node::RunState& state);
  void send_run(const core::RunId& run, std::string_view state, std::string_view step,
                std::uint32_t attempt, std::string_view why, const core::RunId& joined);
  void accept_watch(std::string_view id, const core::RunId& run, std::string_view correlation);
  void refresh(const FrameFields& frame);

  void reject(std::string_view id, ErrorCode code, std::string_view message,
              const std::vector<vm::JsonProblem>* errors = nullptr,
              std::uint32_t retry_after_ms = 0);
  void reject(std::string_view id, const node::Refusal& refusal);
  // A place for a request under way; its number is the token of the answer.
  bool take_pending(std::string_view id, std::uint64_t* token);
  std::string release_pending(std::uint64_t token);
  // The answer to a request under way.
  void reject_pending(std::uint64_t token, const node::Refusal& refusal);
  void reject_pending(std::uint64_t token, const InputError& error);
  void say_ok();
  node::Reply reply(std::uint64_t token) {
    return {shard().number(), WebsocketSession::id(), token};
  }

  void deliver(const node::Delivery& delivery) override { deliver(delivery, {}); }
  void deliver(const node::Delivery& delivery, const std::string& group) override;
  bool group_has_room() override { return has_room(); }
  GroupFeed* find_group(const std::string& group, std::uint64_t generation) override;
  void group_attached(const std::string& group, std::uint64_t offset, bool recovered) override;
  void group_failed(const std::string& group, const node::Refusal& refusal) override;
  void read_after(std::uint64_t offset) override;
  bool has_room() override;

  void send_token(const node::StreamUpdate& stream, std::uint64_t n,
                  std::string_view text) override;
  void send_stream(const node::StreamUpdate& stream) override;
  bool has_stream_room() const override;
  std::optional<node::StreamUpdate> read_stream(const core::RunId& run,
                                                std::uint32_t step_number) override;
  void wake_for_streams();

  struct Pending {
    std::string id;
    Time since;
    bool taken = false;
  };

  State state_ = State::kHello;
  std::string tenant_;
  std::string client_;
  std::string session_;
  std::string session_key_;
  std::string epoch_;
  std::uint64_t acked_ = 0;
  bool attached_ = false;
  bool in_registry_ = false;
  bool told_slow_ = false;
  std::uint64_t busy_streak_ = 0;
  DeliveryFeed feed_;
  std::map<std::string, std::unique_ptr<GroupFeed>> groups_;
  std::uint64_t subscriptions_ = 0;  // ever, on this socket
  StreamFeed streams_;
  ToldStreams told_;
  std::optional<Time> wake_;  // asked of the shard
  struct Watch {
    // One that is not watched any more is kept until all that ask about it are answered.
    enum class State : std::uint8_t { kWatched, kEnded, kLeft } state = State::kLeft;
    unsigned asking = 0;  // `watch` frames that are not answered yet
    bool told = false;    // the first frame went out
    std::optional<node::RunState> meanwhile;
  };
  using Watches = std::map<core::RunId, Watch>;
  void begin_watch(Watches::iterator watch);
  void end_watch(Watches::iterator watch, Watch::State why);
  Watches watches_;
  std::vector<Pending> pending_;
  std::vector<std::uint32_t> free_;
  std::size_t pending_count_ = 0;
  std::string run_text_;           // scratch
  std::vector<std::string> runs_;  // scratch
};

}  // namespace sluice::gateway
