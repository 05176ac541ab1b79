#include <gtest/gtest.h>

#include "tests/vm/program_fixture.hpp"

// Events that a run publishes, runs that it starts, and steps that are runs.
namespace sluice::vm::testing {
namespace {

struct TestHost : Host {
  bool open = true;
  int runs = 0;
  bool takes_messages() override { return open; }
  bool takes_notify(const Notify& notify) override {
    return open || notify.to == NotifyTo::run_client;
  }
  std::string new_run(const StartRun& start) override {
    return "run-" + start.client.value_or("nobody") + "-" + std::to_string(++runs);
  }
};

// Flow 0 `parent`(text): publishes Note { text } to `notes`, starts `child` for "eve", runs it as a
// step, and answers the id and what it got; flow 1 `child`(text) -> Answer or Failed.
struct Family : ProgramBuilder {
  uint32_t note, answer, failed, outcome;

  Family() {
    TypeTable& types = program.types;
    const uint32_t note_record = record("Note", {{"text", kTypeString}});
    const uint32_t answer_record = record("Answer", {{"text", kTypeString}});
    const uint32_t failed_record = record("Failed", {{"reason", kTypeString}});
    note = event("Note", note_record);
    answer = event("Answer", answer_record);
    failed = event("Failed", failed_record);
    const uint32_t limit = function("short", FunctionKind::pure, 1, [&](FunctionBuilder& f) {
      const Register most = constant(f, Value::string("zzz"));
      f.emit(Op::less, most, f.parameter(0), most);
      f.emit(Op::ret, most);
    });
    types.records[note_record].fields[0].where_function = limit;
    types.enums.push_back({"outcome",
                           {{"Answer", {{"event", types.record_type(answer_record)}}},
                            {"Failed", {{"event", types.record_type(failed_record)}}}}});
    outcome = types.enum_type(0).index;
    program.topics.push_back({"notes", note, std::nullopt, 0, 0});
    StepSite step;
    step.name = "child";
    step.flow = 1;
    step.outcomes = 0;
    program.steps.push_back(step);
    const uint32_t parent = function(
        "parent", FunctionKind::flow, 1,
        [&](FunctionBuilder& f) {
          const Register event = f.allocate();
          f.emit_indexed(Op::make_record, event, f.parameter(0), note_record);
          f.emit_publish(event, 0);
          const Register both = f.allocate(2);
          f.emit(Op::move, both, f.parameter(0));
          f.emit(Op::move, {both.index + 1}, constant(f, Value::string("eve")));
          const Register id = f.allocate();
          f.emit_start_run(id, both, 1, true);
          const Register got = f.allocate();
          f.emit_indexed(Op::step, got, f.parameter(0), 0);
          f.emit(Op::to_text, got, got);
          f.emit(Op::concat, got, id, got);
          f.emit_indexed(Op::make_record, got, got, answer_record);
          f.emit_finish(got, answer);
        },
        "parent");
    const uint32_t child = function(
        "child", FunctionKind::flow, 1,
        [&](FunctionBuilder& f) {
          f.emit_indexed(Op::make_record, f.parameter(0), f.parameter(0), answer_record);
          f.emit_finish(f.parameter(0), answer);
        },
        "child");
    flow("parent", {kTypeString}, parent, std::nullopt, {answer});
    flow("child", {kTypeString}, child, std::nullopt, {answer, failed});
  }

  Value event_value(uint32_t event, const char* text) const {
    const Value fields[] = {Value::string(text)};
    return Value::record(program.events[event].record, fields);
  }
};

struct Messages : ::testing::Test {
  Family p;
  TestHost host;
  Driver d{p.verified(), 0, {Value::string("hi")}};

