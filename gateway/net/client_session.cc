#include "gateway/net/client_session.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "gateway/limits.hpp"
#include "gateway/net/exchange.hpp"
#include "gateway/net/gateway.hpp"
#include "gateway/net/publish.hpp"

namespace sluice::gateway {

using std::chrono::steady_clock;

ClientSession::ClientSession(Connection& connection, std::string header_token)
    : WebsocketSession(connection,
                       {.frame_bytes = connection.shard().gateway().options().frame_bytes,
                        .unsent_bytes = connection.shard().gateway().options().unsent_bytes},
                       std::move(header_token)),
      feed_(*this),
      streams_(*this, limits::kStreamPace) {
  shard().counters().clients.add();
}

void ClientSession::on_closed() {
  shard().counters().clients.sub();
  shard().gateway().left();
  shard().remove_answers(WebsocketSession::id());
  groups_.clear();
  for (const auto& [run, watch] : watches_) {
    if (watch.state == Watch::State::kWatched) shard().unwatch_run(run, WebsocketSession::id());
  }
  watches_.clear();
  if (in_registry_) {
    shard().remove_deliveries(tenant_, client_, this);
    shard().gateway().leave_session(session_key_, {shard().number(), WebsocketSession::id()},
                                    told_.take());
  }
  if (attached_) shard().node().detach(tenant_, client_, session_, shard().number());
  attached_ = false;
}

void ClientSession::taken_over() {
  close(CloseCode::taken_over, "a newer socket of this session has come");
}

void ClientSession::on_text(std::string_view text) {
  FrameFields& frame = fields();
  const ClientParse parsed = parse_client_frame(text, frame);
  if (!said_hello() &&
      (parsed.kind != ClientParse::Kind::kFrame || parsed.verb != ClientVerb::kHello)) {
    return close_bad_frame("the first frame is `hello`");
  }
  if (parsed.kind == ClientParse::Kind::kBad) return close_bad_frame(parsed.message);
  if (parsed.kind == ClientParse::Kind::kInvalid) {
    const std::vector<vm::JsonProblem> errors = {{"", parsed.message, false}};
    return reject(frame.id, ErrorCode::invalid, parsed.message, &errors);
  }
  switch (parsed.verb) {
    case ClientVerb::kHello:
      return said_hello() ? close_bad_frame("a second `hello`") : hello(frame);
    case ClientVerb::kSend:
      return send_event(frame);
    case ClientVerb::kSignal:
      return signal_run(frame);
    case ClientVerb::kCancel:
      return cancel_run(frame);
    case ClientVerb::kSubscribe:
      return subscribe(frame);
    case ClientVerb::kUnsubscribe:
      return unsubscribe(frame);
    case ClientVerb::kAck:
      return ack(frame.offset);
    case ClientVerb::kWatch:
      return watch(frame);
    case ClientVerb::kUnwatch:
      return unwatch(frame);
    case ClientVerb::kRefresh:
      return refresh(frame);
    case ClientVerb::kPing:
      return send_text(kPongFrame);
  }
}

void ClientSession::hello(const FrameFields& frame) {
  if (!take_token(frame.token)) return;
  const Principal& who = *principal();
  if (!who.is_client) return close(CloseCode::forbidden, "the token lacks the scope `client`");
  if (who.client.empty() || who.all_tenants()) {
    return close(CloseCode::forbidden, "a client's token names one tenant and the client (`sub`)");
  }
  hello_done();
  state_ = State::kAttaching;
  tenant_ = who.tenant;
  client_ = who.client;
  if (frame.has(kFieldTokenMs)) {
    streams_.set_pace(std::chrono::milliseconds(frame.token_ms));
  }
  session_ = frame.has(kFieldSession) ? frame.session : random_id();
  session_key_ = tenant_ + '\0' + client_ + '\0' + session_;
  const Gateway::SessionPlace me{shard().number(), WebsocketSession::id()};
  Gateway& gateway = shard().gateway();
  if (const auto older = gateway.take_session(session_key_, me)) {
    Shard& other = gateway.shard(older->shard);
    other.post([&other, id = older->connection] {
      const auto connection = other.find(id);
      if (connection && !connection->closed()) {
        static_cast<ClientSession*>(connection->owner())->taken_over();
      }
    });
  }
  in_registry_ = true;
  shard().add_deliveries(tenant_, client_, this);
  shard().add_answers(WebsocketSession::id(), this);
  node::AttachRequest request{.tenant = tenant_,
                              .client = client_,
                              .session = session_,
                              .shard = shard().number(),
                              .resume = frame.has(kFieldResume),
                              .resume_epoch = frame.resume_epoch,
                              .resume_offset = frame.resume_offset};
  shard().node().attach(
      std::move(request),
      [shard = &shard(), id = WebsocketSession::id(), tenant = tenant_, client = client_,
       session = session_](tl::expected<node::Attached, node::Refusal> attached) {
        shard->post([shard, id, tenant, client, session, attached = std::move(attached)]() mutable {
          const auto connection = shard->find(id);
          if (connection && !connection->closed()) {
            static_cast<ClientSession*>(connection->owner())->on_attached(attached);
          } else if (attached) {
            shard->node().detach(tenant, client, session, shard->number());
          }
        });
      });
}

void ClientSession::on_attached(tl::expected<node::Attached, node::Refusal>& attached) {
  if (!attached) return close(CloseCode::restarting, attached.error().message);
  attached_ = true;
  if (!open()) return;  // on_closed will detach
  state_ = State::kLive;
  epoch_ = attached->epoch;
  acked_ = attached->offset;
  welcome(attached->offset, attached->recovered);
  streams_.begin(shard().node().stream_snapshots(tenant_, client_), steady_clock::now());
  inherit_streams(shard().gateway().take_told_streams(session_key_));
  feed_.begin(attached->offset, attached->highest);
}

void ClientSession::welcome(std::uint64_t offset, bool recovered) {
  const GatewayOptions& options = shard().gateway().options();
  send([&](std::string& out) {
    append_welcome(out, {.session = session_,
                         .client = client_,
                         .epoch = epoch_,
                         .offset = offset,
                         .recovered = recovered,
                         .pending = options.pending,
                         .frame_bytes = options.frame_bytes});
  });
}

void ClientSession::reject(std::string_view id, ErrorCode code, std::string_view message,
                           const std::vector<vm::JsonProblem>* errors,
                           std::uint32_t retry_after_ms) {
  if (id.empty()) return;  // a `watch` without one waits for no answer
  shard().counters().rejected.add();
  const ErrorRow& row = row_of(code);
  if (row.retryable && retry_after_ms == 0) {
    retry_after_ms =
        code == ErrorCode::unavailable ? limits::kUnavailableRetryMs : limits::kBusyRetryMs;
  }
  send([&](std::string& out) {
    append_rejected(out, {.id = id,
                          .code = row.name,
                          .message = message,
                          .retry_after_ms = retry_after_ms,
                          .errors = errors});
  });
  check_unsent();
}

void ClientSession::reject(std::string_view id, const node::Refusal& refusal) {
  const ErrorRow& row = row_of_word(refusal.code);
  std::vector<vm::JsonProblem> errors;
  if (row.code == ErrorCode::invalid) errors.push_back({"", refusal.message, false});
  reject(id, row.code, refusal.message, &errors, refusal.retry_after_ms);
}

bool ClientSession::take_pending(std::string_view id, std::uint64_t* token) {
  const std::size_t most = shard().gateway().options().pending;
  if (pending_count_ >= most) {
    if (++busy_streak_ > limits::kFloodRejections) {
      close(CloseCode::flood, "far more sends than `pending` allows");
      return false;
    }
    reject(id, ErrorCode::busy, fmt::format("{} sends are not accepted yet", pending_count_));
    return false;
  }
  busy_streak_ = 0;
  if (free_.empty()) {
    free_.push_back(static_cast<std::uint32_t>(pending_.size()));
    pending_.emplace_back();
  }
  const std::uint32_t place = free_.back();
  free_.pop_back();
  pending_[place].id.assign(id);
  pending_[place].since = steady_clock::now();
  pending_[place].taken = true;
  ++pending_count_;
  *token = place;
  if (!told_slow_ && pending_count_ * 100 > most * limits::kSlowPercent) {
    told_slow_ = true;
    send([&](std::string& out) { append_slow(out, pending_count_, limits::kBusyRetryMs); });
  }
  return true;
}

std::string ClientSession::release_pending(std::uint64_t token) {
  if (token >= pending_.size() || !pending_[token].taken) return {};
  Pending& place = pending_[token];
  place.taken = false;
  free_.push_back(static_cast<std::uint32_t>(token));
  --pending_count_;
  const auto waited = steady_clock::now() - place.since;
  shard().counters().accept_latency.observe(static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::microseconds>(waited).count()));
  return std::move(place.id);
}

