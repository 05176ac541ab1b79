#include "engine/dispatch/queues.hpp"

namespace sluice::dispatch {

namespace {

void make_key(core::TenantId tenant, std::string_view task, std::string& key) {
  key.clear();
  for (unsigned shift = 0; shift < 32; shift += 8) {
    key.push_back(static_cast<char>(core::number(tenant) >> shift));
  }
  key.append(task);
}

}  // namespace

Queues::~Queues() = default;

Queue& Queues::enter(core::TenantId tenant, std::string_view task) {
  make_key(tenant, task, key_);
  auto found = queues_.find(key_);
  if (found == queues_.end()) {
    auto made = std::make_unique<Queue>();
    made->task = &enter(task);
    made->tenant = tenant;
    made->key = key_;
    made->idle_queue.queue = made.get();
    found = queues_.emplace(key_, std::move(made)).first;
  } else if (found->second->idle_queue.linked()) {
    List::remove(found->second->idle_queue);
    --idle_queue_count_;
  }
  ++found->second->users;
  return *found->second;
}

Task& Queues::enter(std::string_view task) {
  auto found = tasks_.find(task);
  if (found == tasks_.end()) {
    auto made = std::make_unique<Task>();
    made->name = task;
    found = tasks_.emplace(std::string(task), std::move(made)).first;
  }
  ++found->second->users;
  return *found->second;
}

const Queue* Queues::find(core::TenantId tenant, std::string_view task) const {
  std::string key;
  make_key(tenant, task, key);
  const auto found = queues_.find(key);
  return found == queues_.end() ? nullptr : found->second.get();
}

const Task* Queues::find(std::string_view task) const {
  const auto found = tasks_.find(task);
  return found == tasks_.end() ? nullptr : found->second.get();
}

void Queues::leave(Queue& queue) {
  if (--queue.users > 0) return;
  idle_queues_.push_back(queue.idle_queue);
  if (++idle_queue_count_ <= kIdleQueuesMax) return;
  drop(*static_cast<IdleQueueLink&>(*idle_queues_.first()).queue);
}

void Queues::drop(Queue& queue) {
  List::remove(queue.idle_queue);
  --idle_queue_count_;
  leave(*queue.task);
  queues_.erase(queues_.find(queue.key));
}

void Queues::leave(Task& task) {
  if (--task.users == 0) tasks_.erase(tasks_.find(task.name));
}

void Queues::push(Queue& queue, Attempt& attempt) {
  attempt.queue = &queue;
  queue.waiting.push_back(static_cast<QueueLink&>(attempt));
  update_ready(queue);
}

void Queues::give_back(Attempt& attempt) {
  attempt.queue->returned.emplace(attempt.order, &attempt);
  attempt.returned = true;
  update_ready(*attempt.queue);
}

void Queues::take_out(Attempt& attempt) {
  if (attempt.returned) {
    attempt.queue->returned.erase(attempt.order);
    attempt.returned = false;
  } else {
    List::remove(static_cast<QueueLink&>(attempt));
  }
  update_ready(*attempt.queue);
}

void Queues::take_in_turn(Attempt& attempt) {
  take_out(attempt);
  Queue& queue = *attempt.queue;
  if (!static_cast<Link&>(queue).linked()) return;
  List::remove(queue);
  queue.task->ready.push_back(queue);
}

void Queues::update_ready(Queue& queue) {
  if (queue.empty()) {
    List::remove(queue);
  } else if (!static_cast<Link&>(queue).linked()) {
    queue.task->ready.push_back(queue);
  }
}

}  // namespace sluice::dispatch
