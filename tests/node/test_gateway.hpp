// The gateway's part in tests of a node: takes what comes out, works on tasks, waits for things to
// happen.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "engine/journal/database.hpp"
#include "engine/node/node.hpp"
#include "tests/core/programs.hpp"

namespace sluice::node::test {

inline constexpr std::chrono::seconds kPatience{30};
inline constexpr const char* kTenant = "acme";

class TestGateway : public Outbox {
 public:
  TestGateway();
  ~TestGateway() override;
  void emit(unsigned shard, std::vector<Outgoing>&& messages) override;

  // The node that requests go to; tasks are answered while one is set. REQUIRES: cleared before it
  // is destroyed.
  void serve(Node* node);

  // What a worker does with a task; by default it answers "<task>(<first argument>)" at once.
  // Called on the gateway's own thread.
  using Work = std::function<void(Node&, const TaskFrame&)>;
  void set_work(Work work);
  static void finish(Node& node, const TaskFrame& frame, const std::string& result,
                     Reply reply = {});

  void join_worker(Node& node, std::uint64_t worker = 1, std::uint32_t credit = 1'000'000,
                   std::vector<Lease> reclaim = {});

  // Publishes on topic 0 of the current deployment and returns the token of its reply. Asks again
  // after `busy`, if `insist`.
  std::uint64_t publish(Node& node, const std::string& client, const std::string& id,
                        const std::string& text = "hi");
  static PublishRequest request(Node& node, const std::string& client, const std::string& id,
                                const std::string& text = "hi");
  Reply reply();

  // All of them look at what has come so far, and wait until it is enough; false after kPatience.
  bool wait(const std::function<bool()>& holds);  // called with the lock held
  bool wait_answer(std::uint64_t token) {
    return wait([&] { return accepted.count(token) + rejected.count(token) > 0; });
  }

  std::mutex mutex;
  std::map<std::uint64_t, Accepted> accepted;  // by token
  std::map<std::uint64_t, Rejected> rejected;
  std::set<std::uint64_t> settled;
  std::set<std::uint64_t> stale;
  std::map<std::string, std::vector<Delivery>> deliveries;  // by client, as they came
  std::vector<TaskFrame> tasks;
  std::vector<CancelTask> cancels;
  std::vector<StaleLease> stale_leases;
  std::vector<RunState> states;
  std::size_t delivered = 0;

 private:
  void take(Outgoing& message);
  void loop();

  std::condition_variable changed_;
  std::deque<Outgoing> queue_;
  Node* node_ = nullptr;
  bool working_ = false;
  Work work_;
  bool stopping_ = false;
  std::atomic<std::uint64_t> next_token_{1};
  std::thread thread_;
};

// Calls an asynchronous read and waits for its answer.
template <typename T, typename Call>
tl::expected<T, Refusal> await(Call call) {
  struct State {
    std::mutex mutex;
    std::condition_variable done;
    std::optional<tl::expected<T, Refusal>> answer;
  };
  auto state = std::make_shared<State>();
  call([state](tl::expected<T, Refusal> answer) {
    const std::lock_guard lock(state->mutex);
    state->answer = std::move(answer);
    state->done.notify_all();
  });
  std::unique_lock lock(state->mutex);
  if (!state->done.wait_for(lock, kPatience, [&] { return state->answer.has_value(); })) {
    return tl::unexpected(Refusal{"test", "no answer came", 0});
  }
  return *state->answer;
}

// Deploys the pipeline and waits.
std::shared_ptr<const Deployment> deploy(Node& node, const core::test::Pipeline& pipeline = {});
// A started node, or the test program ends with the reason.
std::unique_ptr<Node> start(NodeConfig config, Outbox& outbox);
// A session of the client that gets its deliveries live.
Attached attach(Node& node, const std::string& client, const std::string& session = "s");

// Keeps a table locked, so that nobody else reads or writes it, until it goes out of scope.
class TableLock {
 public:
  TableLock(const std::string& database, const std::string& table);

 private:
  journal::Database connection_;
};

}  // namespace sluice::node::test
