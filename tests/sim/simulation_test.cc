// The simulation holds for fixed and for random seeds, and finds each planted bug.
#include "engine/sim/simulation.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <chrono>
#include <random>
#include <string>
#include <vector>

#include "engine/sim/workload_program.hpp"

namespace sluice::sim {
namespace {

const std::shared_ptr<const vm::VerifiedProgram>& program() {
  static const auto verified = workload_program();
  return verified;
}

std::string command(const Options& options) {
  std::string text = fmt::format("sluice_sim --seed {} --runs 1 --trace", options.seed);
  if (options.plant != Plant::none) text += fmt::format(" --plant {}", plant_name(options.plant));
  if (options.crash_at != 0) text += fmt::format(" --crash-at {}", options.crash_at);
  return text;
}

Outcome expect_held(const Options& options) {
  const Outcome outcome = simulate(options, program());
  for (const Violation& violation : outcome.violations) {
    ADD_FAILURE() << "seed " << options.seed << ": " << describe(violation)
                  << "\n  with: " << describe(options) << "\n  again: " << command(options);
  }
  return outcome;
}

struct Totals {
  std::uint64_t records = 0, takeovers = 0, checkpoints = 0;
  Happened happened;
  void add(const Outcome& outcome) {
    records += outcome.records;
    takeovers += outcome.takeovers;
    checkpoints += outcome.checkpoints;
    for (const auto& [what, count] : outcome.happened) happened[what] += count;
  }
};

// What the workload is about: all of it happens.
constexpr const char* kHappens[] = {"a child was called off",
                                    "a child joined another run",
                                    "a receive by away got one",
                                    "a receive by away ran out of time",
                                    "a receive by back got one",
                                    "a receive by back ran out of time",
                                    "a receive by chat ran out of time",
                                    "a receive by glance got one",
                                    "a receive by glance ran out of time",
                                    "a receive by id got one",
                                    "a receive by id ran out of time",
                                    "a receive by other got one",
                                    "a receive by word got one",
                                    "a receive by word ran out of time",
                                    "a run told another in vain",
                                    "a step was hedged",
                                    "an attempt spoke first",
                                    "an event began the next run, or another heard of it",
                                    "an event came before its subscription",
                                    "an event was heard",
                                    "an event was taken back",
                                    "an instant came",
                                    "answer cancelled",
                                    "answer completed",
                                    "answer failed",
                                    "chat completed",
                                    "chat joined",
                                    "echo completed",
                                    "errand completed",
                                    "fetch cancelled",
                                    "glance completed",
                                    "memo completed",
                                    "mind completed",
                                    "pair completed",
                                    "refused event busy",
                                    "refused signal busy",
                                    "refused signal unexpected",
                                    "review completed",
                                    "room completed",
                                    "room joined",
                                    "solo completed",
                                    "speak completed",
                                    "talk completed",
                                    "tick completed",
                                    "turn superseded",
                                    "visit completed",
                                    "watch completed",
                                    "what had not been taken yet was over"};

TEST(Simulation, FixedSeedsHold) {
  Totals totals;
  for (std::uint64_t seed = 1; seed <= 200; ++seed) totals.add(expect_held(draw_options(seed)));
  // If nothing happens, nothing is tested.
  EXPECT_GT(totals.records, 10'000u);
  EXPECT_GT(totals.takeovers, 400u);
  EXPECT_GT(totals.checkpoints, 100u);
  for (const char* what : kHappens) EXPECT_GE(totals.happened[what], 5u) << what;
}

// Seeds that once failed.
TEST(Simulation, SeedsThatFailedHold) {
  const std::vector<std::uint64_t> seeds = {109, 146, 173, 3205, 11618, 1002447, 10312800206967};
  for (const std::uint64_t seed : seeds) expect_held(draw_options(seed));
}

TEST(Simulation, RandomSeedsHold) {
  using Clock = std::chrono::steady_clock;
  const auto end = Clock::now() + std::chrono::seconds(4);
  std::uint64_t seed = std::uint64_t{std::random_device{}()} << 16;
  fmt::print("random seeds from {}\n", seed);
  std::fflush(stdout);
  unsigned runs = 0;
  for (; runs < 500 && Clock::now() < end && !testing::Test::HasFailure(); ++runs, ++seed) {
    expect_held(draw_options(seed));
  }
  fmt::print("{} random seeds\n", runs);
}

TEST(Simulation, OneSeedOneRun) {
  for (std::uint64_t seed = 300; seed < 310; ++seed) {
    const Outcome first = simulate(draw_options(seed), program());
    const Outcome second = simulate(draw_options(seed), program());
    EXPECT_EQ(first.digest, second.digest) << "seed " << seed;
    EXPECT_EQ(first.steps, second.steps) << "seed " << seed;
    EXPECT_EQ(first.awaits, second.awaits) << "seed " << seed;
  }
}

// A small run in which nothing breaks.
Options quiet_options(std::uint64_t seed) {
  Options options;
  options.seed = seed;
  options.partitions = 2;
  options.clients = 2;
  options.events_per_client = 2;
  options.workers = 1;
  options.credit = 4;
  options.batch_max = 8;
  options.checkpoint_every = 6;
  options.database_us = 500;
  options.network_us = 500;
  options.work_us = 20'000;
  options.faults_us = kSecond;
  return options;
}

void crash_at_every_await(const Options& quiet) {
  const std::uint64_t awaits = expect_held(quiet).awaits;
  ASSERT_GT(awaits, 100u);
  Totals totals;
  for (std::uint64_t at = 1; at <= awaits && !testing::Test::HasFailure(); ++at) {
    Options options = quiet;
    options.crash_at = at;
    totals.add(expect_held(options));
  }
  EXPECT_GT(totals.takeovers, 2 * awaits) << "the crashes did not happen";
}

TEST(Simulation, ACrashAtEveryAwait) {
  crash_at_every_await(quiet_options(5));
}

// Signals, subscriptions, children, a schedule.
TEST(Simulation, ACrashAtEveryAwaitOfTheWholeWorkload) {
  Options options = quiet_options(5);
  options.all_topics = true;
  options.events_per_client = 5;
  crash_at_every_await(options);
}

struct PlantRow {
  Plant plant;
  unsigned invariant;
  std::uint64_t from = 1;  // the seed from which to look for an occasion
  bool quiet = false;      // only a run in which nothing else breaks shows it
};

// The first seed, of a bounded number, at which the named checker finds the bug.
void check(const PlantRow& row) {
  SCOPED_TRACE(plant_name(row.plant));
  bool had_occasion = false;
  for (std::uint64_t seed = row.from; seed < row.from + 300; ++seed) {
    Options options = row.quiet ? quiet_options(seed) : draw_options(seed);
    options.plant = row.plant;
    const Outcome planted = simulate(options, program());
    had_occasion = had_occasion || planted.planted;
    for (const Violation& violation : planted.violations) {
      EXPECT_TRUE(planted.planted) << "seed " << seed << ": " << describe(violation);
      if (violation.invariant != row.invariant) continue;
      // The same run without the bug holds: it is the bug that was found.
      options.plant = Plant::none;
      expect_held(options);
      return;
    }
  }
  ADD_FAILURE() << (had_occasion ? "the checker did not find it" : "it never had an occasion");
}

TEST(PlantedBug, IsFoundByItsChecker) {
  const std::vector<PlantRow> rows = {
      {Plant::journal_drops_batch, 2},
      {Plant::journal_drops_record, 1},
      {Plant::journal_doubles_batch, 1},
      {Plant::journal_swaps_records, 1},
      {Plant::journal_ignores_epoch, 2},
      {Plant::time_falls, 1},
      {Plant::effect_before_commit, 2},
      {Plant::duplicate_before_commit, 2},
      {Plant::checkpoint_corrupted, 3},
      {Plant::checkpoint_of_past, 3},
      {Plant::checkpoint_never_ended, 3, 100},
      {Plant::fold_skips_record, 3},
      {Plant::dedupe_forgotten, 4},
      {Plant::keys_confused, 4},
      {Plant::unsafe_handed_out_twice, 5},
      {Plant::report_used_twice, 5},
      {Plant::end_doubled, 5},
      {Plant::timer_lost, 9},
      {Plant::offer_lost, 9, 1, true},
      {Plant::offset_given_twice, 7},
      {Plant::offset_skipped, 7},
      {Plant::delivery_changed, 7},
      {Plant::message_taken_twice, 6},
      {Plant::message_given_up, 6},
      {Plant::message_changed, 6},
      {Plant::key_changed, 13},
      {Plant::signal_dropped, 14},
      {Plant::instant_doubled, 17},
      {Plant::grace_ignored, 20},
      {Plant::presence_doubled, 20},
  };
  EXPECT_EQ(rows.size() + 1, kPlants) << "a planted bug without a row";
  for (const PlantRow& row : rows) check(row);
}

}  // namespace
}  // namespace sluice::sim
