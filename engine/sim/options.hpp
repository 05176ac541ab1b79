// What a simulated run is like. The seed draws the options, then the run; so a seed alone names a
// run for ever (of one version of the simulation).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "engine/sim/scheduler.hpp"

namespace sluice::sim {

// A bug put into the shell or the database model to see that its checker finds it. None of these
// touches production code.
enum class Plant : std::uint8_t {
  none,
  journal_drops_batch,      // says that a batch is in, and forgets it
  journal_drops_record,     // loses one record out of a batch
  journal_doubles_batch,    // a batch that is sent again is stored again
  journal_swaps_records,    // stores two records of a batch in the wrong order
  journal_ignores_epoch,    // a fenced owner's batch passes
  time_falls,               // a stored record's time is earlier than the one before
  effect_before_commit,     // effects leave when their batch is sent
  duplicate_before_commit,  // the answer to a repeat does not wait for the first
  checkpoint_corrupted,     // a stored row is damaged
  checkpoint_of_past,       // a row of an older generation is read
  checkpoint_never_ended,   // rows of one that was never committed stay
  fold_skips_record,        // recovery leaves a record out
  dedupe_forgotten,         // after a restart a repeat is taken for new
  keys_confused,            // another key's answer is given
  unsafe_handed_out_twice,  // after a failover an unsafe attempt is offered at once
  report_used_twice,        // a closed attempt's report is journaled
  end_doubled,              // a run's outcome is delivered twice
  timer_lost,               // a timer never fires
  offer_lost,               // an attempt is never offered
  offset_given_twice,       // two deliveries get one offset
  offset_skipped,           // a delivery's row is not stored
  delivery_changed,         // a delivery that is read again differs
  message_taken_twice,      // a message that comes again is journaled again
  message_given_up,         // one that came too early is acknowledged and dropped
  message_changed,          // what is taken is not what was sent
  key_changed,              // an event's key is altered on its way into the journal
  signal_dropped,           // a signal is answered, and not journaled
  instant_doubled,          // after a takeover the last instant of a schedule is journaled again
  grace_ignored,            // a client whose socket has gone is away at once
  presence_doubled,         // what a run knows of its client is journaled again
};
std::string_view plant_name(Plant plant);
std::optional<Plant> parse_plant(std::string_view name);
inline constexpr unsigned kPlants = static_cast<unsigned>(Plant::presence_doubled) + 1;

// Chances are in a thousand.
struct Options {
  std::uint64_t seed = 0;
  Plant plant = Plant::none;

  unsigned partitions = 1;
  unsigned nodes = 1;
  unsigned tenants = 1;
  unsigned clients = 1;
  unsigned events_per_client = 1;
  unsigned workers = 1;
  unsigned credit = 1;
  unsigned batch_max = 1;         // records of one statement
  unsigned checkpoint_every = 0;  // records; 0: never
  bool all_topics = false;        // not only asks, notes and turns
  unsigned outbox_messages = 0;   // beyond which runs wait to send; 0: as in production
  TimeUs database_us = 0;         // a statement takes up to this
  TimeUs network_us = 0;          // a frame takes up to this
  TimeUs work_us = 0;             // a task takes up to this, if nothing is wrong

  // Until this time from the beginning; then everything works, and everything must end.
  TimeUs faults_us = 0;
  unsigned crash = 0;           // of a node, at each await
  std::uint64_t crash_at = 0;   // at exactly this await of the whole run; 0: nowhere
  unsigned statement_lost = 0;  // never executed
  unsigned answer_lost = 0;     // executed, and the sender does not learn it
  unsigned statement_late = 0;  // given up by the sender, executed seconds later
  unsigned frame_lost = 0;
  unsigned frame_doubled = 0;
  unsigned frame_late = 0;
  unsigned pauses = 0;          // of nodes, in the whole run
  unsigned database_stops = 0;  // in the whole run
  unsigned clock_jumps = 0;     // of the database's clock, up to an hour, in the whole run
  TimeUs skew_us = 0;           // a node's clock is off by up to this
  unsigned worker_crash = 0;    // at each task
  unsigned worker_hangs = 0;
  unsigned worker_fails = 0;
  unsigned worker_lies = 0;     // reports twice, late, or garbage
  unsigned worker_leaves = 0;   // loses its socket, and comes back with its leases
  unsigned client_leaves = 0;   // at each delivery
  unsigned client_repeats = 0;  // sends again what is accepted
  unsigned client_cancels = 0;  // cancels a run that it started
  unsigned client_goes = 0;     // stays without a socket for some time; asked a few times a second
};

Options draw_options(std::uint64_t seed);
// One line, for the report.
std::string describe(const Options& options);

}  // namespace sluice::sim
