// The dispatcher against the model: the same calls, the same actions, stats and next due time.
#include "tests/dispatch/model.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <string>
#include <vector>

#include "engine/dispatch/dispatcher.hpp"
#include "tests/dispatch/action_text.hpp"

namespace sluice::dispatch {
namespace {

struct Move {
  unsigned what = 0;
  unsigned attempt = 0;
  unsigned worker = 0;
  unsigned number = 0;
  unsigned wait_ms = 0;
};

std::vector<std::string> tasks_of(unsigned number) {
  std::vector<std::string> tasks;
  for (unsigned i = 0; i < 3; ++i) {
    if (number >> i & 1) tasks.push_back(fmt::format("t{}", i));
  }
  return tasks;
}

Offer offer_of(unsigned attempt, unsigned number, TimeUs now) {
  Offer offer;
  offer.key = key_of(attempt, attempt % 2);
  offer.opened = 100 + attempt;
  offer.tenant = TenantId{1 + number % 2};
  offer.task = fmt::format("t{}", number / 2 % 3);
  offer.safe = number / 8 % 2;
  offer.reissued = number / 16 % 2;
  offer.granted = offer.reissued && number / 32 % 2;
  offer.timeout_ms = number / 64 % 3 * 30;
  offer.heartbeat_ms = number / 192 % 2 * 25;
  if (number / 384 % 4 == 3) offer.step_deadline = now + 15'500;
  if (number / 1536 % 3 == 2) offer.queue_deadline = now + 12'300;
  return offer;
}

class Pair {
 public:
  Pair() : dispatcher_(config()), model_(config()) {}

  void apply(const Move& move) {
    now_ += move.wait_ms * core::kUsPerMs;
    Actions actions;
    call(move, actions);
    const std::string text = to_text(actions);
    RC_ASSERT(text == model_.take_actions());
    RC_ASSERT(dispatcher_.next_due() == model_.next_due());
    const DispatcherStats got = dispatcher_.stats();
    const DispatcherStats expected = model_.stats();
    RC_ASSERT(got.workers == expected.workers);
    RC_ASSERT(got.queued == expected.queued);
    RC_ASSERT(got.handed_out == expected.handed_out);
    RC_ASSERT(got.waiting_grant == expected.waiting_grant);
    RC_ASSERT(got.waiting_reclaim == expected.waiting_reclaim);
    handed_out += got.handed_out > 0;
  }

  std::size_t handed_out = 0;

 private:
  static Config config() {
    return {.lease_ms = 40, .reclaim_grace_ms = 20, .requeue_grace_ms = 30, .first_nonce = 10};
  }

  void call(const Move& move, Actions& actions) {
    const AttemptKey key = key_of(move.attempt, move.attempt % 2);
    const WorkerId worker{move.worker};
    switch (move.what) {
      case 0:
      case 1:
      case 2:
        dispatcher_.offer(offer_of(move.attempt, move.number, now_), now_, actions);
        return model_.offer(offer_of(move.attempt, move.number, now_), now_);
      case 3:
        dispatcher_.revoke(key, "cancelled", now_, actions);
        return model_.revoke(key, "cancelled", now_);
      case 4:
      case 5:
        dispatcher_.granted(key, now_, actions);
        return model_.granted(key, now_);
      case 6:
        dispatcher_.reported(key, now_, actions);
        return model_.reported(key, now_);
      case 7:
        return join(move, actions);
      case 8:
      case 9:
        dispatcher_.credit(worker, move.number % 5, now_, actions);
        return model_.credit(move.worker, move.number % 5, now_);
      case 10:
      case 11:
        return renew(move, actions);
      case 12:
        dispatcher_.tick(now_, actions);
        return model_.tick(now_);
      case 13:
        dispatcher_.worker_left(worker, Dispatcher::Leave::lost, now_, actions);
        return model_.left(move.worker);
      default:
        if (move.number % 4 != 0) return;
        dispatcher_.drop_partition(key.partition);
        return model_.drop_partition(key.partition);
    }
  }

  void join(const Move& move, Actions& actions) {
    const unsigned tenant = move.number / 8 % 3;
    const auto tasks = tasks_of(move.number);
    const unsigned credit = move.number / 24 % 4;
    dispatcher_.worker_joined(WorkerId{move.worker},
                              tenant ? std::optional(TenantId{tenant}) : std::nullopt, tasks,
                              credit, now_, actions);
    model_.joined(move.worker, tenant ? std::optional(tenant) : std::nullopt, tasks, credit, now_);
  }

  void renew(const Move& move, Actions& actions) {
    const AttemptKey key = key_of(move.attempt, move.attempt % 2);
    LeaseName lease{key, 100 + move.attempt, model_.nonce_of(key)};
    if (lease.nonce == 0) lease.nonce = move.number % 14;  // an earlier dispatcher's, or a lie
    if (move.number % 11 == 0) lease.opened += 1;
    if (move.number % 13 == 0) lease.args_digest = 1;  // of another history
    if (move.what == 10) {
      dispatcher_.renew(WorkerId{move.worker}, lease, now_, actions);
    } else {
      dispatcher_.reclaim(WorkerId{move.worker}, lease, now_, actions);
    }
    model_.renew(move.worker, lease, move.what == 11, now_);
  }

  Dispatcher dispatcher_;
  Model model_;
  TimeUs now_ = 1'000'000;
};

rc::Gen<Move> any_move() {
  return rc::gen::construct<Move>(rc::gen::inRange(0u, 15u), rc::gen::inRange(1u, 12u),
                                  rc::gen::inRange(1u, 5u), rc::gen::inRange(0u, 1536u),
                                  rc::gen::element(0u, 0u, 1u, 5u, 20u));
}

std::ostream& operator<<(std::ostream& out, const Move& move) {
  return out << fmt::format("{{{}, {}, {}, {}, {}}}", move.what, move.attempt, move.worker,
                            move.number, move.wait_ms);
}

TEST(DispatcherModel, SameCallsSameActions) {
  std::size_t handed_out = 0;
  const bool held = rc::check("the dispatcher does what the model does", [&] {
    const auto moves = *rc::gen::resize(300, rc::gen::container<std::vector<Move>>(any_move()));
    Pair pair;
    for (const Move& move : moves) pair.apply(move);
    handed_out += pair.handed_out;
  });
  EXPECT_TRUE(held);
  EXPECT_GT(handed_out, 1000u) << "the moves never led to a hand-out";
}

}  // namespace
}  // namespace sluice::dispatch
