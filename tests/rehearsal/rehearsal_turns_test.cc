#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "compiler/compile.hpp"
#include "engine/sim/rehearsal.hpp"

// `concurrency` and `ttl` through the production partition and dispatcher, in virtual time, with a
// crash at every boundary of the journal.
namespace sluice::sim {
namespace {

constexpr const char* kHead = R"(
event Ask { text: string, room: string = "r" }
event Answer { text: string }
event Failed { reason: string }
event Progress { text: string }
topic asks of Ask { order by client }
topic rooms of Ask { order by room }
topic brief of Ask { order by client  ttl 3s }
task look(text: string) -> string { timeout 40s  idempotent }
task hold(text: string) -> string { timeout 5s  keyed }
task release(key: string) { timeout 5s  keyed }
)";

struct Sent {
  std::uint64_t after_ms = 0;
  std::string text;
  std::string client = "ada";
  std::string room = "r";
};

RehearsalRequest request_of(const std::string& flow, const std::vector<Sent>& sent) {
  compiler::SourceSet sources;
  sources.add("play.flow", "play", kHead + flow);
  compiler::Diagnostics diagnostics;
  const auto compiled = compiler::compile(sources, diagnostics);
  EXPECT_FALSE(diagnostics.has_errors());
  RehearsalRequest request;
  if (!compiled.artifact) return request;
  request.program = vm::load_artifact(*compiled.artifact).value();
  const vm::Program& program = request.program->program();
  request.script =
      read_script(request.program, R"({"tasks": {"look": {"returns": "x", "takes": "2s"},
      "hold": {"returns": "h"}, "release": {"returns": null, "takes": "500ms"}}})")
          .value();
  for (const Sent& each : sent) {
    Input input;
    input.after_ms = each.after_ms;
    input.client = each.client;
    input.index = *program.flows[0].trigger;
    const std::uint32_t record = program.events[*vm::find_by_name(program.events, "Ask")].record;
    input.data = vm::encode_value(vm::Value::record(
        record,
        std::vector<vm::Value>{vm::Value::string(each.text), vm::Value::string(each.room)}));
    request.inputs.push_back(std::move(input));
  }
  return request;
}

// "ada: completed Answer {…} +2010 | …": each run with its beginning, its end and its outcome, in
// the order of arrival; refusals at the end. The same with a crash anywhere.
std::string told(const std::string& flow, const std::vector<Sent>& sent) {
  const RehearsalRequest request = request_of(flow, sent);
  if (request.program == nullptr) return "does not compile";
  const Rehearsal calm = rehearse(request);
  EXPECT_EQ(calm.stopped, "");
  for (std::size_t after = 1; after <= calm.journal.size(); ++after) {
    for (const bool left : {false, true}) {
      RehearsalRequest again = request;
      again.crash = {after, left, left};
      EXPECT_EQ(outcome_text(rehearse(again)), outcome_text(calm))
          << after << (left ? " left" : "");
    }
  }
  std::string text;
  for (const core::RunHistory& run : calm.runs) {
    text += fmt::format("{} {} {}\n", (run.row.ended - calm.start) / 1000,
                        core::run_state_word(run.row.state), run.row.outcome_json);
  }
  for (const Refused& each : calm.refused) text += fmt::format("{} {}\n", each.input, each.message);
  return text;
}

std::string flow(const std::string& head, const std::string& body) {
  return "flow answer(ask: Ask) -> Answer or Failed " + head + " {\n" + body +
         "\n} on failure (why) { return Failed { reason: \"${why.kind} ${ask.text}\" } }\n";
}
const std::string kLook = "step look(ask.text) return Answer { text: ask.text }";

TEST(Turns, OneOfAClientAfterTheOther) {
  EXPECT_EQ(told(flow("on asks timeout 1m concurrency 1 per client", kLook),
                 {{0, "a"}, {10, "b"}, {20, "c"}, {0, "d", "bob"}}),
            "2000 completed {\"text\":\"a\"}\n2000 completed {\"text\":\"d\"}\n"
            "4000 completed {\"text\":\"b\"}\n6000 completed {\"text\":\"c\"}\n");
}

TEST(Turns, TwoOfAKeyAtOnce) {
  EXPECT_EQ(told(flow("on rooms timeout 1m concurrency 2 per key ask.room", kLook),
                 {{0, "a"}, {0, "b", "bob"}, {20, "c"}, {30, "d", "ada", "other"}}),
            "2000 completed {\"text\":\"a\"}\n2000 completed {\"text\":\"b\"}\n"
            "4000 completed {\"text\":\"c\"}\n2030 completed {\"text\":\"d\"}\n");
}

