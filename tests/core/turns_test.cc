// `concurrency` and `ttl` in one partition: who begins, who is refused, who is superseded, who
// comes too late.
#include <gtest/gtest.h>

#include "tests/core/driver.hpp"
#include "vm/verifier.hpp"

namespace sluice::core::test {
namespace {

struct Turns : testing::Test {
  // One step; so many runs of the tenant at a time.
  void start(vm::Overload overload, std::uint32_t waiting, std::uint64_t ttl_ms = 0) {
    Pipeline pipeline;
    pipeline.steps.resize(1);
    vm::Program made = make_program(pipeline);
    made.flows[0].concurrency = vm::Concurrency{1, overload, waiting, vm::Per::tenant};
    made.flows[0].ttl_ms = ttl_ms;
    driver.programs.add(1, vm::verify(std::move(made)).value());
  }
  // Accepted, with all that followed at once.
  RunId publish(const std::string& id) {
    const RunId run = only<Accepted>(driver.publish("ada", id)).runs.at(0);
    settled = driver.advance(0);
    return run;
  }
  std::optional<Refusal> refused(const std::string& id) {
    const auto answers = all_of<Rejected>(driver.publish("ada", id));
    if (answers.empty()) return std::nullopt;
    return answers[0].code;
  }

  Driver driver;
  Effects settled;
};

TEST_F(Turns, AQueueHasRoomForSoManyAndNoMore) {
  start(vm::Overload::queue, 2);
  for (const char* id : {"1", "2", "3"}) publish(id);
  EXPECT_EQ(refused("4"), Refusal::busy);
  driver.done(only<Offer>(driver.effects), "x");  // the first ends, the second begins
  driver.advance(0);
  EXPECT_EQ(refused("4"), std::nullopt);
  EXPECT_EQ(refused("5"), Refusal::busy);
  driver.fold();
}

TEST_F(Turns, WhoeverCameFirstBeginsFirst) {
  start(vm::Overload::wait, 10);
  publish("1");
  const Offer first = only<Offer>(settled);
  const RunId second = publish("2");
  publish("3");
  driver.done(first, "x");
  EXPECT_EQ(only<Offer>(driver.advance(0)).key.run, second);
  driver.fold();
}

TEST_F(Turns, ANewerRunTakesThePlaceOfTheOneThatGoesOn) {
  start(vm::Overload::newest_wins, 10);
  const RunId first = publish("1");
  const RunId second = publish("2");
  const auto ended = only<RunChanged>(settled).row;
  EXPECT_EQ(ended.run, first);
  EXPECT_EQ(ended.state, RunState::superseded);
  EXPECT_EQ(only<Offer>(settled).key.run, second);
  driver.fold();
}

TEST_F(Turns, OnlyARunThatHasNotBegunGetsTooOld) {
  start(vm::Overload::wait, 10, 500);
  const RunId first = publish("1");
  const RunId second = publish("2");
  const auto ended = only<RunChanged>(driver.advance(500 * kMs)).row;
  EXPECT_EQ(ended.run, second);
  EXPECT_EQ(ended.why.substr(0, 9), "TimedOut:");
  EXPECT_TRUE(driver.partition.run(first).has_value());
  driver.fold();
}

TEST_F(Turns, AnEventThatWasTooLongOnItsWayIsNotTaken) {
  const std::string data = ask("hi");
  Event event;
  event.deployment = 1;
  event.client = "ada";
  event.id = "1";
  event.data = data;
  event.ttl_ms = 1000;
  const auto admit = [&](TimeUs waited) {
    return driver.partition.admit(kTenant, event, driver.now, {}, waited);
  };
  EXPECT_FALSE(admit(999 * kMs).has_value());
  const auto late = admit(1000 * kMs);
  ASSERT_TRUE(late.has_value());
  EXPECT_EQ(std::get<Rejected>(*late).code, Refusal::expired);
}

}  // namespace
}  // namespace sluice::core::test
