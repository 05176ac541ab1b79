// A node that is killed again and again while its partitions, on two apply threads, send each other
// events, children, signals and turns: what was asked for happens once.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "engine/sim/workload_program.hpp"
#include "tests/node/test_gateway.hpp"
#include "tests/support/private_postgres.hpp"
#include "vm/value.hpp"

namespace sluice::node::test {
namespace {

using support::PrivatePostgres;

constexpr int kClients = 24;
constexpr int kLives = 5;  // the last one is not killed
constexpr std::chrono::seconds kLifeMax{120};

// What each client asks for, once.
struct Kind {
  sim::Topic topic;
  const char* event;
};
constexpr Kind kKinds[] = {{sim::kTopicAsks, "Ask"},      {sim::kTopicNotes, "Note"},
                           {sim::kTopicPairs, "Note"},    {sim::kTopicErrands, "Ask"},
                           {sim::kTopicTalks, "Talk"},    {sim::kTopicNudges, "Nudge"},
                           {sim::kTopicWatches, "Watch"}, {sim::kTopicFacts, "Fact"}};
constexpr long kEvents = static_cast<long>(std::size(kKinds)) * kClients;

// In the process that will be killed: a node, its worker, and clients that ask until they are
// answered. Every life asks for the same, under the same ids.
class Life {
 public:
  explicit Life(const std::string& database) {
    NodeConfig config;
    config.database = database;
    config.name = "node-1";
    config.partitions = 8;
    config.apply_threads = 2;
    node_ = start(config, gateway_);
    const auto program = sim::workload_program();
    auto deployed = await<Deployed>(
        [&](auto done) { node_->deploy(vm::encode_artifact(program->program()), false, done); });
    if (!deployed) _exit(3);
    program_ = deployed->deployment;
  }

  [[noreturn]] void live() {
    gateway_.set_work([](Node& node, const TaskFrame& frame) {
      // A text of the arguments ["…"].
      const std::string text = frame.args_json.substr(2, frame.args_json.size() - 4);
      TestGateway::finish(node, frame, sim::task_result(frame.task, text));
    });
    gateway_.serve(node_.get());
    WorkerHello hello;
    hello.worker = WorkerId{1};
    hello.name = "worker";
    hello.tenant = "*";
    for (const auto& task : program_->program->program().tasks) hello.tasks.push_back(task.name);
    hello.credit = 1'000'000;
    node_->worker_joined(std::move(hello));
    for (const Kind& kind : kKinds) {
      for (int client = 0; client < kClients; ++client) insist(kind, client);
    }
    for (;;) pause();
  }

 private:
  PublishRequest request(const Kind& kind, int number) {
    const std::string client = fmt::format("c{}", number);
    PublishRequest asked = TestGateway::request(*node_, client, "id");
    const auto text = [](const std::string& value) { return vm::Value::string(value); };
    std::vector<vm::Value> fields{text(fmt::format("{}-{}", client, kind.event))};
    const std::string key = fmt::format("k{}", number % 5);
    asked.topic = kind.topic;
    if (sim::key_field(kind.topic)) {
      fields.push_back(text(key));
      asked.order_key = key;
    }
    if (kind.topic == sim::kTopicFacts) fields.push_back(text("nobody"));
    if (kind.topic == sim::kTopicWatches) fields.push_back(text(key));
    if (kind.topic == sim::kTopicTalks) fields.push_back(vm::Value::integer(1));
    if (kind.topic == sim::kTopicNudges) fields.push_back(text(talks_[client]));
    asked.data = sim::event_value(program_->program->program(), kind.event, fields);
    return asked;
  }

  void insist(const Kind& kind, int number) {
    for (;;) {
      PublishRequest asked = request(kind, number);
      asked.reply = gateway_.reply();
      const std::uint64_t token = asked.reply.token;
      const std::string client = asked.client;
      if (node_->publish(std::move(asked))) continue;
      if (!gateway_.wait_answer(token)) _exit(4);
      const std::lock_guard lock(gateway_.mutex);
      const auto answer = gateway_.accepted.find(token);
      if (answer == gateway_.accepted.end()) continue;
      if (kind.topic == sim::kTopicTalks) talks_[client] = to_text(answer->second.runs.at(0));
      return;
    }
  }