TEST(Turns, AQueueThatIsFullRefuses) {
  EXPECT_EQ(told(flow("on asks timeout 1m concurrency 1 per client queue 1", kLook),
                 {{0, "a"}, {10, "b"}, {20, "c"}, {2100, "d"}}),
            "2000 completed {\"text\":\"a\"}\n4000 completed {\"text\":\"b\"}\n"
            "6000 completed {\"text\":\"d\"}\n2 1 of `answer` go on already, and 1 wait\n");
}

TEST(Turns, RejectLetsNobodyWait) {
  EXPECT_EQ(told(flow("on asks timeout 1m concurrency 1 per client reject", kLook),
                 {{0, "a"}, {10, "b"}, {2100, "c"}}),
            "2000 completed {\"text\":\"a\"}\n4100 completed {\"text\":\"c\"}\n"
            "1 1 of `answer` go on already\n");
}

// The one before is undone first, and says nothing; one that has not begun is dropped.
TEST(Turns, TheNewestWins) {
  const std::string body =
      "step h = hold(ask.text) { compensate { step release(h) notify Progress { text: h } } unsure "
      "{ step release(h.key) } }\nstep look(ask.text) return Answer { text: ask.text }";
  EXPECT_EQ(told(flow("on asks timeout 1m concurrency 1 per client newest wins", body),
                 {{0, "a"}, {1000, "b"}, {1100, "c"}}),
            "1500 superseded \n1100 superseded \n3510 completed {\"text\":\"c\"}\n");
  const RehearsalRequest request =
      request_of(flow("on asks timeout 1m concurrency 1 per client newest wins", body),
                 {{0, "a"}, {1000, "b"}});
  const Rehearsal played = rehearse(request);
  ASSERT_EQ(played.deliveries.size(), 1u);
  EXPECT_EQ(played.deliveries[0].data_json, R"({"text":"b"})");
  const std::string text = rehearsal_text(played);
  EXPECT_NE(text.find("advance    superseded"), std::string::npos) << text;
  EXPECT_NE(text.find("advance    begins"), std::string::npos) << text;
}

TEST(Turns, OfTwoPlacesTheOldestIsTaken) {
  EXPECT_EQ(told(flow("on asks timeout 1m concurrency 2 per client newest wins", kLook),
                 {{0, "a"}, {100, "b"}, {200, "c"}}),
            "200 superseded \n2100 completed {\"text\":\"b\"}\n2200 completed {\"text\":\"c\"}\n");
}

TEST(Turns, TheTimeoutCountsTheWait) {
  EXPECT_EQ(told(flow("on asks timeout 3s concurrency 1 per client", kLook),
                 {{0, "a"}, {10, "b"}, {20, "c"}}),
            "2000 completed {\"text\":\"a\"}\n3010 failed {\"reason\":\"TimedOut b\"}\n"
            "3020 failed {\"reason\":\"TimedOut c\"}\n");
}

TEST(Turns, AnEventThatGrewOldIsAnswered) {
  EXPECT_EQ(told(flow("on brief timeout 1m concurrency 1 per client", kLook),
                 {{0, "a"}, {10, "b"}, {20, "c"}}),
            "2000 completed {\"text\":\"a\"}\n4000 completed {\"text\":\"b\"}\n"
            "3020 failed {\"reason\":\"TimedOut c\"}\n");
  EXPECT_EQ(told(flow("on asks ttl 1s timeout 1m concurrency 1 per client", kLook),
                 {{0, "a"}, {10, "b"}}),
            "2000 completed {\"text\":\"a\"}\n1010 failed {\"reason\":\"TimedOut b\"}\n");
}

TEST(Turns, OneThatWaitsCanBeCancelled) {
  RehearsalRequest request = request_of(flow("on asks timeout 1m concurrency 1 per client", kLook),
                                        {{0, "a"}, {10, "b"}, {20, "c"}});
  Input cancel;
  cancel.kind = Input::Kind::cancel;
  cancel.after_ms = 15;
  cancel.client = "ada";
  request.inputs.push_back(cancel);
  const Rehearsal played = rehearse(request);
  EXPECT_EQ(played.stopped, "");
  EXPECT_EQ(outcome_text(played),
            "answer of ada: cancelled Failed {\"reason\":\"Cancelled a\"} Cancelled: cancelled\n"
            "answer of ada: cancelled Failed {\"reason\":\"Cancelled b\"} Cancelled: cancelled\n"
            "answer of ada: completed Answer {\"text\":\"c\"} \n"
            "told to ada:\n  Failed {\"reason\":\"Cancelled a\"}\n"
            "  Failed {\"reason\":\"Cancelled b\"}\n  Answer {\"text\":\"c\"}\n");
}

