#include "engine/sim/options.hpp"

#include <fmt/format.h>

#include <array>

#include "engine/sim/random.hpp"

namespace sluice::sim {

namespace {

constexpr std::array<std::string_view, kPlants> kPlantNames = {
    "none",
    "journal_drops_batch",
    "journal_drops_record",
    "journal_doubles_batch",
    "journal_swaps_records",
    "journal_ignores_epoch",
    "time_falls",
    "effect_before_commit",
    "duplicate_before_commit",
    "checkpoint_corrupted",
    "checkpoint_of_past",
    "checkpoint_never_ended",
    "fold_skips_record",
    "dedupe_forgotten",
    "keys_confused",
    "unsafe_handed_out_twice",
    "report_used_twice",
    "end_doubled",
    "timer_lost",
    "offer_lost",
    "offset_given_twice",
    "offset_skipped",
    "delivery_changed",
    "message_taken_twice",
    "message_given_up",
    "message_changed",
    "key_changed",
    "signal_dropped",
    "instant_doubled",
    "grace_ignored",
    "presence_doubled",
};

// Most runs have few kinds of faults: a bug that needs one is not hidden by the noise of all.
unsigned sometimes(Random& random, unsigned most) {
  return random.chance(400) ? static_cast<unsigned>(random.between(1, most)) : 0;
}

}  // namespace

std::string_view plant_name(Plant plant) {
  return kPlantNames[static_cast<std::size_t>(plant)];
}

std::optional<Plant> parse_plant(std::string_view name) {
  for (std::size_t i = 0; i < kPlantNames.size(); ++i) {
    if (kPlantNames[i] == name) return static_cast<Plant>(i);
  }
  return std::nullopt;
}

Options draw_options(std::uint64_t seed) {
  Random random = Random(seed).split("options");
  const auto pick = [&](unsigned low, unsigned high) {
    return static_cast<unsigned>(random.between(low, high));
  };
  Options o;
  o.seed = seed;
  o.partitions = pick(1, 4);
  o.nodes = pick(1, 2);
  o.tenants = pick(1, 2);
  o.clients = pick(1, 6);
  o.events_per_client = pick(1, 12);
  o.workers = pick(1, 4);
  o.credit = pick(1, 8);
  o.batch_max = random.chance(300) ? pick(1, 3) : pick(4, 64);
  o.checkpoint_every = random.chance(700) ? pick(5, 120) : 0;
  o.database_us = random.between(50, random.chance(300) ? 20'000 : 1'000);
  o.network_us = random.between(20, random.chance(300) ? 50'000 : 2'000);
  o.work_us = random.between(1'000, random.chance(300) ? 1'500'000 : 100'000);
  o.faults_us = random.between(1, 30) * kSecond;
  o.crash = sometimes(random, 6);
  o.statement_lost = sometimes(random, 60);
  o.answer_lost = sometimes(random, 60);
  o.statement_late = sometimes(random, 40);
  o.frame_lost = sometimes(random, 60);
  o.frame_doubled = sometimes(random, 60);
  o.frame_late = sometimes(random, 60);
  o.pauses = sometimes(random, 3);
  o.database_stops = sometimes(random, 2);
  o.clock_jumps = sometimes(random, 2);
  o.skew_us = random.chance(300) ? random.between(0, 900 * kMs) : 0;
  o.worker_crash = sometimes(random, 60);
  o.worker_hangs = sometimes(random, 60);
  o.worker_fails = sometimes(random, 250);
  o.worker_lies = sometimes(random, 150);
  o.worker_leaves = sometimes(random, 80);
  o.client_leaves = sometimes(random, 150);
  o.client_repeats = sometimes(random, 300);
  o.client_cancels = sometimes(random, 100);
  o.outbox_messages = random.chance(400) ? pick(1, 6) : 0;
  o.all_topics = random.chance(700);
  o.client_goes = sometimes(random, 60);
  return o;
}

std::string describe(const Options& o) {
  std::string text = fmt::format(
      "partitions {} nodes {} tenants {} clients {} events {} workers {} credit {} batch {} "
      "checkpoint {} database_us {} network_us {} work_us {} faults_s {}",
      o.partitions, o.nodes, o.tenants, o.clients, o.events_per_client, o.workers, o.credit,
      o.batch_max, o.checkpoint_every, o.database_us, o.network_us, o.work_us,
      o.faults_us / kSecond);
  const auto add = [&](const char* name, auto value) {
    if (value != 0) text += fmt::format(" {} {}", name, value);
  };
  add("all_topics", o.all_topics ? 1 : 0);
  add("outbox", o.outbox_messages);
  add("crash", o.crash);
  add("crash_at", o.crash_at);
  add("statement_lost", o.statement_lost);
  add("answer_lost", o.answer_lost);
  add("statement_late", o.statement_late);
  add("frame_lost", o.frame_lost);
  add("frame_doubled", o.frame_doubled);
  add("frame_late", o.frame_late);
  add("pauses", o.pauses);
  add("database_stops", o.database_stops);
  add("clock_jumps", o.clock_jumps);
  add("skew_us", o.skew_us);
  add("worker_crash", o.worker_crash);
  add("worker_hangs", o.worker_hangs);
  add("worker_fails", o.worker_fails);
  add("worker_lies", o.worker_lies);
  add("worker_leaves", o.worker_leaves);
  add("client_leaves", o.client_leaves);
  add("client_repeats", o.client_repeats);
  add("client_cancels", o.client_cancels);
  add("client_goes", o.client_goes);
  if (o.plant != Plant::none) text += fmt::format(" plant {}", plant_name(o.plant));
  return text;
}

}  // namespace sluice::sim
