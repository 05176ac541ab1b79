#include "engine/sim/rehearsal.hpp"

#include <gtest/gtest.h>

#include "tests/core/programs.hpp"
#include "vm/json_reader.hpp"

namespace sluice::sim {
namespace {

using core::test::Pipeline;

RehearsalRequest request_of(const Pipeline& pipeline, const char* script = "{}") {
  RehearsalRequest request;
  request.program = vm::verify(core::test::make_program(pipeline)).value();
  auto read = read_script(request.program, script);
  EXPECT_TRUE(read.has_value()) << read.error();
  if (read) request.script = std::move(*read);
  Input input;
  input.client = request.script.client;
  input.data = core::test::ask("hello");
  request.inputs.push_back(input);
  if (request.script.cancel_after_ms) {
    request.inputs.push_back({Input::Kind::cancel, *request.script.cancel_after_ms, 0, "", ""});
  }
  return request;
}

Rehearsal play(const Pipeline& pipeline, const char* script = "{}") {
  Rehearsal rehearsal = rehearse(request_of(pipeline, script));
  EXPECT_EQ(rehearsal.stopped, "");
  return rehearsal;
}

Pipeline two_steps() {
  Pipeline pipeline;
  pipeline.steps.resize(2);
  for (auto& step : pipeline.steps) {
    step.policies.idempotent = true;
    step.policies.attempts = 3;
    step.policies.backoff_min_ms = 200;
    step.policies.backoff_max_ms = 200;
    step.policies.timeout_ms = 2000;
  }
  return pipeline;
}

TEST(Rehearsal, ATaskWithoutAScriptAnswersTheSmallestValue) {
  const Rehearsal rehearsal = play(two_steps());
  ASSERT_EQ(rehearsal.runs.size(), 1u);
  EXPECT_EQ(rehearsal.runs[0].row.state, core::RunState::completed);
  EXPECT_EQ(rehearsal.runs[0].row.outcome_json, R"({"text":""})");
  ASSERT_EQ(rehearsal.deliveries.size(), 1u);
  const std::string text = rehearsal_text(rehearsal);
  const std::size_t id = text.find("run ");
  EXPECT_EQ(text.substr(0, id) + text.substr(id + 40), R"(answer  
        +0ms  event      asks {"text":"hello"}
                         -> answer/s1: t1("hello")
       +10ms  done       answer/s1 = ""
                         -> answer/s2: t2("")
       +20ms  done       answer/s2 = ""
                         => answers Answer {"text":""} to client
completed: Answer {"text":""}  after 20ms
)");
}

TEST(Rehearsal, TheScriptsAttemptsComeInOrderAndTheLastGoesOn) {
  const Rehearsal rehearsal = play(two_steps(), R"({"client": "ada", "tasks": {
      "t1": [{"fails": "Unavailable", "message": "down"}, {"returns": "up", "takes": "1s"}],
      "t2": {"fails": "Busy"}}})");
  const core::RunRow& row = rehearsal.runs[0].row;
  EXPECT_EQ(row.state, core::RunState::failed);
  EXPECT_EQ(row.why, "Busy: ");
  EXPECT_EQ(row.client, "ada");
  // 10 ms, a gap of 200 ms, 1 s; then three times 10 ms with two gaps.
  EXPECT_EQ(row.ended - row.started, (10 + 200 + 1000 + 3 * 10 + 2 * 200) * core::kUsPerMs);
  EXPECT_NE(rehearsal_text(rehearsal).find("backoff of answer/s2"), std::string::npos);
}

TEST(Rehearsal, WhatHangsTimesOutAndWhatDiesIsLost) {
  const Rehearsal hangs =
      play(two_steps(), R"({"tasks": {"t1": [{"hangs": true}, {"returns": "r"}]}})");
  EXPECT_EQ(hangs.runs[0].row.state, core::RunState::completed);
  EXPECT_NE(rehearsal_text(hangs).find("+2s  lapsed     answer/s1 its time was up"),
            std::string::npos)
      << rehearsal_text(hangs);
  Pipeline slow = two_steps();
  for (auto& step : slow.steps) step.policies.timeout_ms = 60'000;
  const Rehearsal dies = play(slow, R"({"tasks": {"t1": [{"dies": true}, {"returns": "r"}]}})");
  EXPECT_NE(rehearsal_text(dies).find("its worker was lost"), std::string::npos);
}

