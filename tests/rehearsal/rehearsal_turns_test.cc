#include <fmt/format.h>
#include <gtest/gtest.h>

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
  request.script = read_script(program, R"({"tasks": {"look": {"returns": "x", "takes": "2s"},
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
  for (const auto& [index, why] : calm.refused) text += fmt::format("{} {}\n", index, why);
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

}  // namespace
}  // namespace sluice::sim
