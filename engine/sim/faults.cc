#include "engine/sim/faults.hpp"

#include "engine/sim/node.hpp"
#include "engine/sim/world.hpp"

namespace sluice::sim {

bool Faults::strikes(unsigned in_thousand) {
  return in_thousand != 0 && world_.faulty() && random_.chance(in_thousand);
}

bool Faults::crashes() {
  ++awaits_;
  if (awaits_ == world_.options.crash_at) return true;
  return strikes(world_.options.crash);
}

Faults::Fate Faults::statement() {
  if (database_down_ || strikes(world_.options.statement_lost)) return Fate::lost;
  if (strikes(world_.options.answer_lost)) return Fate::answer_lost;
  if (strikes(world_.options.statement_late)) return Fate::late;
  return Fate::done;
}

void Faults::plan() {
  const Options& options = world_.options;
  Scheduler& scheduler = world_.scheduler;
  const auto sometime = [&] { return kEpoch + random_.between(0, options.faults_us); };
  for (unsigned i = 0; i < options.pauses; ++i) {
    const auto node = random_.below(options.nodes);
    const TimeUs length = random_.between(1, 12'000) * kMs;
    scheduler.at(sometime(), [this, node, length] { world_.nodes[node]->pause(length); });
  }
  for (unsigned i = 0; i < options.database_stops; ++i) {
    const TimeUs length = random_.between(100, 10'000) * kMs;
    scheduler.at(sometime(), [this, length] {
      database_down_ = true;
      world_.scheduler.after(length, [this] { database_down_ = false; });
    });
  }
  for (unsigned i = 0; i < options.clock_jumps; ++i) {
    const TimeUs by = random_.between(-3600, 3600) * kSecond;
    scheduler.at(sometime(), [this, by] { world_.database.jump_clock(by); });
  }
}

}  // namespace sluice::sim