TEST(Rehearsal, AnAttemptThatWaitsForAWorkerStartsLateOrNot) {
  Pipeline pipeline = two_steps();
  pipeline.steps[0].policies.queue_ms = 500;
  pipeline.steps[0].policies.attempts = 2;
  const Rehearsal late = play(pipeline, R"({"tasks": {"t1": {"returns": "r", "waits": "400ms"}}})");
  EXPECT_EQ(late.runs[0].row.state, core::RunState::completed);
  EXPECT_EQ(late.runs[0].row.ended - late.runs[0].row.started, 420 * core::kUsPerMs);
  const char* never = R"({"tasks": {"t1": {"returns": "r", "waits": "1h"}}})";
  const Rehearsal given_up = play(pipeline, never);
  EXPECT_EQ(given_up.runs[0].row.why, "Busy: no worker took it within 500 ms");
  // Two waits and the gap between them.
  EXPECT_EQ(given_up.runs[0].row.ended - given_up.runs[0].row.started, 1200 * core::kUsPerMs);
  EXPECT_NE(rehearsal_text(given_up).find("+500ms  lapsed     answer/s1 no worker took it"),
            std::string::npos)
      << rehearsal_text(given_up);
  // The wait goes on where it was when the engine dies meanwhile.
  for (std::size_t after = 1; after <= given_up.journal.size(); ++after) {
    for (const bool left : {false, true}) {
      auto request = request_of(pipeline, never);
      request.crash = {after, left, left};
      const Rehearsal crashed = rehearse(request);
      EXPECT_EQ(outcome_text(crashed), outcome_text(given_up));
      EXPECT_EQ(crashed.runs[0].row.ended, given_up.runs[0].row.ended);
    }
  }
}

TEST(Rehearsal, AHeartbeatIsTheLengthOfALease) {
  Pipeline pipeline = two_steps();
  pipeline.steps[0].policies.heartbeat_ms = 300;
  const Rehearsal dies = play(pipeline, R"({"tasks": {"t1": [{"dies": true}, {"returns": "r"}]}})");
  EXPECT_NE(rehearsal_text(dies).find("+300ms  lapsed     answer/s1 its worker was lost"),
            std::string::npos)
      << rehearsal_text(dies);
  // Who renews is left alone.
  const Rehearsal slow = play(pipeline, R"({"tasks": {"t1": {"returns": "r", "takes": "1s"}}})");
  EXPECT_EQ(slow.runs[0].entries.size(), 3u);
}

TEST(Rehearsal, ALongTaskKeepsItsLease) {
  Pipeline pipeline = two_steps();
  for (auto& step : pipeline.steps) step.policies.timeout_ms = 0;
  const Rehearsal rehearsal =
      play(pipeline, R"({"tasks": {"t1": {"returns": "r", "takes": "5m"}}})");
  EXPECT_EQ(rehearsal.runs[0].row.state, core::RunState::completed);
  EXPECT_EQ(rehearsal.runs[0].entries.size(), 3u);
}

TEST(Rehearsal, UnsafeAttemptsAreGrantedFirstAndACancelIsTold) {
  Pipeline pipeline;
  pipeline.steps.resize(1);
  const Rehearsal rehearsal =
      play(pipeline, R"({"cancel_after": "3s", "tasks": {"t1": {"hangs": true}}})");
  const std::string text = rehearsal_text(rehearsal);
  EXPECT_NE(text.find("granted    answer/s1"), std::string::npos) << text;
  EXPECT_NE(text.find("taken back: cancelled"), std::string::npos);
  EXPECT_EQ(rehearsal.runs[0].row.state, core::RunState::cancelled);
}

TEST(Rehearsal, ARunThatCannotEndIsGivenUp) {
  Pipeline pipeline;
  pipeline.steps.resize(1);
  const auto request = request_of(pipeline, R"({"tasks": {"t1": {"hangs": true}}})");
  const Rehearsal rehearsal = rehearse(request);
  EXPECT_NE(rehearsal.stopped.find("did not end"), std::string::npos);
  EXPECT_FALSE(rehearsal.broken);
  EXPECT_EQ(rehearsal.runs.size(), 1u);
}