void ClientSession::send_event(const FrameFields& frame) {
  shard().counters().sends.add();
  if (state_ != State::kLive) return reject(frame.id, ErrorCode::unavailable, "wait for `welcome`");
  if (!principal()->may_publish(frame.topic)) {
    return reject(frame.id, ErrorCode::unauthorized, "the token does not allow this topic");
  }
  PublishInput input{.tenant = tenant_,
                     .client = client_,
                     .topic = frame.topic,
                     .id = frame.id,
                     .data = frame.data,
                     .correlation = frame.correlation,
                     .traceparent = frame.traceparent,
                     .ttl_ms = frame.ttl_ms,
                     .version = frame.version};
  auto request = make_publish(shard(), input);
  if (!request) {
    return reject(frame.id, request.error().code, request.error().message, &request.error().errors);
  }
  std::uint64_t token = 0;
  if (!take_pending(frame.id, &token)) return;
  request->reply = reply(token);
  if (const auto refusal = shard().node().publish(std::move(*request))) {
    reject_pending(token, *refusal);
  }
}

// The data is checked against the program that the run executes, so that is asked for first.
// Answers about the runs of one partition come in order: signals to a run stay in theirs.
void ClientSession::signal_run(const FrameFields& frame) {
  if (state_ != State::kLive) return reject(frame.id, ErrorCode::unavailable, "wait for `welcome`");
  const auto run = core::parse_run_id(frame.run);
  if (!run) return reject(frame.id, ErrorCode::unknown_run, "there is no such run");
  std::uint64_t token = 0;
  if (!take_pending(frame.id, &token)) return;
  shard().node().find_program(
      tenant_, client_, *run,
      [shard = &shard(), id = WebsocketSession::id(), token, run = *run, event = frame.event,
       data = std::string(frame.data),
       version = frame.version](tl::expected<node::RunProgram, node::Refusal> of) {
        shard->post([shard, id, token, run, event, data, version, of = std::move(of)] {
          const auto connection = shard->find(id);
          if (!connection || connection->closed()) return;
          auto* session = static_cast<ClientSession*>(connection->owner());
          if (of) {
            session->send_signal(
                token, {.run = run, .event = event, .data = data, .version = version}, *of);
          } else {
            session->reject_pending(token, of.error());
          }
        });
      });
}

