// What a client's socket shows of runs that are under way: streams, and runs that it watches.
#include <fmt/format.h>

#include <charconv>

#include "gateway/limits.hpp"
#include "gateway/net/client_session.hpp"
#include "gateway/net/gateway.hpp"

namespace sluice::gateway {

using std::chrono::steady_clock;

// ---- live streams

void ClientSession::on_stream(const node::StreamUpdate& update) {
  if (!open()) return;
  streams_.on_update(update, steady_clock::now());
  wake_for_streams();
}

void ClientSession::on_wake(Time now) {
  wake_.reset();
  if (!open()) return;
  streams_.on_time(now);
  wake_for_streams();
}

void ClientSession::wake_for_streams() {
  const auto due = streams_.next_due();
  if (!due || (wake_ && *wake_ <= *due)) return;
  wake_ = due;
  shard().wake_at(*due, WebsocketSession::id());
}

void ClientSession::send_token(const node::StreamUpdate& stream, std::uint64_t n,
                               std::string_view text) {
  run_text_ = core::to_text(stream.run);
  send([&](std::string& out) {
    append_token(
        out,
        {.run = run_text_, .step = stream.step, .attempt = stream.attempt, .n = n, .data = text});
  });
}

void ClientSession::send_stream(const node::StreamUpdate& stream) {
  static constexpr std::string_view kWords[] = {"open",     "reset",  "",         "snapshot",
                                                "complete", "failed", "cancelled"};
  const bool snapshot = stream.what == node::StreamUpdate::What::snapshot;
  run_text_ = core::to_text(stream.run);
  send([&](std::string& out) {
    append_stream(out, {.run = run_text_,
                        .step = stream.step,
                        .attempt = stream.attempt,
                        .status = kWords[static_cast<std::size_t>(stream.what)],
                        .text = snapshot ? &stream.text : nullptr});
  });
  if (const auto number = told_.note(stream)) ping(fmt::format_int(*number).c_str());
  check_unsent();
}

void ClientSession::on_pong(std::string_view payload) {
  std::uint64_t number = 0;
  const char* end = payload.data() + payload.size();
  const auto read = std::from_chars(payload.data(), end, number);
  if (read.ec == std::errc() && read.ptr == end) told_.heard(number);
}

// One that is open was shown as a snapshot, and its end will follow.
void ClientSession::inherit_streams(const std::vector<node::StreamUpdate>& told) {
  if (state_ != State::kLive) return shard().gateway().keep_told_streams(session_key_, told);
  for (const node::StreamUpdate& stream : told) {
    if (!open()) return;
    const bool known = streams_.knows(stream.run, stream.step_number) ||
                       told_.knows(stream.run, stream.step_number);
    if (known) continue;
    if (const auto end = shard().node().stream_end(stream)) send_stream(*end);
  }
}

bool ClientSession::has_stream_room() const {
  return const_cast<ClientSession*>(this)->connection().unsent() < limits::kStreamUnsentBytes;
}

std::optional<node::StreamUpdate> ClientSession::read_stream(const core::RunId& run,
                                                             std::uint32_t step_number) {
  return shard().node().stream_snapshot(run, step_number);
}

// ---- watched runs

void ClientSession::watch(const FrameFields& frame) {
  const std::string id = frame.has(kFieldId) ? frame.id : std::string();
  if (state_ != State::kLive) return reject(id, ErrorCode::unavailable, "wait for `welcome`");
  const auto run = core::parse_run_id(frame.run);
  if (!run) return reject(id, ErrorCode::unknown_run, "there is no such run");
  if (watches_.size() >= limits::kWatchesPerSocket) {
    return reject(id, ErrorCode::busy, "this socket watches too many runs");
  }
  const auto watch = watches_.try_emplace(*run).first;
  begin_watch(watch);
  ++watch->second.asking;
  shard().node().read_run(
      tenant_, *run,
      [shard = &shard(), me = WebsocketSession::id(), run = *run,
       id](tl::expected<node::RunRow, node::Refusal> row) {
        shard->post([shard, me, run, id, row = std::move(row)] {
          const auto connection = shard->find(me);
          if (!connection || connection->closed()) return;
          static_cast<ClientSession*>(connection->owner())->on_watched(run, id, row);
        });
      });
}

void ClientSession::begin_watch(Watches::iterator watch) {
  if (watch->second.state == Watch::State::kWatched) return;
  watch->second.state = Watch::State::kWatched;
  watch->second.told = false;
  const std::uint64_t me = WebsocketSession::id();
  shard().watch_run(watch->first, me, [shard = &shard(), me](const node::RunState& state) {
    const auto connection = shard->find(me);
    if (!connection || connection->closed()) return;
    static_cast<ClientSession*>(connection->owner())->on_run(state);
  });
}

void ClientSession::end_watch(Watches::iterator watch, Watch::State why) {
  if (watch->second.state == Watch::State::kWatched) {
    shard().unwatch_run(watch->first, WebsocketSession::id());
    watch->second.state = why;
  }
  watch->second.meanwhile.reset();
  if (watch->second.asking == 0) watches_.erase(watch);
}

// Each `watch` is answered, also one that was overtaken: by an `unwatch`, or by the run's end.
void ClientSession::on_watched(const core::RunId& run, const std::string& id,
                               const tl::expected<node::RunRow, node::Refusal>& row) {
  const auto known = watches_.find(run);
  if (known == watches_.end()) return;
  Watch& watch = known->second;
  --watch.asking;
  const bool mine = row && row->client == client_;
  if (!mine) {
    end_watch(known, Watch::State::kLeft);
    return row ? reject(id, ErrorCode::unknown_run, "there is no such run")
               : reject(id, row.error());
  }
  accept_watch(id, run, row->correlation);
  if (watch.state == Watch::State::kLeft) return end_watch(known, Watch::State::kLeft);
  send_run(run, row->state, row->step, row->attempt, row->why, row->joined);
  watch.told = true;
  const auto meanwhile = std::exchange(watch.meanwhile, std::nullopt);
  if (row->ended_us != 0 || watch.state == Watch::State::kEnded) {
    end_watch(known, Watch::State::kEnded);
  } else if (meanwhile) {
    on_run(*meanwhile);
  }
}

void ClientSession::on_run(const node::RunState& state) {
  const auto known = watches_.find(state.run);
  if (known == watches_.end() || known->second.state != Watch::State::kWatched) return;
  if (!known->second.told) {
    known->second.meanwhile = state;
    return;
  }
  send_run(state.run, state.state, state.step, state.attempt, state.why, state.joined);
  if (state.ended) end_watch(known, Watch::State::kEnded);
}

void ClientSession::unwatch(const FrameFields& frame) {
  const std::string id = frame.has(kFieldId) ? frame.id : std::string();
  const auto run = core::parse_run_id(frame.run);
  if (!run) return reject(id, ErrorCode::unknown_run, "there is no such run");
  if (const auto known = watches_.find(*run); known != watches_.end()) {
    end_watch(known, Watch::State::kLeft);
    // An end that was told before does not matter to who leaves.
    if (const auto kept = watches_.find(*run); kept != watches_.end())
      kept->second.state = Watch::State::kLeft;
  }
  accept_watch(id, *run, "");
}

// Only who gave an `id` waits for an answer.
void ClientSession::accept_watch(std::string_view id, const core::RunId& run,
                                 std::string_view correlation) {
  if (id.empty()) return;
  runs_.assign(1, core::to_text(run));
  send([&](std::string& out) {
    append_accepted(out, {.id = id, .event = "", .runs = runs_, .correlation = correlation});
  });
}

void ClientSession::send_run(const core::RunId& run, std::string_view state, std::string_view step,
                             std::uint32_t attempt, std::string_view why,
                             const core::RunId& joined) {
  run_text_ = core::to_text(run);
  const std::string joined_text = joined.is_nil() ? std::string() : core::to_text(joined);
  send([&](std::string& out) {
    append_run(out, {.run = run_text_,
                     .state = state == "running" ? "started" : state,
                     .step = step,
                     .attempt = attempt,
                     .why = why,
                     .joined = joined_text});
  });
}

}  // namespace sluice::gateway