// ---- joins

// What came meanwhile is taken once, after 2 s, or until 3 s.
const std::string kHear = R"(
  step look(ask.text)
  receive more: Ask from client within 1s {
    return Answer { text: "${ask.text}+${more.text}" }
  } else { return Answer { text: ask.text } })";
// All that came, each after its own 2 s, until none comes for a second.
const std::string kHearAll = R"(
  var text = ask.text
  step look(ask.text)
  while true {
    receive more: Ask from client within 1s else { return Answer { text: text } }
    set text = "${text}+${more.text}"
    step again = look(more.text)
  })";

TEST(Joins, WhatComesMeanwhileIsASignal) {
  EXPECT_EQ(told(flow("on asks timeout 1m concurrency 1 per client joins", kHear),
                 {{0, "a"}, {10, "b"}, {20, "c", "bob"}}),
            "2000 completed {\"text\":\"a+b\"}\n2000 joined \n"
            "3020 completed {\"text\":\"c\"}\n");
  EXPECT_EQ(told(flow("on asks timeout 1m concurrency 1 per client joins", kHear),
                 {{0, "a"}, {2500, "b"}}),
            "2500 completed {\"text\":\"a+b\"}\n2500 joined \n");
}

TEST(Joins, SeveralAreHeardInTheirOrder) {
  EXPECT_EQ(told(flow("on asks timeout 1m concurrency 1 per client joins", kHearAll),
                 {{0, "a"}, {10, "b"}, {10, "c"}, {4500, "d"}, {10100, "e"}}),
            "9000 completed {\"text\":\"a+b+c+d\"}\n2000 joined \n4000 joined \n6000 joined \n"
            "13100 completed {\"text\":\"e\"}\n");
}

TEST(Joins, TheOldestThatNobodyTookBeginsTheNext) {
  EXPECT_EQ(told(flow("on asks timeout 1m concurrency 1 per client joins", kHear),
                 {{0, "a"}, {10, "b"}, {20, "c"}, {30, "d"}, {40, "e"}}),
            "2000 completed {\"text\":\"a+b\"}\n2000 joined \n"
            "4000 completed {\"text\":\"c+d\"}\n4000 joined \n"
            "7000 completed {\"text\":\"e\"}\n");
}

TEST(Joins, OneThatFailsLeavesTheOthersToTheNext) {
  const std::string body =
      "step look(ask.text)\nif ask.text == \"a\" { fail Rejected \"no\" }\n"
      "receive more: Ask from client within 1s { return Answer { text: more.text } } "
      "else { return Answer { text: ask.text } }";
  EXPECT_EQ(told(flow("on asks timeout 1m concurrency 1 per client joins", body),
                 {{0, "a"}, {10, "b"}, {20, "c"}}),
            "2000 failed {\"reason\":\"Rejected a\"}\n4000 completed {\"text\":\"c\"}\n"
            "4000 joined \n");
}

TEST(Joins, OneThatGrewOldIsTakenBack) {
  EXPECT_EQ(told(flow("on asks ttl 1s timeout 1m concurrency 1 per client joins", kHear),
                 {{0, "a"}, {10, "b"}, {1500, "c"}}),
            "2000 completed {\"text\":\"a+c\"}\n1010 failed {\"reason\":\"TimedOut b\"}\n"
            "2000 joined \n");
  EXPECT_EQ(
      told(flow("on asks timeout 2500ms concurrency 1 per client joins",
                "step look(ask.text) step l = look(ask.text) "
                "receive more: Ask from client within 0s { return Answer { text: more.text } }\n"
                "return Answer { text: ask.text }"),
           {{0, "a"}, {10, "b"}}),
      "2500 failed {\"reason\":\"TimedOut a\"}\n2510 failed {\"reason\":\"TimedOut b\"}\n");
}