void ClientSession::send_signal(std::uint64_t token, SignalInput input,
                                const node::RunProgram& of) {
  input.client = client_;
  input.id = pending_[token].id;
  auto request = make_signal(shard(), input, of);
  if (!request) return reject_pending(token, request.error());
  request->reply = reply(token);
  if (const auto refusal = shard().node().signal_run(std::move(*request))) {
    reject_pending(token, *refusal);
  }
}

void ClientSession::cancel_run(const FrameFields& frame) {
  if (state_ != State::kLive) return reject(frame.id, ErrorCode::unavailable, "wait for `welcome`");
  const auto run = core::parse_run_id(frame.run);
  if (!run) return reject(frame.id, ErrorCode::unknown_run, "there is no such run");
  std::uint64_t token = 0;
  if (!take_pending(frame.id, &token)) return;
  node::CancelRequest request{.tenant = tenant_,
                              .client = client_,
                              .run = *run,
                              .id = frame.id,
                              .message = "cancelled by the client",
                              .reply = reply(token)};
  if (const auto refusal = shard().node().cancel_run(std::move(request))) {
    reject_pending(token, *refusal);
  }
}

// ---- groups

void ClientSession::subscribe(const FrameFields& frame) {
  const std::string id = frame.has(kFieldId) ? frame.id : "";
  const auto refuse = [&](ErrorCode code, std::string_view message) {
    if (!id.empty()) reject(id, code, message);
  };
  if (state_ != State::kLive) return refuse(ErrorCode::unavailable, "wait for `welcome`");
  if (!may_subscribe(frame.group)) {
    return refuse(ErrorCode::unauthorized, "the token does not allow this group");
  }
  // Subscribed anew, from where it says now.
  answer_ended(end_subscription(frame.group), frame.group);
  if (groups_.size() >= limits::kGroupsPerSocket) {
    return refuse(ErrorCode::busy, "this socket has subscribed to as many groups as it may");
  }
  const auto find = [shard = &shard(), id = WebsocketSession::id()]() -> GroupFeed::Subscriber* {
    const auto connection = shard->find(id);
    if (!connection || connection->closed()) return nullptr;
    return static_cast<ClientSession*>(connection->owner());
  };
  GroupFeed::Subscriber& me = *this;
  auto feed = std::make_unique<GroupFeed>(shard(), me, find,
                                          GroupFeed::Place{tenant_, frame.group, ++subscriptions_});
  feed->set_answer_id(id);
  GroupFeed& added = *groups_.emplace(frame.group, std::move(feed)).first->second;
  added.begin(frame.has(kFieldOffset) ? std::optional(frame.offset) : std::nullopt);
}