  void SetUp() override { d.run.set_host(&host); }
  void restore() {
    d.restore();
    d.run.set_host(&host);
  }
  StepId child() { return d.open("parent/child"); }
};

TEST_F(Messages, are_commands_in_their_order) {
  d.begin();
  ASSERT_EQ(d.commands.size(), 3U);
  const auto* published = std::get_if<Publish>(&d.commands[0]);
  ASSERT_NE(published, nullptr);
  EXPECT_EQ(published->topic, 0U);
  EXPECT_TRUE(published->value == p.event_value(p.note, "hi"));
  const auto* started = std::get_if<StartRun>(&d.commands[1]);
  ASSERT_NE(started, nullptr);
  EXPECT_EQ(started->run, "run-eve-1");
  EXPECT_EQ(started->client, "eve");
  EXPECT_EQ(started->flow, 1U);
  ASSERT_EQ(started->arguments.size(), 1U);
  const auto* step = std::get_if<StartStep>(&d.commands[2]);
  ASSERT_NE(step, nullptr);
  EXPECT_EQ(step->site->flow, 1U);
  EXPECT_EQ(step->path, "parent/child");
}

TEST_F(Messages, an_outcome_is_the_value_of_the_step) {
  d.begin();
  restore();
  d.commands.clear();
  EXPECT_TRUE(d.run.child_ended(child(), p.failed, p.event_value(p.failed, "no"), d.commands));
  const auto* end = std::get_if<Finish>(&d.commands.back());
  ASSERT_NE(end, nullptr);
  EXPECT_EQ(std::string(end->value.elements()[0].as_text()),
            R"(run-eve-1{"case":"Failed","event":{"reason":"no"}})");
}

TEST_F(Messages, what_is_no_outcome_fails_the_step) {
  d.begin();
  d.commands.clear();
  EXPECT_FALSE(d.run.step_succeeded(child(), Value::string("x"), d.commands)) << "no task's result";
  EXPECT_TRUE(d.run.child_ended(child(), p.note, p.event_value(p.note, "no"), d.commands));
  const auto* end = std::get_if<Finish>(&d.commands.back());
  ASSERT_NE(end, nullptr);
  ASSERT_TRUE(end->why);
  EXPECT_EQ(end->why->kind, "Invalid");
  EXPECT_EQ(end->why->step, "parent/child");
}

TEST_F(Messages, wait_while_the_host_takes_none) {
  host.open = false;
  d.begin();
  EXPECT_TRUE(d.commands.empty());
  EXPECT_TRUE(d.run.waits_for_mail());
  restore();
  EXPECT_TRUE(d.run.waits_for_mail());
  d.commands.clear();
  EXPECT_TRUE(d.run.mail_open(d.commands));
  EXPECT_TRUE(d.commands.empty()) << "it still takes none";
  host.open = true;
  EXPECT_TRUE(d.run.mail_open(d.commands));
  EXPECT_EQ(d.commands.size(), 3U);
  EXPECT_FALSE(d.run.waits_for_mail());
  EXPECT_FALSE(d.run.mail_open(d.commands)) << "nobody waits";
}

TEST_F(Messages, of_a_run_that_is_cancelled_meanwhile_are_not_sent) {
  host.open = false;
  d.begin();
  d.commands.clear();
  EXPECT_TRUE(d.run.cancel(CancelKind::cancelled, "stop", d.commands));
  EXPECT_FALSE(d.run.waits_for_mail());
  ASSERT_EQ(d.commands.size(), 1U);
  EXPECT_TRUE(std::holds_alternative<Finish>(d.commands[0]));
}

TEST_F(Messages, keep_the_constraints_of_their_type) {
  Driver other{p.verified(), 0, {Value::string("zzzz")}};
  other.run.set_host(&host);
  other.begin();
  const auto* end = std::get_if<Finish>(&other.commands.back());
  ASSERT_NE(end, nullptr);
  EXPECT_EQ(end->why->kind, "Invalid");
}

TEST_F(Messages, a_cancelled_run_ends_once_its_child_has) {
  d.begin();
  const StepId step = child();
  d.commands.clear();
  EXPECT_TRUE(d.run.cancel(CancelKind::cancelled, "stop", d.commands));
  ASSERT_EQ(d.commands.size(), 1U);
  EXPECT_TRUE(std::holds_alternative<CancelStep>(d.commands[0]));
  EXPECT_EQ(d.run.phase(), Phase::compensating);
  EXPECT_EQ(d.run.called_off(), std::vector<StepId>{step});
  restore();
  EXPECT_EQ(d.run.called_off(), std::vector<StepId>{step});
  EXPECT_FALSE(d.run.is_open(step));
  d.commands.clear();
  EXPECT_FALSE(d.run.child_gone({step.value + 1}, d.commands)) << "nobody called that off";
  EXPECT_FALSE(d.run.child_ended(step, std::nullopt, Value(), d.commands));
  EXPECT_TRUE(d.run.child_gone(step, d.commands));
  ASSERT_EQ(d.commands.size(), 1U);
  EXPECT_EQ(std::get<Finish>(d.commands[0]).status, RunStatus::cancelled);
}

TEST_F(Messages, a_step_that_is_called_off_fails_and_the_end_waits_for_its_run) {
  d.begin();
  const StepId step = child();
  d.commands.clear();
  EXPECT_TRUE(d.run.step_called_off(step, {"TimedOut", "late", "", 1}, d.commands));
  EXPECT_TRUE(d.commands.empty()) << "the driver knows already, and the run has not ended";
  restore();
  EXPECT_FALSE(d.run.step_called_off(step, {"TimedOut", "late", "", 1}, d.commands));
  EXPECT_TRUE(d.run.child_gone(step, d.commands));
  ASSERT_EQ(d.commands.size(), 1U);
  const auto& end = std::get<Finish>(d.commands[0]);
  EXPECT_EQ(end.status, RunStatus::failed);
  EXPECT_EQ(end.why->kind, "TimedOut");
  EXPECT_EQ(end.why->step, "parent/child");
}

TEST(MessagesOfARun, without_a_host_are_a_fault) {
  Family p;
  Driver d{p.verified(), 0, {Value::string("hi")}};
  d.begin();
  const auto* end = std::get_if<Finish>(&d.commands.back());
  ASSERT_NE(end, nullptr);
  EXPECT_EQ(end->why->kind, "Fault");
}

TEST(StepsThatRunFlows, are_verified) {
  const auto refused = [](auto change) {
    Family p;
    change(p.program);
    const auto result = verify(p.program);
    return result ? std::string() : result.error().message;
  };
  EXPECT_EQ(refused([](Program&) {}), "");
  EXPECT_NE(refused([](Program& p) { p.steps[0].flow = 9; }), "");
  EXPECT_NE(refused([](Program& p) { p.steps[0].outcomes.reset(); }), "");
  EXPECT_NE(refused([](Program& p) { p.steps[0].attempts = 2; }), "");
  EXPECT_NE(refused([](Program& p) { p.types.enums[0].cases.pop_back(); }), "");
  EXPECT_NE(refused([](Program& p) { p.functions[1].code[1].b = 7; }), "") << "no such topic";
}

}  // namespace
}  // namespace sluice::vm::testing
