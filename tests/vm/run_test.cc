#include <gtest/gtest.h>

#include "tests/vm/program_fixture.hpp"
#include "vm/failure_kinds.hpp"
#include "vm/limits.hpp"

namespace sluice::vm::testing {
namespace {

Value text(const char* t) {
  return Value::string(t);
}

Value hold_of(const SupportProgram& p, const char* id) {
  Value fields[] = {text(id)};
  return Value::record(p.hold, fields);
}

struct Support : ::testing::Test {
  SupportProgram p;
  Driver d{p.verified(), 0, {p.ask_value("hello")}};

  // Up to the open step `sources`, with the hold taken.
  void to_sources() {
    d.begin();
    d.succeed("answer/verdict", p.verdict_value(false, ""));
    d.succeed("answer/hold", hold_of(p, "h1"));
  }
};

TEST_F(Support, answers) {
  EXPECT_EQ(d.run.phase(), Phase::created);
  EXPECT_TRUE(d.begin());
  EXPECT_FALSE(d.run.begin(d.commands));
  EXPECT_EQ(d.log(), "start answer/verdict moderate(\"hello\")\n");
  d.succeed("answer/verdict", p.verdict_value(false, ""));
  EXPECT_EQ(d.log(), "start answer/hold hold_credit(\"ann\", 1)\n");
  d.succeed("answer/hold", hold_of(p, "h1"));
  EXPECT_EQ(d.log(), "start answer/sources search(\"hello\")\n");
  d.succeed("answer/sources", Value::list(std::vector<Value>{text("a"), text("b")}));
  EXPECT_EQ(d.log(),
            "notify Searching { sources: 2 }\n"
            "start answer/reply complete(\"Answer from these only:\\na\\nb\\nQuestion: hello\")\n");
  d.succeed("answer/reply", text("hi"));
  EXPECT_EQ(d.log(), "finish completed Answer { text: \"hi\", sources: [\"a\", \"b\"] }\n");
  EXPECT_EQ(d.run.phase(), Phase::ended);
}

TEST_F(Support, refuses) {
  d.begin();
  d.succeed("answer/verdict", p.verdict_value(true, "spam"));
  EXPECT_EQ(d.log(), "finish completed Refused { reason: \"spam\" }\n");
}

TEST_F(Support, falls_back) {
  to_sources();
  d.fail("answer/sources", "Unavailable");
  EXPECT_EQ(d.log(),
            "notify Searching { sources: 0 }\n"
            "start answer/reply complete(\"Answer from these only:\\n\\nQuestion: hello\")\n");
  d.fail("answer/reply", "TimedOut", true);
  d.succeed("answer/complete_small", text("short"));
  EXPECT_EQ(d.log(), "finish completed Answer { text: \"short\", sources: [] }\n");
}

TEST_F(Support, compensates_then_answers_on_failure) {
  to_sources();
  d.fail("answer/sources", "Unavailable");
  d.fail("answer/reply", "Unavailable");
  d.fail("answer/complete_small", "TimedOut", true, "both are down");
  EXPECT_EQ(d.log(), "start answer/hold/undo/release_credit release_credit(\"h1\") compensating\n");
  EXPECT_EQ(d.run.phase(), Phase::compensating);
  EXPECT_FALSE(d.run.cancel(CancelKind::cancelled, "too late", d.commands));
  d.succeed("answer/hold/undo/release_credit", Value());
  EXPECT_EQ(d.log(),
            "on failure\n"
            "finish failed Failed { reason: \"both are down\" } why TimedOut\n");
}

TEST_F(Support, an_unsure_step_is_released_by_its_key) {
  d.begin();
  d.succeed("answer/verdict", p.verdict_value(false, ""));
  d.fail("answer/hold", "Lost", true);
  EXPECT_EQ(d.log(),
            "start answer/hold/undo/release_credit release_credit(\"run1:answer/hold\") "
            "compensating\n");
}

TEST_F(Support, a_step_that_surely_did_not_happen_is_not_undone) {
  d.begin();
  d.succeed("answer/verdict", p.verdict_value(false, ""));
  d.fail("answer/hold", "Rejected", false);
  EXPECT_EQ(d.log(), "on failure\nfinish failed Failed { reason: \"it broke\" } why Rejected\n");
}

TEST_F(Support, cancel_reaches_an_open_step_and_its_unsure_block) {
  d.begin();
  d.succeed("answer/verdict", p.verdict_value(false, ""));
  d.cancel();
  EXPECT_EQ(d.log(),
            "cancel 2\n"
            "start answer/hold/undo/release_credit release_credit(\"run1:answer/hold\") "
            "compensating\n");
  d.succeed("answer/hold/undo/release_credit", Value());
  EXPECT_EQ(d.log(), "on failure\nfinish cancelled Failed { reason: \"stop\" } why Cancelled\n");
}

TEST_F(Support, a_superseded_run_says_nothing) {
  to_sources();
  d.cancel(CancelKind::superseded);
  EXPECT_EQ(
      d.log(),
      "cancel 3\nstart answer/hold/undo/release_credit release_credit(\"h1\") compensating\n");
  d.succeed("answer/hold/undo/release_credit", Value());
  EXPECT_EQ(d.log(), "finish superseded nothing why Superseded\n");
}

TEST_F(Support, the_flows_timeout_fails_it) {
  d.begin();
  d.cancel(CancelKind::timed_out);
  EXPECT_EQ(d.log(),
            "cancel 1\non failure\nfinish failed Failed { reason: \"stop\" } why TimedOut\n");
}

TEST_F(Support, a_compensation_that_fails_leaves_a_dead_letter) {
  to_sources();
  d.cancel();
  d.fail("answer/hold/undo/release_credit", "Rejected");
  EXPECT_EQ(d.log(),
            "dead answer/hold Rejected\non failure\n"
            "finish cancelled Failed { reason: \"stop\" } why Cancelled\n");
}

TEST_F(Support, late_and_unknown_results_change_nothing) {
  d.begin();
  StepId first = d.open("answer/verdict");
  d.succeed("answer/verdict", p.verdict_value(false, ""));
  std::string before = d.run.snapshot();
  d.commands.clear();
  EXPECT_FALSE(d.run.step_succeeded(first, p.verdict_value(true, "late"), d.commands));
  EXPECT_FALSE(d.run.step_failed(first, {"Lost", "late", "", 1}, true, d.commands));
  EXPECT_FALSE(d.run.step_succeeded({77}, Value(), d.commands));
  EXPECT_FALSE(d.run.on_failure_expired(d.commands));
  EXPECT_TRUE(d.commands.empty());
  EXPECT_EQ(d.run.snapshot(), before);
}

TEST_F(Support, a_result_of_the_wrong_type_is_invalid_and_unsure) {
  d.begin();
  d.succeed("answer/verdict", p.verdict_value(false, ""));
  d.succeed("answer/hold", text("no record"));
  EXPECT_EQ(d.log(),
            "start answer/hold/undo/release_credit release_credit(\"run1:answer/hold\") "
            "compensating\n");
  d.succeed("answer/hold/undo/release_credit", Value());
  EXPECT_EQ(std::get<Finish>(d.commands.back()).why->kind, "Invalid");
  EXPECT_EQ(std::get<Finish>(d.commands.back()).why->step, "answer/hold");
}

TEST_F(Support, arguments_of_the_wrong_type_are_a_fault) {
  Driver wrong(p.verified(), 0, {text("no event")});
  wrong.begin();
  EXPECT_EQ(wrong.run.phase(), Phase::ended);
  EXPECT_EQ(std::get<Finish>(wrong.commands.back()).why->kind, "Fault");
}

TEST_F(Support, survives_a_snapshot_at_every_input) {
  d.restore();
  to_sources();
  d.restore();
  d.fail("answer/sources", "Unavailable");
  d.restore();
  d.fail("answer/reply", "Unavailable");
  d.restore();
  d.fail("answer/complete_small", "TimedOut", true, "both are down");
  d.restore();
  EXPECT_EQ(d.run.open_steps().size(), 1U);
  EXPECT_TRUE(d.run.open_steps()[0].compensating);
  d.succeed("answer/hold/undo/release_credit", Value());
  EXPECT_EQ(d.log(),
            "on failure\nfinish failed Failed { reason: \"both are down\" } why TimedOut\n");
  d.restore();
  EXPECT_EQ(d.run.phase(), Phase::ended);
}

// parallel { left: step a, undo; right: step b; step c }, each branch registering compensations
struct ParallelProgram : ProgramBuilder {
  uint32_t done_event, failed_event;
  ParallelProgram() {
    uint32_t done = record("Done", {{"left", kTypeInt}, {"right", kTypeInt}});
    uint32_t failed = record("Failed", {{"reason", kTypeString}});
    done_event = event("Done", done);
    failed_event = event("Failed", failed);
    uint32_t work = task("work", {kTypeInt}, kTypeInt);
    uint32_t put_back = task("put_back", {kTypeString, kTypeInt}, kTypeNone);
    uint32_t a = site("a", work), b = site("b", work), c = site("c", work);
    uint32_t back = site("put_back", put_back);
    auto undo = [&](const char* name) {
      return function(name, FunctionKind::compensation, 1, [&](FunctionBuilder& f) {
        Register pair = f.allocate(2);
        f.emit_wide(Op::load_const, pair, constants.add(text(name)));
        f.emit(Op::move, {pair.index + 1}, f.parameter(0));
        f.emit_indexed(Op::step, pair, pair, back);
        f.emit(Op::ret_none);
      });
    };
    uint32_t undo_a = undo("undo_a"), undo_b = undo("undo_b"), unsure_b = undo("unsure_b"),
             undo_c = undo("undo_c");
    uint32_t left = function(
        "left", FunctionKind::branch, 1,
        [&](FunctionBuilder& f) {
          Register r = f.allocate();
          f.emit_indexed(Op::step, r, f.parameter(0), a);
          f.emit_closure(Op::on_undo, undo_a, r, 1, a);
          f.emit(Op::ret, r);
        },
        "left");
    uint32_t right = function(
        "right", FunctionKind::branch, 1,
        [&](FunctionBuilder& f) {
          Register r = f.allocate();
          f.emit_closure(Op::arm_unsure, unsure_b, f.parameter(0), 1, b);
          f.emit_indexed(Op::step, r, f.parameter(0), b);
          f.emit_closure(Op::on_undo, undo_b, r, 1, b);
          f.emit_indexed(Op::step, r, r, c);
          f.emit_closure(Op::on_undo, undo_c, r, 1, c);
          f.emit(Op::ret, r);
        },
        "right");
    uint32_t body = function(
        "both", FunctionKind::flow, 1,
        [&](FunctionBuilder& f) {
          Register results = f.allocate(2);
          f.emit_spawn(left, f.parameter(0), 1);
          f.emit_spawn(right, f.parameter(0), 1);
          f.emit_join(results, 2);
          f.emit_indexed(Op::step, f.allocate(), results, a);
          f.emit_indexed(Op::make_record, results, results, done);
          f.emit_finish(results, done_event);
        },
        "both");
    flow("both", {kTypeInt}, body, std::nullopt, {done_event, failed_event});
  }
};

struct Parallel : ::testing::Test {
  ParallelProgram p;
  Driver d{p.verified(), 0, {Value::integer(5)}};
};

TEST_F(Parallel, branches_run_side_by_side_and_join_in_order) {
  d.begin();
  EXPECT_EQ(d.log(), "start both/left/a work(5)\nstart both/right/b work(5)\n");
  d.succeed("both/right/b", Value::integer(20));
  EXPECT_EQ(d.log(), "start both/right/c work(20)\n");
  d.succeed("both/right/c", Value::integer(30));
  EXPECT_EQ(d.log(), "");
  d.restore();
  d.succeed("both/left/a", Value::integer(10));
  EXPECT_EQ(d.log(), "start both/a work(10)\n");
  d.succeed("both/a", Value::integer(0));
  EXPECT_EQ(d.log(), "finish completed Done { left: 10, right: 30 }\n");
}

TEST_F(Parallel, the_first_failure_cancels_the_others_and_undoes_newest_first) {
  d.begin();
  d.succeed("both/left/a", Value::integer(10));
  d.succeed("both/right/b", Value::integer(20));
  d.fail("both/right/c", "Rejected");
  EXPECT_EQ(d.log(), "start both/right/b/undo/put_back put_back(\"undo_b\", 20) compensating\n");
  d.restore();
  d.succeed("both/right/b/undo/put_back", Value());
  EXPECT_EQ(d.log(), "start both/left/a/undo/put_back put_back(\"undo_a\", 10) compensating\n");
  d.succeed("both/left/a/undo/put_back", Value());
  EXPECT_EQ(d.log(), "finish failed nothing why Rejected\n");
}

TEST_F(Parallel, a_cancelled_open_step_with_an_unsure_block_is_undone) {
  d.begin();
  d.fail("both/left/a", "Rejected");
  EXPECT_EQ(d.log(),
            "cancel 2\n"
            "start both/right/b/undo/put_back put_back(\"unsure_b\", 5) compensating\n");
}

TEST_F(Parallel, compensations_of_joined_branches_survive_them) {
  d.begin();
  d.succeed("both/right/b", Value::integer(20));
  d.succeed("both/left/a", Value::integer(10));
  d.succeed("both/right/c", Value::integer(30));
  d.fail("both/a", "Rejected");
  EXPECT_EQ(d.log(), "start both/right/c/undo/put_back put_back(\"undo_c\", 30) compensating\n");
  d.fail("both/right/c/undo/put_back", "Lost");
  EXPECT_EQ(d.log(),
            "dead both/right/c Lost\n"
            "start both/left/a/undo/put_back put_back(\"undo_a\", 10) compensating\n");
  d.succeed("both/left/a/undo/put_back", Value());
  EXPECT_EQ(d.log(), "start both/right/b/undo/put_back put_back(\"undo_b\", 20) compensating\n");
  d.succeed("both/right/b/undo/put_back", Value());
  EXPECT_EQ(d.log(), "finish failed nothing why Rejected\n");
}

// A branch that answers: `parallel { branch win { return Done }, branch slow { step b; step c } }`
struct AnsweringBranch : ProgramBuilder {
  AnsweringBranch() {
    uint32_t done = record("Done", {{"n", kTypeInt}});
    uint32_t done_event = event("Done", done);
    uint32_t work = task("work", {kTypeInt}, kTypeInt);
    uint32_t a = site("a", work), b = site("b", work);
    uint32_t undo = function("undo", FunctionKind::compensation, 1, [&](FunctionBuilder& f) {
      f.emit_indexed(Op::step, f.allocate(), f.parameter(0), b);
      f.emit(Op::ret_none);
    });
    auto branch = [&](const char* name, bool answers) {
      return function(
          name, FunctionKind::branch, 1,
          [&](FunctionBuilder& f) {
            Register r = f.allocate();
            f.emit_indexed(Op::step, r, f.parameter(0), a);
            f.emit_closure(Op::on_undo, undo, r, 1, a);
            if (answers) {
              f.emit_indexed(Op::make_record, r, r, done);
              f.emit_finish(r, done_event);
            } else {
              f.emit_indexed(Op::step, r, r, b);
              f.emit(Op::ret, r);
            }
          },
          name);
    };
    uint32_t win = branch("win", true), slow = branch("slow", false);
    uint32_t body = function(
        "race", FunctionKind::flow, 1,
        [&](FunctionBuilder& f) {
          Register results = f.allocate(2);
          f.emit_spawn(slow, f.parameter(0), 1);
          f.emit_spawn(win, f.parameter(0), 1);
          f.emit_join(results, 2);
          f.emit(Op::finish_bare);
        },
        "race");
    flow("race", {kTypeInt}, body, std::nullopt, {done_event});
  }
};

TEST(Finish, of_a_branch_undoes_the_others_then_answers) {
  AnsweringBranch p;
  Driver d(p.verified(), 0, {Value::integer(1)});
  d.begin();
  d.succeed("race/slow/a", Value::integer(7));
  d.succeed("race/win/a", Value::integer(8));
  // The winner's own step stands; the slow branch's is undone.
  EXPECT_EQ(d.log(), "cancel 3\nstart race/slow/a/undo/b work(7) compensating\n");
  d.restore();
  EXPECT_FALSE(d.run.cancel(CancelKind::cancelled, "late", d.commands));
  d.succeed("race/slow/a/undo/b", Value::integer(0));
  EXPECT_EQ(d.log(), "finish completed Done { n: 8 }\n");
}

// on failure with a step; the flow loops over one step
struct LoopProgram : ProgramBuilder {
  LoopProgram() {
    uint32_t failed = record("Failed", {{"reason", kTypeString}, {"n", kTypeInt}});
    uint32_t failed_event = event("Failed", failed);
    uint32_t work = task("work", {kTypeInt}, kTypeInt);
    uint32_t think = site("think", work), tell = site("tell", work);
    uint32_t body = function(
        "loop", FunctionKind::flow, 1,
        [&](FunctionBuilder& f) {
          Label again = f.make_label();
          f.bind(again);
          f.emit_indexed(Op::step, f.parameter(0), f.parameter(0), think);
          f.emit_jump(Op::jump, again);
        },
        "loop");
    uint32_t on_failure = function("on failure", FunctionKind::handler, 2, [&](FunctionBuilder& f) {
      Register pair = f.allocate(2);
      f.emit_indexed(Op::step, {pair.index + 1}, f.parameter(0), tell);
      f.emit_indexed(Op::get_field, pair, f.parameter(1), 0);
      f.emit_indexed(Op::make_record, pair, pair, failed);
      f.emit_finish(pair, failed_event);
    });
    flow("loop", {kTypeInt}, body, on_failure, {failed_event});
  }
};

TEST(Paths, are_unique_when_a_step_starts_again) {
  LoopProgram p;
  Driver d(p.verified(), 0, {Value::integer(0)});
  d.begin();
  EXPECT_EQ(d.log(), "start loop/think work(0)\n");
  d.succeed("loop/think", Value::integer(1));
  EXPECT_EQ(d.log(), "start loop/think#2 work(1)\n");
  d.restore();
  d.succeed("loop/think#2", Value::integer(2));
  EXPECT_EQ(d.log(), "start loop/think#3 work(2)\n");
}

TEST(OnFailure, may_take_steps_and_can_fail_itself) {
  LoopProgram p;
  Driver d(p.verified(), 0, {Value::integer(3)});
  d.begin();
  d.fail("loop/think", "Rejected");
  EXPECT_EQ(d.log(), "on failure\nstart loop/on-failure/tell work(3)\n");
  EXPECT_EQ(d.run.phase(), Phase::failing);
  d.restore();
  EXPECT_FALSE(d.run.cancel(CancelKind::cancelled, "no", d.commands));
  d.fail("loop/on-failure/tell", "Lost");
  EXPECT_EQ(d.log(), "finish failed nothing why Lost\n");
}

TEST(OnFailure, ends_when_its_time_is_up) {
  LoopProgram p;
  Driver d(p.verified(), 0, {Value::integer(3)});
  d.begin();
  d.fail("loop/think", "Rejected");
  EXPECT_TRUE(d.expire());
  EXPECT_EQ(d.log(), "cancel 2\nfinish failed nothing why TimedOut\n");
  EXPECT_FALSE(d.expire());
}

TEST(OnFailure, gets_why_and_the_arguments) {
  LoopProgram p;
  Driver d(p.verified(), 0, {Value::integer(3)});
  d.begin();
  d.fail("loop/think", "Rejected");
  d.restore();
  d.succeed("loop/on-failure/tell", Value::integer(9));
  EXPECT_EQ(d.log(), "finish failed Failed { reason: \"Rejected\", n: 9 } why Rejected\n");
}

}  // namespace
}  // namespace sluice::vm::testing
