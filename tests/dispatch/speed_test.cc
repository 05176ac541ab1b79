// What an offer, its hand-out and its report cost when many attempts are open: work that grows with
// their number would show at once.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <chrono>

#include "engine/dispatch/dispatcher.hpp"
#include "tests/dispatch/action_text.hpp"

namespace sluice::dispatch {
namespace {

Offer make_offer(unsigned number) {
  Offer offer;
  offer.key = key_of(number & 0xffff);
  offer.key.step = number;
  offer.tenant = TenantId{1 + number % 3};
  offer.task = number % 2 ? "complete" : "search";
  offer.path = "answer/complete";
  offer.args_json = std::string(120, 'a');
  offer.safe = true;
  offer.timeout_ms = 5000 + number % 7 * 1000;
  return offer;
}

double us_per_attempt(unsigned open, unsigned rounds) {
  Dispatcher dispatcher({.credit_max = 1u << 30});
  Actions actions;
  dispatcher.worker_joined(WorkerId{1}, std::nullopt, {"complete", "search"}, 1u << 30, 0, actions);
  for (unsigned i = 0; i < open; ++i) dispatcher.offer(make_offer(i), i, actions);
  std::vector<Offer> offers;
  for (unsigned i = 0; i < rounds; ++i) offers.push_back(make_offer(open + i));
  std::vector<AttemptKey> keys;
  for (const Offer& offer : offers) keys.push_back(offer.key);
  const auto begin = std::chrono::steady_clock::now();
  for (unsigned i = 0; i < rounds; ++i) {
    actions.clear();
    dispatcher.offer(std::move(offers[i]), open + i, actions);
    dispatcher.reported(keys[i], open + i, actions);
  }
  const std::chrono::duration<double, std::micro> took = std::chrono::steady_clock::now() - begin;
  EXPECT_EQ(dispatcher.stats().handed_out, open);
  return took.count() / rounds;
}

TEST(DispatcherSpeed, DoesNotGrowWithOpenAttempts) {
  const double few = us_per_attempt(100, 50'000);
  const double many = us_per_attempt(100'000, 50'000);
  RecordProperty("us_per_attempt_100_open", fmt::format("{:.3f}", few));
  RecordProperty("us_per_attempt_100000_open", fmt::format("{:.3f}", many));
  fmt::print("offer + hand-out + report: {:.2f} us with 100 open, {:.2f} us with 100000\n", few,
             many);
  // A scan of 100,000 attempts would cost a hundred times this bound even on a busy machine.
  EXPECT_LT(many, few + 20);
}

}  // namespace
}  // namespace sluice::dispatch
