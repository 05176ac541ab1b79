#include <gtest/gtest.h>

#include "compiler/compile.hpp"
#include "engine/sim/rehearsal.hpp"

// Flows that use flows, through the production partition and dispatcher in virtual time; each once
// in peace, and with a crash after every record.
namespace sluice::sim {
namespace {

constexpr const char* kHead = R"(
event Ask { text: string where len(text) < 20 }
event Answer { text: string }
event Failed { reason: string }
event Told { text: string }
topic asks of Ask {}
topic notes of Ask { order by text }
topic meetings of Ask {}
task look(text: string) -> string { timeout 40s  idempotent }
task hold(text: string) -> string { timeout 5s  keyed }
task release(key: string) { timeout 5s  keyed }

flow child(text: string) -> Answer or Failed timeout 10s {
  step held = hold(text) {
    compensate { step release(held) }
    unsure { step release(held.key) }
  }
  step said = look(text)
  return Answer { text: said }
}
on failure (why) { return Failed { reason: "child: ${why.message}" } }

flow counted(text: string) -> Answer or Failed timeout 1m concurrency 1 per tenant {
  step said = look(text)
  return Answer { text: said }
} on failure (why) { return Failed { reason: why.kind } }

flow crowded(text: string) -> Answer or Failed timeout 1m concurrency 1 per key "all" reject {
  step said = look(text)
  return Answer { text: said }
} on failure (why) { return Failed { reason: why.kind } }

flow meets(ask: Ask) -> Answer or Failed on meetings timeout 1m concurrency 1 per key "all" joins {
  step look(ask.text)
  receive more: Ask from client within 5s {
    step again = look(more.text)
    return Answer { text: "${ask.text} and ${more.text}" }
  } else { return Answer { text: "alone" } }
} on failure (why) { return Failed { reason: why.kind } }

flow note(ask: Ask) on notes timeout 10s { notify Told { text: ask.text } }
)";

struct Played {
  Rehearsal calm;
  std::string told;    // to the client, one line each
  std::string answer;  // of the first run
};

Played play(const std::string& body, const char* script = "{}") {
  compiler::SourceSet sources;
  sources.add("play.flow", "play",
              kHead + ("flow answer(ask: Ask) -> Answer or Failed on asks timeout 5m {\n" + body) +
                  "\n} on failure (why) { return Failed { reason: why.message } }\n");
  compiler::Diagnostics diagnostics;
  const auto compiled = compiler::compile(sources, diagnostics);
  Played played;
  if (!compiled.artifact) {
    for (const auto& each : diagnostics.items()) ADD_FAILURE() << each.message;
    return played;
  }
  RehearsalRequest request;
  request.program = vm::load_artifact(*compiled.artifact).value();
  auto read = read_script(request.program, script);
  EXPECT_TRUE(read.has_value());
  if (!read) return played;
  request.script = std::move(*read);
  Input input;
  const vm::Program& program = request.program->program();
  input.index = *vm::find_by_name(program.topics, "asks");
  const vm::EventInfo& event = program.events[program.topics[input.index].event];
  input.data = vm::encode_value(
      vm::Value::record(event.record, std::vector<vm::Value>{vm::Value::string("hi")}));
  request.inputs.push_back(input);
  if (request.script.cancel_after_ms) {
    Input cancel;
    cancel.kind = Input::Kind::cancel;
    cancel.after_ms = *request.script.cancel_after_ms;
    request.inputs.push_back(cancel);
  }
  played.calm = rehearse(request);
  EXPECT_EQ(played.calm.stopped, "");
  const std::string outcome = outcome_text(played.calm);
  for (std::size_t after = 1; after <= played.calm.journal.size(); ++after) {
    for (const bool left : {false, true}) {
      RehearsalRequest again = request;
      again.crash = {after, left, left};
      EXPECT_EQ(outcome_text(rehearse(again)), outcome) << after << (left ? " left" : "");
    }
  }
  for (const core::Delivery& each : played.calm.deliveries) {
    played.told += each.name + " " + each.data_json + "\n";
  }
  const core::RunRow& row = played.calm.runs.at(0).row;
  played.answer = row.outcome_name + " " + row.outcome_json;
  return played;
}

TEST(FlowsOfFlows, AnOutcomeIsTheStepsValueAndTheClientHearsOneAnswer) {
  const Played played = play(
      "step found = child(ask.text) match found { case Answer(a) { return Answer { text: a.text } "
      "} "
      "case Failed(f) { fail No \"no: ${f.reason}\" } }",
      R"({"tasks": {"look": {"returns": "seen"}}})");
  EXPECT_EQ(played.told, "Answer {\"text\":\"seen\"}\n");
  EXPECT_EQ(played.calm.runs.size(), 2u);
  EXPECT_EQ(played.calm.runs[1].row.correlation, played.calm.runs[0].row.correlation);
}

TEST(FlowsOfFlows, AChildThatFailsHasAnOutcomeToo) {
  const Played played = play(
      "step found = child(ask.text) { keep } match found { case Answer { return Answer { text: "
      "\"\" } } "
      "case Failed(f) { return Answer { text: f.reason } } }",
      R"({"tasks": {"look": {"fails": "Rejected", "message": "no", "retry": false}}})");
  EXPECT_EQ(played.answer, R"(Answer {"text":"child: no"})");
  EXPECT_NE(rehearsal_text(played.calm).find("release"), std::string::npos) << "it undid itself";
}

TEST(FlowsOfFlows, AStepOutOfTimeCancelsItsRunWhichUndoesItself) {
  const Played played = play(
      "step found = child(ask.text) { within 2s  fallback Failed { reason: \"late\" } } "
      "match found { case Answer { return Answer { text: \"\" } } "
      "case Failed(f) { return Answer { text: f.reason } } }",
      R"({"tasks": {"look": {"hangs": true}}})");
  EXPECT_EQ(played.answer, R"(Answer {"text":"late"})");
  EXPECT_EQ(played.calm.runs.at(1).row.state, core::RunState::cancelled);
  EXPECT_NE(rehearsal_text(played.calm).find("release"), std::string::npos);
  EXPECT_EQ(played.told, "Answer {\"text\":\"late\"}\n") << "a cancelled child answers nobody";
}

TEST(FlowsOfFlows, WhoLosesARaceIsCancelledWithItsRun) {
  const Played played = play(
      "let r = race { branch a { step found = child(ask.text) { keep } yield \"child\" } "
      "branch b { sleep 1s yield \"b\" } } return Answer { text: r }",
      R"({"tasks": {"look": {"hangs": true}}})");
  EXPECT_EQ(played.answer, R"(Answer {"text":"b"})");
  EXPECT_EQ(played.calm.runs.at(1).row.state, core::RunState::cancelled);
}

TEST(FlowsOfFlows, ACancelledParentCancelsItsChild) {
  const Played played = play("step found = child(ask.text) return Answer { text: \"\" }",
                             R"({"cancel_after": "1s", "tasks": {"look": {"hangs": true}}})");
  EXPECT_EQ(played.calm.runs.at(0).row.state, core::RunState::cancelled);
  EXPECT_EQ(played.calm.runs.at(1).row.state, core::RunState::cancelled);
}

TEST(FlowsOfFlows, PublishStartsTheFlowsOfItsTopicOnce) {
  const Played played = play(
      "publish Ask { text: \"a\" } to notes publish Ask { text: \"b\" } to notes "
      "step look(ask.text) return Answer { text: look }",
      R"({"tasks": {"look": {"returns": "x"}}})");
  EXPECT_EQ(played.calm.runs.size(), 3u);
  EXPECT_EQ(played.told, "Told {\"text\":\"a\"}\nTold {\"text\":\"b\"}\nAnswer {\"text\":\"x\"}\n");
}

TEST(FlowsOfFlows, APublishedEventKeepsItsConstraints) {
  EXPECT_EQ(play("try { publish Ask { text: \"a text of more than twenty letters\" } to notes } "
                 "catch Invalid (why) { return Answer { text: why.message } } "
                 "return Answer { text: \"\" }")
                .answer,
            R"(Answer {"text":"`Ask` at /text: does not satisfy `where len(text) < 20`"})");
}

TEST(FlowsOfFlows, ADetachedRunGoesOnWhateverBecomesOfWhoStartedIt) {
  const Played played = play("let id = start child(ask.text) for client \"eve\" fail No id",
                             R"({"tasks": {"look": {"returns": "x", "takes": "5s"}}})");
  ASSERT_EQ(played.calm.runs.size(), 2u);
  const core::RunRow& child = played.calm.runs[1].row;
  EXPECT_EQ(child.state, core::RunState::completed);
  EXPECT_EQ(child.client, "eve");
  EXPECT_EQ(played.answer, "Failed {\"reason\":\"" + core::to_text(child.run) + "\"}");
  EXPECT_NE(played.told.find("Answer {\"text\":\"x\"}\n"), std::string::npos);
}

// ---- a parent does not go on before what it called off is undone

// When each run ended, ms.
std::vector<std::int64_t> ends(const Played& played) {
  std::vector<std::int64_t> all;
  for (const core::RunHistory& run : played.calm.runs) {
    all.push_back((run.row.ended - played.calm.start) / 1000);
  }
  return all;
}

constexpr const char* kSlowToUndo =
    R"({"tasks": {"look": {"hangs": true}, "release": {"returns": null, "takes": "3s"}}})";

TEST(FlowsOfFlows, ARaceGoesOnWhenTheLosersRunIsUndone) {
  const Played played = play(
      "let r = race { branch a { step found = child(ask.text) { keep } yield \"child\" } "
      "branch b { sleep 1s yield \"b\" } } notify Told { text: r } return Answer { text: r }",
      kSlowToUndo);
  EXPECT_EQ(played.answer, R"(Answer {"text":"b"})");
  EXPECT_EQ(ends(played), (std::vector<std::int64_t>{4000, 4000}));
}

TEST(FlowsOfFlows, ADeadlinesElseComesWhenTheRunIsUndone) {
  const Played played = play(
      "deadline 1s { step found = child(ask.text) { keep } } else { step look2 = hold(ask.text) { "
      "keep } return Answer { text: look2 } } return Answer { text: \"\" }",
      kSlowToUndo);
  EXPECT_EQ(ends(played), (std::vector<std::int64_t>{4010, 4000}));
}

TEST(FlowsOfFlows, ACatchComesWhenTheRunIsUndone) {
  const Played played = play(
      "try { parallel { step found = child(ask.text) { keep } "
      "branch b { sleep 1s fail No \"no\" } } } "
      "catch (why) { return Answer { text: why.kind } } return Answer { text: \"\" }",
      kSlowToUndo);
  EXPECT_EQ(played.answer, R"(Answer {"text":"No"})");
  EXPECT_EQ(ends(played), (std::vector<std::int64_t>{4000, 4000}));
}

// Its own undoing begins when that of what it called off is done.
TEST(FlowsOfFlows, ACancelledParentUndoesItselfAfterItsChild) {
  const Played played = play(
      "step h = hold(ask.text) { compensate { step release(h) } unsure { step release(h.key) } } "
      "step found = child(ask.text) return Answer { text: \"\" }",
      R"({"cancel_after": "1s", "tasks": {"look": {"hangs": true},
          "release": {"returns": null, "takes": "3s"}}})");
  EXPECT_EQ(ends(played), (std::vector<std::int64_t>{7000, 4000}));
}