  TestGateway gateway_;
  std::unique_ptr<Node> node_;
  std::shared_ptr<const Deployment> program_;
  std::map<std::string, std::string> talks_;  // by client
};

class KilledNode : public testing::Test {
 protected:
  void begin() {
    life_ = fork();
    ASSERT_GE(life_, 0);
    if (life_ != 0) return;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    Life(database_).live();
  }
  void kill_it() {
    ::kill(life_, SIGKILL);
    waitpid(life_, nullptr, 0);
  }
  long count(const std::string& what) {
    return std::stol(PrivatePostgres::query(database_, "select count(*) from " + what));
  }
  // Looks until it holds. False: it takes too long, or the process died by itself.
  bool becomes(const std::function<bool()>& holds) {
    const auto until = std::chrono::steady_clock::now() + kLifeMax;
    while (!holds()) {
      if (waitpid(life_, nullptr, WNOHANG) != 0) return false;
      if (std::chrono::steady_clock::now() > until) return false;
    }
    return true;
  }

  PrivatePostgres& postgres_ = PrivatePostgres::shared();
  std::string database_ = postgres_.create_database();
  pid_t life_ = -1;
};

TEST_F(KilledNode, WhatCrossesPartitionsHappensOnce) {
  for (int life = 1; life < kLives; ++life) {
    begin();
    // As far as it takes, a little further with each life.
    const auto far_enough = [&] {
      const bool there =
          PrivatePostgres::query(database_, "select to_regclass('journal') is not null") == "t";
      return there && count("journal") > 300L * life;
    };
    ASSERT_TRUE(becomes(far_enough)) << "life " << life;
    kill_it();
  }
  begin();
  const std::string of_events =
      "run where flow in ('answer', 'memo', 'pair', 'errand', 'talk', 'nudge', 'watch')";
  // The rows of runs follow the journal a little later. A memo that has answered has published its
  // note.
  EXPECT_TRUE(becomes([&] {
    return count("journal where kind = 1") == kEvents && count(of_events) == 7L * kClients &&
           count("run where ended is null") == 0 &&
           count("run where flow = 'echo'") >=
               count("run where flow = 'memo' and outcome_name = 'Answer'");
  }));
  kill_it();
  EXPECT_EQ(count("journal where kind = 1"), kEvents);
  // Each event, each publish and each start began one run; a child and a detached review are two.
  EXPECT_EQ(count("(select from run where client <> '' and flow <> 'fetch' group by client, flow"
                  " having count(*) > case flow when 'review' then 2 else 1 end) twice"),
            0);
  EXPECT_EQ(count(of_events), 7L * kClients);
  // Each run that is nobody's child told its client its end, once.
  const std::string told =
      "(select count(*) from delivery d where position(uuid_send(r.run) in d.body) > 0 and"
      " (position('Answer'::bytea in d.body) > 0 or position('ailed'::bytea in d.body) > 0))";
  EXPECT_EQ(
      count("run r where client <> '' and flow not in ('review', 'fetch') and " + told + " <> 1"),
      0);
  EXPECT_EQ(count("run r where flow = 'review' and " + told + " > 1"), 0);
  EXPECT_EQ(count("run r where flow = 'fetch' and " + told + " > 0"), 0);
  EXPECT_EQ(count("(select max(\"offset\") - count(*) as gap from delivery group by part, client) g"
                  " where gap <> 0"),
            0);
  EXPECT_EQ(count("(select max(seq) - count(*) as gap from journal group by part) g"
                  " where gap <> 0"),
            0);
  // It was worth it: partitions told each other things.
  EXPECT_GT(count("journal where kind = 5 and cause_part <> part"), 100);
}

}  // namespace
}  // namespace sluice::node::test
