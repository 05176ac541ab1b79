#include <gtest/gtest.h>

#include "compiler/compile.hpp"
#include "engine/sim/rehearsal.hpp"
#include "tests/core/programs.hpp"

// Loops, races, limits and catches through the production partition and dispatcher, in virtual
// time: their timers are the engine's, and survive a crash anywhere.
namespace sluice::sim {
namespace {

constexpr const char* kHead = R"(
event Ask { text: string }
event Answer { text: string }
event Failed { reason: string }
event More { text: string }
topic asks of Ask { order by client }
task look(text: string) -> string { timeout 40s  idempotent }
task slow(text: string) -> string { timeout 40s  idempotent }
task hold(text: string) -> string { timeout 5s  keyed }
task release(key: string) { timeout 5s  keyed }
)";

RehearsalRequest request_of(const std::string& body, const char* script) {
  compiler::SourceSet sources;
  sources.add("play.flow", "play",
              kHead + ("flow answer(ask: Ask) -> Answer or Failed on asks timeout 5m {\n" + body) +
                  "\n} on failure (why) { return Failed { reason: why.message } }\n");
  compiler::Diagnostics diagnostics;
  const auto compiled = compiler::compile(sources, diagnostics);
  RehearsalRequest request;
  EXPECT_TRUE(compiled.artifact.has_value());
  if (!compiled.artifact) return request;
  request.program = vm::load_artifact(*compiled.artifact).value();
  auto read = read_script(request.program, script);
  EXPECT_TRUE(read.has_value()) << read.error();
  if (read) request.script = std::move(*read);
  Input input;
  input.client = request.script.client;
  for (const vm::EventInfo& event : request.program->program().events) {
    if (event.name != "Ask") continue;
    input.data = vm::encode_value(
        vm::Value::record(event.record, std::vector<vm::Value>{vm::Value::string("hi")}));
  }
  request.inputs.push_back(input);
  for (const Script::Signal& signal : request.script.signals) {
    request.inputs.push_back(
        {Input::Kind::signal, signal.after_ms, signal.event, input.client, signal.data});
  }
  return request;
}

// Plays it, then again with a crash after each record; the outcome is the same.
std::string outcome_of(const std::string& body, const char* script = "{}") {
  const RehearsalRequest request = request_of(body, script);
  if (request.program == nullptr) return "does not compile";
  const Rehearsal calm = rehearse(request);
  EXPECT_EQ(calm.stopped, "");
  const std::string outcome = outcome_text(calm);
  for (std::size_t after = 1; after <= calm.journal.size(); ++after) {
    for (const bool left : {false, true}) {
      RehearsalRequest again = request;
      again.crash = {after, left, left};
      EXPECT_EQ(outcome_text(rehearse(again)), outcome) << after << (left ? " left" : "");
    }
  }
  const core::RunRow& row = calm.runs.at(0).row;
  return row.outcome_name + " " + row.outcome_json + " after " +
         std::to_string((row.ended - row.started) / 1000) + " ms";
}

TEST(Blocks, SleepIsADurableTimer) {
  EXPECT_EQ(outcome_of("each n in 1..3 { sleep 20s } return Answer { text: \"\" }"),
            R"(Answer {"text":""} after 60000 ms)");
}

TEST(Blocks, ALogIsALineOfTheHistory) {
  const Rehearsal played =
      rehearse(request_of("step look(ask.text) log \"found \\\"${look}\\\"\" "
                          "return Answer { text: look }",
                          R"({"tasks": {"look": {"returns": "x\ny"}}})"));
  EXPECT_NE(rehearsal_text(played).find(R"(## "found \"x\ny\"")"), std::string::npos)
      << rehearsal_text(played);
  EXPECT_NE(runs_json(played).find(R"({"log":"found \"x\ny\"","step":"answer"})"),
            std::string::npos)
      << runs_json(played);
}

TEST(Blocks, ADeadlineCutsAStepThatIsUnderWay) {
  EXPECT_EQ(outcome_of("var note = \"\" deadline 3s { step look(ask.text) } "
                       "else { set note = \"late\" } return Answer { text: note }",
                       R"({"tasks": {"look": {"returns": "x", "takes": "20s"}}})"),
            R"(Answer {"text":"late"} after 3000 ms)");
}

TEST(Blocks, AStepRightBehindADeadlineIsNoLongerWithin) {
  EXPECT_EQ(outcome_of("deadline 3s { step look(ask.text) } else { fail Late \"late\" } "
                       "step slow(ask.text) return Answer { text: slow }",
                       R"({"tasks": {"slow": {"returns": "s", "takes": "10s"}}})"),
            R"(Answer {"text":"s"} after 10010 ms)");
}

TEST(Blocks, AWhileGoesOnUntilItsTaskIsReady) {
  EXPECT_EQ(outcome_of("while true { step look(ask.text) if look == \"ready\" { "
                       "return Answer { text: look } } sleep 1s }",
                       R"({"tasks": {"look": [{"returns": ""}, {"returns": ""},
                           {"returns": "ready"}]}})"),
            R"(Answer {"text":"ready"} after 2030 ms)");
}

TEST(Blocks, ARaceIsWonByTheQuickest) {
  EXPECT_EQ(outcome_of("let r = race { step slow(ask.text) branch b { step look(ask.text) sleep 2s "
                       "yield \"b\" } branch c { sleep 3s yield \"c\" } } "
                       "return Answer { text: r }",
                       R"({"tasks": {"slow": {"returns": "s", "takes": "30s"}}})"),
            R"(Answer {"text":"b"} after 2010 ms)");
}

TEST(Blocks, AFanOutGathersWhatCameThrough) {
  EXPECT_EQ(outcome_of("let all = each x in [\"a\", \"b\", \"c\", \"d\", \"e\"] parallel 2 { "
                       "try { step s = look(x) yield \"${x}${s}\" } catch Busy { } } "
                       "return Answer { text: join(all, \" \") }",
                       R"({"tasks": {"look": [{"returns": "1", "takes": "50ms"},
                           {"fails": "Busy", "retry": false}, {"returns": "2"}]}})"),
            R"(Answer {"text":"a1 c2 d2 e2"} after 50 ms)");
}

TEST(Blocks, ACatchUndoesBeforeItGoesOn) {
  EXPECT_EQ(outcome_of("var note = \"\" try { step h = hold(ask.text) { compensate { step "
                       "release(h) } unsure { step release(h.key) } } fail No \"no\" } "
                       "catch No (why) { set note = why.message } return Answer { text: note }",
                       R"({"tasks": {"release": [{"fails": "Busy", "retry": false},
                           {"returns": null, "takes": "2s"}]}})"),
            R"(Answer {"text":"no"} after 20 ms)");
}

TEST(Blocks, SignalsWaitInTheQueueThroughACrash) {
  EXPECT_EQ(outcome_of("step look(ask.text) var all = \"\" each n in 1..3 { "
                       "receive m: More from client where m.text != \"x\" within 4s { "
                       "set all = \"${all}${m.text}\" } else { set all = \"${all}-\" } } "
                       "return Answer { text: all }",
                       R"({"tasks": {"look": {"returns": "", "takes": "3s"}}, "signals": [
                           {"after": "1s", "event": "More", "data": {"text": "x"}},
                           {"after": "2s", "event": "More", "data": {"text": "a"}},
                           {"after": "5s", "event": "More", "data": {"text": "b"}}]})"),
            R"(Answer {"text":"ab-"} after 9000 ms)");
}

}  // namespace
}  // namespace sluice::sim