bool ClientSession::may_subscribe(std::string_view group) const {
  const auto& allowed = principal()->subscribe;
  return std::find(allowed.begin(), allowed.end(), group) != allowed.end();
}

// The id of its frame, if that still waits for an answer.
std::string ClientSession::end_subscription(const std::string& group) {
  const auto found = groups_.find(group);
  if (found == groups_.end()) return {};
  std::string unanswered = found->second->answered() ? "" : found->second->answer_id();
  groups_.erase(found);
  return unanswered;
}

// Nothing of the group follows on account of that frame.
void ClientSession::answer_ended(std::string_view id, std::string_view group) {
  if (id.empty()) return;
  send([&](std::string& out) {
    append_subscription(out, {.id = id, .group = group, .offset = std::nullopt});
  });
}

// What the new token does not allow any more has ended.
void ClientSession::end_forbidden_subscriptions() {
  std::vector<std::string> forbidden;
  for (const auto& [group, feed] : groups_) {
    if (!may_subscribe(group)) forbidden.push_back(group);
  }
  constexpr std::string_view kWhy = "the new token does not allow this group";
  const std::string_view code = row_of(ErrorCode::unauthorized).name;
  for (const std::string& group : forbidden) {
    const std::string unanswered = end_subscription(group);
    if (!unanswered.empty()) {
      reject(unanswered, ErrorCode::unauthorized, kWhy);
      continue;
    }
    send([&](std::string& out) {
      append_unsubscribed(out, {.group = group, .code = code, .message = kWhy});
    });
  }
}

void ClientSession::unsubscribe(const FrameFields& frame) {
  answer_ended(end_subscription(frame.group), frame.group);
  if (frame.has(kFieldId)) answer_ended(frame.id, frame.group);
}

GroupFeed* ClientSession::find_group(const std::string& group, std::uint64_t generation) {
  const auto found = groups_.find(group);
  const bool same = found != groups_.end() && found->second->generation() == generation;
  return same ? found->second.get() : nullptr;
}

void ClientSession::group_attached(const std::string& group, std::uint64_t offset, bool recovered) {
  const std::string& id = groups_.at(group)->answer_id();
  if (id.empty()) return;
  send([&](std::string& out) {
    append_subscription(out, {.id = id, .group = group, .offset = offset, .recovered = recovered});
  });
}

