// What waits for what inside the dispatcher: attempts in queues, one per (tenant, task), and
// workers that have credit in the lists of the queues that they serve. All lists are linked through
// their members, so that each is left in O(1).
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "engine/core/effect.hpp"
#include "engine/core/ids.hpp"
#include "engine/dispatch/due_heap.hpp"

namespace sluice::dispatch {

// Queues that nobody needs are kept up to this number, so that a task with little traffic does not
// make and drop its queue for each attempt.
inline constexpr std::size_t kIdleQueuesMax = 1024;

struct Queue;
struct Task;
struct Worker;

// A doubly linked list through the members' own `Link`s.
struct Link {
  Link* previous = nullptr;
  Link* next = nullptr;
  bool linked() const { return next != nullptr; }
};
class List {
 public:
  List() { end_.previous = end_.next = &end_; }
  List(const List&) = delete;
  List& operator=(const List&) = delete;
  bool empty() const { return end_.next == &end_; }
  Link* first() { return empty() ? nullptr : end_.next; }
  void push_back(Link& link) {
    link.previous = end_.previous;
    link.next = &end_;
    end_.previous->next = &link;
    end_.previous = &link;
  }
  // From whichever list it is in; nothing if in none.
  static void remove(Link& link) {
    if (!link.linked()) return;
    link.previous->next = link.next;
    link.next->previous = link.previous;
    link.previous = link.next = nullptr;
  }

 private:
  Link end_;
};

enum class Phase : std::uint8_t {
  queued,      // waits for a worker
  granting,    // a worker is chosen, its Granted record is on the way
  leased,      // a worker has it
  reclaiming,  // after a failover: somebody may have it and is waited for
  overdue,     // its step's time was over before a worker came; the partition will revoke it
};

struct QueueLink : Link {};
struct IdleQueueLink : Link {
  Queue* queue = nullptr;
};
struct PartitionLink : Link {};

struct Attempt : QueueLink, PartitionLink, Due {
  core::Offer offer;
  Phase phase = Phase::queued;
  bool returned = false;  // stands in Queue::returned
  Queue* queue = nullptr;
  core::WorkerId worker{};        // granting, leased
  std::uint64_t reserved_by = 0;  // granting: Worker::joined of the one whose credit is reserved
  std::uint64_t nonce = 0;        // leased
  core::TimeUs offered_at = 0;
  core::TimeUs queue_end = 0;  // until when it waits for a worker; 0: for ever
  core::TimeUs lease_end = 0;
  core::TimeUs timeout_at = 0;  // 0: none
};

// A worker's place among those that wait for one queue, or for one task of any tenant.
struct Membership : Link {
  Worker* worker = nullptr;
  Queue* queue = nullptr;  // exactly one of the two
  Task* task = nullptr;
};

struct Worker {
  core::WorkerId id{};
  std::uint64_t joined = 0;  // a worker that joins again is another one
  bool all_tenants = false;
  std::uint32_t credit = 0;
  std::uint32_t reserved = 0;  // of the credit, for attempts whose grant is on the way
  std::deque<Membership> memberships;

  std::uint32_t available() const { return credit > reserved ? credit - reserved : 0; }
};

// Attempts of one task for one tenant, in order of `Due::order`. As a Link it stands among its
// task's queues that are not empty.
struct Queue : Link {
  Task* task = nullptr;
  core::TenantId tenant{};
  std::size_t users = 0;  // attempts that belong here, waiting or not, and workers
  std::size_t workers = 0;
  List waiting;  // attempts that were never taken out: rising order
  // Taken out and given back: all of lower order than those in `waiting`.
  std::map<std::uint64_t, Attempt*> returned;
  List idle;                 // workers (Membership) that may have credit
  IdleQueueLink idle_queue;  // among the queues without users
  std::string key;           // in Queues::queues_

  bool empty() const { return waiting.empty() && returned.empty(); }
  // REQUIRES: not empty.
  Attempt& head() {
    if (!returned.empty()) return *returned.begin()->second;
    return static_cast<Attempt&>(static_cast<QueueLink&>(*waiting.first()));
  }
};

struct Task {
  std::string name;
  std::size_t users = 0;    // queues, and workers of all tenants
  std::size_t workers = 0;  // of all tenants
  List ready;               // queues that are not empty, in the order in which tenants take turns
  List idle;                // workers of all tenants (Membership) that may have credit
};

// Owns the queues and tasks.
class Queues {
 public:
  Queues() = default;
  ~Queues();
  Queues(const Queues&) = delete;
  Queues& operator=(const Queues&) = delete;

  // With one user more; `leave` ends that.
  Queue& enter(core::TenantId tenant, std::string_view task);
  Task& enter(std::string_view task);
  void leave(Queue& queue);
  void leave(Task& task);

  // Null: nobody needs it at present.
  const Queue* find(core::TenantId tenant, std::string_view task) const;
  const Task* find(std::string_view task) const;

  void push(Queue& queue, Attempt& attempt);  // at the end
  void give_back(Attempt& attempt);           // where it stood before it was taken out
  void take_out(Attempt& attempt);            // REQUIRES: it stands in its queue
  // The same for a worker of all tenants: the tenant's turn is over.
  void take_in_turn(Attempt& attempt);

 private:
  struct NameHash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const {
      return std::hash<std::string_view>{}(text);
    }
  };
  template <class T>
  using ByName = std::unordered_map<std::string, std::unique_ptr<T>, NameHash, std::equal_to<>>;

  void update_ready(Queue& queue);
  void drop(Queue& queue);

  ByName<Task> tasks_;
  ByName<Queue> queues_;  // by tenant and task name, as queue_key makes it
  List idle_queues_;
  std::size_t idle_queue_count_ = 0;
  std::string key_;  // kept for its memory
};

}  // namespace sluice::dispatch