TEST(Joins, OneThatIsCancelledIsTakenBack) {
  RehearsalRequest request =
      request_of(flow("on rooms timeout 1m concurrency 1 per key ask.room joins", kHear),
                 {{0, "a"}, {10, "b", "bob"}, {20, "c", "eve"}});
  Input cancel;
  cancel.kind = Input::Kind::cancel;
  cancel.after_ms = 15;
  cancel.client = "bob";
  request.inputs.push_back(cancel);
  const std::string calm = outcome_text(rehearse(request));
  EXPECT_EQ(calm,
            "answer of ada: completed Answer {\"text\":\"a+c\"} \n"
            "answer of bob: cancelled Failed {\"reason\":\"Cancelled b\"} Cancelled: cancelled\n"
            "answer of eve: joined   Superseded: it joined the run under way\n"
            "told to ada:\n  Answer {\"text\":\"a+c\"}\n"
            "told to bob:\n  Failed {\"reason\":\"Cancelled b\"}\n");
  for (std::size_t after = 1; after <= rehearse(request).journal.size(); ++after) {
    request.crash = {after, after % 2 == 0, after % 2 == 0};
    EXPECT_EQ(outcome_text(rehearse(request)), calm) << after;
  }
}

TEST(Joins, OfTwoUnderWayTheNewestHears) {
  EXPECT_EQ(told(flow("on asks timeout 1m concurrency 2 per client joins",
                      "step look(ask.text)\nif ask.text == \"a\" { step l = look(ask.text) }\n"
                      "receive more: Ask from client within 1s { return Answer { text: "
                      "more.text } }\nreturn Answer { text: ask.text }"),
                 {{0, "a"}, {1500, "b"}, {1600, "c"}, {3600, "d"}}),
            "5000 completed {\"text\":\"a\"}\n3500 completed {\"text\":\"c\"}\n3500 joined \n"
            "6600 completed {\"text\":\"d\"}\n");
}

// The run that was to hear of it gives it back before it takes the other's place.
TEST(Joins, APlaceThatBecomesFreeIsTaken) {
  EXPECT_EQ(told(flow("on asks timeout 1m concurrency 2 per client joins", kHear),
                 {{0, "a"}, {1500, "b"}, {1600, "c"}, {3100, "d"}}),
            "3000 completed {\"text\":\"a\"}\n4500 completed {\"text\":\"b\"}\n"
            "6000 completed {\"text\":\"c\"}\n7500 completed {\"text\":\"d\"}\n");
  EXPECT_EQ(told(flow("on asks timeout 1m concurrency 2 per client joins",
                      "step look(ask.text)\nif ask.text == \"b\" { step l = look(ask.text) }\n"
                      "receive more: Ask from client within 0s { return Answer { text: "
                      "more.text } }\nreturn Answer { text: ask.text }"),
                 {{0, "a"}, {1500, "b"}, {1600, "c"}}),
            "2000 completed {\"text\":\"a\"}\n5500 completed {\"text\":\"b\"}\n"
            "4000 completed {\"text\":\"c\"}\n");
}

TEST(Joins, SixtyFourWaitAtMost) {
  std::vector<Sent> sent;
  for (std::uint64_t i = 0; i < 67; ++i) sent.push_back({i, "x"});
  const RehearsalRequest request =
      request_of(flow("on asks timeout 1m concurrency 1 per client joins",
                      "step look(ask.text)\nvar all = 1\neach n in 1..100 { receive more: Ask from "
                      "client within 0s { set all = all + 1 } else { return Answer { text: "
                      "\"${all}\" } } }\nreturn Answer { text: \"\" }"),
                 sent);
  ASSERT_NE(request.program, nullptr);
  const Rehearsal played = rehearse(request);
  EXPECT_EQ(played.stopped, "");
  ASSERT_EQ(played.refused.size(), 2u);
  EXPECT_EQ(played.refused[0].message, "too many signals wait for the run under way");
  EXPECT_EQ(played.runs[0].row.outcome_json, R"({"text":"65"})");
}

TEST(Joins, HistoriesSayWhoJoinedWhom) {
  const Rehearsal played = rehearse(request_of(
      flow("on asks timeout 1m concurrency 1 per client joins", kHear), {{0, "a"}, {10, "b"}}));
  ASSERT_EQ(played.runs.size(), 2u);
  const core::RunHistory& first = played.runs[0];
  const core::RunHistory& second = played.runs[1];
  EXPECT_EQ(second.row.joined, first.row.run);
  EXPECT_EQ(second.entries.back().kind, "join");
  EXPECT_EQ(second.entries.back().data_json.find("{\"joined\":\"" + to_text(first.row.run)), 0u)
      << second.entries.back().data_json;
  const bool heard =
      std::any_of(first.entries.begin(), first.entries.end(), [&](const auto& entry) {
        return entry.data_json.find("\"from\":\"" + to_text(second.row.run)) != std::string::npos;
      });
  EXPECT_TRUE(heard);
  ASSERT_EQ(played.deliveries.size(), 1u);
  EXPECT_EQ(played.deliveries[0].run, first.row.run);
}

}  // namespace
}  // namespace sluice::sim
