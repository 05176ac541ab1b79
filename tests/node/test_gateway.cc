#include "tests/node/test_gateway.hpp"

#include <cstdio>
#include <cstdlib>

#include "vm/artifact.hpp"

namespace sluice::node::test {

TestGateway::TestGateway() : thread_([this] { loop(); }) {
  work_ = [](Node& node, const TaskFrame& frame) { finish(node, frame, frame.task + "!"); };
}

TestGateway::~TestGateway() {
  {
    const std::lock_guard lock(mutex);
    stopping_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void TestGateway::serve(Node* node) {
  std::unique_lock lock(mutex);
  node_ = node;
  changed_.notify_all();
  changed_.wait(lock, [&] { return !working_; });
}

void TestGateway::set_work(Work work) {
  const std::lock_guard lock(mutex);
  work_ = std::move(work);
}

void TestGateway::emit(unsigned, std::vector<Outgoing>&& messages) {
  const std::lock_guard lock(mutex);
  for (auto& message : messages) queue_.push_back(std::move(message));
  changed_.notify_all();
}

// With the lock held.
void TestGateway::take(Outgoing& message) {
  if (auto* a = std::get_if<Accepted>(&message)) {
    accepted[a->reply.token] = *a;
  } else if (auto* r = std::get_if<Rejected>(&message)) {
    rejected[r->reply.token] = *r;
  } else if (auto* s = std::get_if<Settled>(&message)) {
    settled.insert(s->reply.token);
  } else if (auto* t = std::get_if<Stale>(&message)) {
    stale.insert(t->reply.token);
  } else if (auto* d = std::get_if<Delivery>(&message)) {
    deliveries[d->client].push_back(*d);
    ++delivered;
  } else if (auto* c = std::get_if<CancelTask>(&message)) {
    cancels.push_back(*c);
  } else if (auto* l = std::get_if<StaleLease>(&message)) {
    stale_leases.push_back(*l);
  } else if (auto* state = std::get_if<RunState>(&message)) {
    states.push_back(*state);
  }
}

void TestGateway::loop() {
  std::unique_lock lock(mutex);
  for (;;) {
    changed_.wait(lock, [&] { return stopping_ || !queue_.empty(); });
    if (stopping_) return;
    Outgoing message = std::move(queue_.front());
    queue_.pop_front();
    if (auto* frame = std::get_if<TaskFrame>(&message)) {
      tasks.push_back(*frame);
      if (node_ != nullptr && work_) {
        const Work work = work_;
        Node& node = *node_;
        working_ = true;
        lock.unlock();
        work(node, *frame);
        lock.lock();
        working_ = false;
      }
    } else {
      take(message);
    }
    changed_.notify_all();
  }
}

bool TestGateway::wait(const std::function<bool()>& holds) {
  std::unique_lock lock(mutex);
  return changed_.wait_for(lock, kPatience, holds);
}

void TestGateway::finish(Node& node, const TaskFrame& frame, const std::string& result,
                         Reply reply) {
  const auto lease = node.lease(frame.lease);
  if (!lease) std::abort();  // the node's own token
  (void)node.report({*lease, ReportDone{core::test::text_value(result)}, reply});
}

void TestGateway::join_worker(Node& node, std::uint64_t worker, std::uint32_t credit,
                              std::vector<Lease> reclaim) {
  WorkerHello hello;
  hello.worker = WorkerId{worker};
  hello.name = "worker-" + std::to_string(worker);
  hello.tenant = "*";
  hello.tasks = {"undo", "t1", "t2", "t3", "t4"};
  hello.credit = credit;
  hello.reclaim = std::move(reclaim);
  node.worker_joined(hello);
}

Reply TestGateway::reply() {
  return {0, 1, next_token_++};
}

PublishRequest TestGateway::request(Node& node, const std::string& client, const std::string& id,
                                    const std::string& text) {
  PublishRequest request;
  request.tenant = kTenant;
  request.client = client;
  request.topic = 0;
  request.deployment = node.current_deployment()->number;
  request.id = id;
  request.order_key = client;
  request.data = core::test::ask(text);
  return request;
}

std::uint64_t TestGateway::publish(Node& node, const std::string& client, const std::string& id,
                                   const std::string& text) {
  PublishRequest asked = request(node, client, id, text);
  asked.reply = reply();
  const std::uint64_t token = asked.reply.token;
  if (auto refusal = node.publish(std::move(asked))) {
    const std::lock_guard lock(mutex);
    rejected[token] = Rejected{{0, 1, token}, *refusal};
    changed_.notify_all();
  }
  return token;
}

std::shared_ptr<const Deployment> deploy(Node& node, const core::test::Pipeline& pipeline) {
  auto deployed = await<Deployed>([&](auto done) {
    node.deploy(vm::encode_artifact(core::test::make_program(pipeline)), false, done);
  });
  if (!deployed) {
    std::fprintf(stderr, "deploy: %s\n", deployed.error().message.c_str());
    std::abort();
  }
  return deployed->deployment;
}

std::unique_ptr<Node> start(NodeConfig config, Outbox& outbox) {
  auto node = Node::start(std::move(config), outbox);
  if (!node) {
    std::fprintf(stderr, "start: %s\n", node.error().message.c_str());
    std::abort();
  }
  return std::move(*node);
}

Attached attach(Node& node, const std::string& client, const std::string& session) {
  AttachRequest request;
  request.tenant = kTenant;
  request.client = client;
  request.session = session;
  auto attached = await<Attached>([&](auto done) { node.attach(request, std::move(done)); });
  if (!attached) {
    std::fprintf(stderr, "attach: %s\n", attached.error().message.c_str());
    std::abort();
  }
  return *attached;
}

TableLock::TableLock(const std::string& database, const std::string& table)
    : connection_(database) {
  const std::string lock = "begin; lock table " + table + " in access exclusive mode";
  if (!connection_.connect(10'000) || !connection_.script(lock)) {
    throw std::runtime_error("table " + table + " cannot be locked");
  }
}

}  // namespace sluice::node::test