// What fails, hangs, is granted first and compensated: the outcome is the same wherever the process
// dies, whether the effects had left, and from whatever it recovers.
TEST(Rehearsal, ACrashAtAnyBoundaryLeavesTheOutcome) {
  Pipeline pipeline = two_steps();
  pipeline.steps[0].policies.idempotent = false;
  pipeline.steps.push_back(pipeline.steps[1]);
  const char* script = R"({"tasks": {
      "t1": [{"fails": "Unavailable"}, {"returns": "r", "takes": "15s"}],
      "t2": [{"hangs": true}, {"returns": "s"}]}})";
  pipeline.steps[0].policies.timeout_ms = 0;
  const RehearsalRequest request = request_of(pipeline, script);
  const Rehearsal calm = rehearse(request);
  const std::string outcome = outcome_text(calm);
  EXPECT_NE(outcome.find("completed"), std::string::npos) << outcome;
  ASSERT_GT(calm.journal.size(), 6u);
  for (std::size_t after = 1; after <= calm.journal.size(); ++after) {
    for (const bool left : {false, true}) {
      // An unsafe attempt that was granted and whose worker nobody knows is lost, as it must be.
      if (!left && calm.journal[after - 1] == core::Kind::granted) continue;
      RehearsalRequest again = request;
      again.crash = {after, left, left};
      const Rehearsal crashed = rehearse(again);
      EXPECT_EQ(outcome_text(crashed), outcome) << after << (left ? " left" : "");
    }
  }
}

TEST(Rehearsal, AGrantedAttemptThatNobodyReclaimsIsLost) {
  Pipeline pipeline;
  pipeline.steps.resize(1);
  RehearsalRequest request = request_of(pipeline);
  const Rehearsal calm = rehearse(request);
  ASSERT_EQ(calm.journal[1], core::Kind::granted);
  request.crash = {2, false, false};
  const Rehearsal crashed = rehearse(request);
  EXPECT_EQ(crashed.runs[0].row.state, core::RunState::failed);
  EXPECT_EQ(crashed.runs[0].row.why.substr(0, 4), "Lost");
}

TEST(Rehearsal, SeveralEventsEachStartARun) {
  RehearsalRequest request = request_of(two_steps());
  request.inputs.push_back(request.inputs[0]);
  request.inputs[1].after_ms = 5000;
  request.inputs[1].client = "ada";
  const Rehearsal rehearsal = rehearse(request);
  ASSERT_EQ(rehearsal.runs.size(), 2u);
  EXPECT_EQ(rehearsal.runs[1].row.client, "ada");
  EXPECT_EQ(rehearsal.runs[1].row.started - rehearsal.start, 5'000'000);
  EXPECT_EQ(rehearsal.deliveries.size(), 2u);
}

TEST(Rehearsal, JsonIsWellFormedAndTheSameEachTime) {
  const std::string json = runs_json(play(two_steps()));
  vm::JsonReader reader(json);
  EXPECT_TRUE(reader.skip() && reader.finish()) << json;
  EXPECT_EQ(json, runs_json(play(two_steps())));
}

TEST(Script, MistakesAreNamed) {
  const auto program = vm::verify(core::test::make_program(two_steps())).value();
  const struct {
    const char* json;
    const char* error;
  } rows[] = {
      {"", "the script must be an object"},
      {"[]", "the script must be an object"},
      {R"({"x": 1})",
       "the script has no `x`: client, cancel_after, signals, away and tasks are known"},
      {R"({"away": {}})", "`away` is a list"},
      {R"({"away": [{"after": "2s", "back": "2s"}]})", "`back` is later than `after`"},
      {R"({"away": [{"until": "2s"}]})", "an absence has no `until`: after and back"},
      {R"({"tasks": {"t9": {}}})", "the program has no task `t9`"},
      {R"({"tasks": {"t1": []}})", "`t1` has an empty list"},
      {R"({"tasks": {"t1": {}}})", "an attempt of `t1` has one of returns, fails, hangs, dies"},
      {R"({"tasks": {"t1": {"hangs": true, "dies": true}}})",
       "an attempt of `t1` has one of returns, fails, hangs, dies"},
      {R"({"tasks": {"t1": {"hangs": false}}})", "`hangs` can only be true"},
      {R"({"tasks": {"t1": {"fails": ""}}})", "`fails` names a kind such as \"Unavailable\""},
      {R"({"tasks": {"t1": {"returns": "r", "takes": 5}}})",
       "`takes` is a duration such as \"250ms\""},
      {R"({"tasks": {"t1": {"returns": "r", "when": 5}}})", "an attempt of `t1` has no `when`"},
      {"{\"client\": \"a\",\n \"client\": \"b\"}", "line 2: duplicate key"},
  };
  for (const auto& row : rows) {
    const auto script = read_script(program, row.json);
    ASSERT_FALSE(script.has_value()) << row.json;
    EXPECT_EQ(script.error(), row.error);
  }
  const auto wrong = read_script(program, R"({"tasks": {"t1": {"returns": 5}}})");
  ASSERT_FALSE(wrong.has_value());
  EXPECT_EQ(wrong.error().find("the result of `t1`: "), 0u) << wrong.error();
}

}  // namespace
}  // namespace sluice::sim