TEST(FlowsOfFlows, AFallbackIsGivenAtOnceAndTheEndWaits) {
  const Played played = play(
      "step found = child(ask.text) { within 1s  fallback Failed { reason: \"late\" } } "
      "notify Told { text: \"late\" } step look2 = hold(ask.text) { keep } "
      "match found { case Answer { return Answer { text: \"\" } } "
      "case Failed(f) { return Answer { text: f.reason } } }",
      kSlowToUndo);
  EXPECT_EQ(played.answer, R"(Answer {"text":"late"})");
  EXPECT_EQ(ends(played), (std::vector<std::int64_t>{4000, 4000}));
  ASSERT_EQ(played.calm.deliveries.size(), 2u);
  EXPECT_EQ(played.told, "Told {\"text\":\"late\"}\nAnswer {\"text\":\"late\"}\n");
}

// ---- runs that count together

TEST(FlowsOfFlows, ChildrenUnderConcurrencyTakeTurns) {
  const Played played = play(
      "let all = each n in 1..3 parallel 3 { step said = counted(\"${n}\") { keep } "
      "match said { case Answer(a) { yield a.text } case Failed(f) { yield f.reason } } } "
      "return Answer { text: join(all, \" \") }",
      R"({"tasks": {"look": {"returns": "x", "takes": "1s"}}})");
  EXPECT_EQ(played.answer, R"(Answer {"text":"x x x"})");
  EXPECT_EQ(ends(played), (std::vector<std::int64_t>{3000, 1000, 2000, 3000}));
}