void ClientSession::group_failed(const std::string& group, const node::Refusal& refusal) {
  const std::string id = groups_.at(group)->answer_id();
  groups_.erase(group);
  if (!id.empty()) reject(id, refusal);
}

void ClientSession::ack(std::uint64_t offset) {
  if (state_ != State::kLive) return close_bad_frame("`ack` before `welcome`");
  if (offset > feed_.highest()) return close_bad_frame("`ack` beyond what was sent");
  if (offset <= acked_) return;
  acked_ = offset;
  shard().node().ack(tenant_, client_, session_, offset);
}

void ClientSession::refresh(const FrameFields& frame) {
  const auto before = principal();
  if (!take_token(frame.token)) return;
  const Principal& now = *principal();
  if (now.tenant != before->tenant || now.client != before->client || !now.is_client) {
    return close(CloseCode::unauthorized, "the new token is not this client's");
  }
  if (state_ != State::kLive) return;
  welcome(feed_.last(), true);
  end_forbidden_subscriptions();
}

void ClientSession::on_accepted(std::uint64_t token, node::Accepted& answer) {
  const std::string id = release_pending(token);
  shard().counters().accepted.add();
  runs_.clear();
  for (const core::RunId& run : answer.runs) runs_.push_back(core::to_text(run));
  send([&](std::string& out) {
    append_accepted(out, {.id = id,
                          .event = answer.event,
                          .seq = answer.seq,
                          .runs = runs_,
                          .correlation = answer.correlation,
                          .duplicate = answer.duplicate});
  });
  say_ok();
}

void ClientSession::on_rejected(std::uint64_t token, node::Refusal& refusal) {
  reject_pending(token, refusal);
}

void ClientSession::reject_pending(std::uint64_t token, const node::Refusal& refusal) {
  reject(release_pending(token), refusal);
  say_ok();
}

void ClientSession::reject_pending(std::uint64_t token, const InputError& error) {
  reject(release_pending(token), error.code, error.message, &error.errors);
  say_ok();
}

// Once what was sent before `slow` is answered, whatever the answers were.
void ClientSession::say_ok() {
  if (!told_slow_ || pending_count_ * 2 >= shard().gateway().options().pending) return;
  told_slow_ = false;
  send_text(kOkFrame);
}

void ClientSession::on_delivery(const node::Delivery& delivery) {
  feed_.on_live(delivery);
}

void ClientSession::deliver(const node::Delivery& delivery, const std::string& group) {
  if (!open()) return;
  shard().counters().deliveries.add();
  run_text_ = core::to_text(delivery.run);
  send([&](std::string& out) {
    append_delivery(out, {.offset = delivery.offset,
                          .group = group,
                          .name = delivery.name,
                          .data_json = delivery.data_json,
                          .run = run_text_,
                          .correlation = delivery.correlation,
                          .causation = delivery.causation,
                          .outcome = delivery.outcome});
  });
  check_unsent();
}

void ClientSession::read_after(std::uint64_t offset) {
  shard().node().read_deliveries({.tenant = tenant_,
                                  .client = client_,
                                  .after = offset,
                                  .limit = limits::kResumePage,
                                  .bytes = limits::kResumePageBytes},
                                 [shard = &shard(), id = WebsocketSession::id()](
                                     tl::expected<node::DeliveryPage, node::Refusal> page) {
                                   shard->post([shard, id, page = std::move(page)]() mutable {
                                     const auto connection = shard->find(id);
                                     if (!connection || connection->closed()) return;
                                     auto* session =
                                         static_cast<ClientSession*>(connection->owner());
                                     if (page) {
                                       session->feed_.on_page(std::move(*page));
                                     } else {
                                       session->feed_.on_read_failed();
                                     }
                                   });
                                 });
}

bool ClientSession::has_room() {
  return connection().has_room(std::min(limits::kResumeUnsentBytes, limits().unsent_bytes));
}

void ClientSession::resume_feeds() {
  feed_.resume();
  for (auto& [group, feed] : groups_) feed->resume();
}

}  // namespace sluice::gateway
