// The line between a node and the database: Node::statement.
#pragma once

#include "engine/sim/node.hpp"

namespace sluice::sim {

// A node's lease on its partitions, and how long before its end it stops by itself.
inline constexpr TimeUs kNodeLease = 5 * kSecond;
inline constexpr TimeUs kOwnerMargin = 2 * kSecond;

template <class Answer>
void Node::statement(std::function<Answer(Database&)> execute,
                     std::function<void(std::optional<Answer>)> done) {
  if (!up_ || crash_here()) return;
  const Faults::Fate fate = world_.faults.statement();
  const TimeUs there = world_.faults.up_to(world_.options.database_us);
  const TimeUs back = world_.faults.up_to(world_.options.database_us);
  world_.scheduler.after(there, [this, boot = boot_, fate, back, execute, done] {
    std::optional<Answer> answer;
    if (fate == Faults::Fate::done || fate == Faults::Fate::answer_lost) {
      answer = execute(world_.database);
      if (fate == Faults::Fate::answer_lost) answer.reset();
    } else if (fate == Faults::Fate::late) {
      // Its backend goes on with it, whatever became of the sender.
      world_.scheduler.after(world_.faults.up_to(8 * kSecond),
                             [this, execute] { execute(world_.database); });
    }
    if (boot_ != boot || crash_here()) return;
    plan(back, [this, answer, done] {
      if (!crash_here()) done(answer);
    });
  });
}

}  // namespace sluice::sim