TEST(FlowsOfFlows, AChildWithoutRoomFailsWithBusy) {
  const Played played = play(
      "start crowded(\"a\") sleep 100ms step said = crowded(\"b\") { keep } "
      "match said { case Answer(a) { return a } case Failed(f) { return f } }",
      R"({"tasks": {"look": {"returns": "x", "takes": "1s"}}})");
  EXPECT_EQ(played.answer, R"(Failed {"reason":"Busy"})");
}

// The step of a run that joins another has the outcome of that one.
TEST(FlowsOfFlows, AStepWhoseRunJoinsAnotherIsToldHowThatEnds) {
  const std::string body =
      "start meets(ask) for client \"eve\" sleep 100ms step said = meets(ask) { keep } "
      "match said { case Answer(a) { return a } case Failed(f) { return f } }";
  EXPECT_EQ(play(body, R"({"tasks": {"look": {"returns": "x", "takes": "1s"}}})").answer,
            R"(Answer {"text":"hi and hi"})");
  // Called off, it does not wait for the run that it joined.
  const Played cancelled =
      play(body, R"({"cancel_after": "1500ms", "tasks": {"look": [{"returns": "x", "takes": "1s"},
          {"returns": "x", "takes": "9s"}]}})");
  EXPECT_EQ(cancelled.calm.runs.at(0).row.state, core::RunState::cancelled);
  EXPECT_EQ(ends(cancelled), (std::vector<std::int64_t>{1500, 10000, 1000}));
}

}  // namespace
}  // namespace sluice::sim
