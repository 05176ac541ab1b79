#include <gtest/gtest.h>

#include "tests/compiler/play.hpp"

// What flows command, from source to commands, with scripted answers of their steps.
namespace sluice::compiler::testing {
namespace {

constexpr const char* kHead = R"(
event Ask { text: string, n: int = 0 }
event Answer { text: string }
event Failed { reason: string }
event Progress { n: int }
topic asks of Ask { order by client }
record Hold { id: string, sum: int }
enum Mood { good, bad(why: string) }
task look(text: string) -> string { timeout 2s  idempotent }
task feel(text: string) -> Mood { timeout 2s  idempotent }
task hold(client: string, sum: int) -> Hold { timeout 2s  keyed }
task release(key: string) { timeout 2s  keyed }
task spare(text: string) -> string { timeout 2s  idempotent }
task maybe(text: string) -> string? { timeout 2s  idempotent }
)";

std::string flow(const std::string& body) {
  return std::string(kHead) + "flow answer(ask: Ask) -> Answer or Failed on asks timeout 30s {\n" +
         body +
         "\n}\non failure (why) { return Failed { reason: \"${why.kind} ${why.message} "
         "${why.step} ${why.attempt}\" } }\n";
}

std::string run(const std::string& body, const std::vector<std::string>& script,
                std::string_view arguments = R"({"ask": {"text": "hi"}})") {
  return play(flow(body), arguments, script);
}

TEST(Flows, return_and_let) {
  EXPECT_EQ(run("let a = ask.text let b = \"${a}!\" return Answer { text: b }", {}),
            "finish completed Answer { text: \"hi!\" }\n");
}

TEST(Flows, if_else_chains) {
  const std::string body =
      "if ask.n == 1 { return Answer { text: \"one\" } } else if ask.n == 2 { notify Progress { n: "
      "2 } "
      "} else { notify Progress { n: 3 } return Answer { text: \"more\" } } "
      "return Answer { text: \"two\" }";
  EXPECT_EQ(run(body, {}, R"({"ask": {"text": "", "n": 1}})"),
            "finish completed Answer { text: \"one\" }\n");
  EXPECT_EQ(run(body, {}, R"({"ask": {"text": "", "n": 2}})"),
            "notify Progress { n: 2 }\nfinish completed Answer { text: \"two\" }\n");
  EXPECT_EQ(run(body, {}),
            "notify Progress { n: 3 }\nfinish completed Answer { text: \"more\" }\n");
}

TEST(Flows, if_let) {
  const std::string body =
      "step found = maybe(ask.text) if let text = found { return Answer { text: text } } "
      "return Answer { text: \"nothing\" }";
  EXPECT_EQ(run(body, {"answer/found = \"x\""}),
            "start answer/found maybe(\"hi\")\nfinish completed Answer { text: \"x\" }\n");
  EXPECT_EQ(run(body, {"answer/found = null"}),
            "start answer/found maybe(\"hi\")\nfinish completed Answer { text: \"nothing\" }\n");
}

TEST(Flows, if_let_keeps_what_it_bound) {
  EXPECT_EQ(run("step found = maybe(ask.text) var note = found if let text = note { "
                "set note = none return Answer { text: \"${text} ${note ?? \"gone\"}\" } } "
                "return Answer { text: \"\" }",
                {"answer/found = \"x\""}),
            "start answer/found maybe(\"hi\")\nfinish completed Answer { text: \"x gone\" }\n");
}

TEST(Flows, match_statement) {
  const std::string body =
      "step mood = feel(ask.text) match mood { case good { return Answer { text: \":)\" } } "
      "case bad(why) { step look(why) return Answer { text: look } } }";
  EXPECT_EQ(run(body, {"answer/mood = \"good\""}),
            "start answer/mood feel(\"hi\")\nfinish completed Answer { text: \":)\" }\n");
  EXPECT_EQ(run(body, {R"(answer/mood = {"case": "bad", "why": "rain"})", "answer/look = \"wet\""}),
            "start answer/mood feel(\"hi\")\nstart answer/look look(\"rain\")\n"
            "finish completed Answer { text: \"wet\" }\n");
  const std::string numbers =
      "var text = \"\" match ask.n { case 1 { set text = \"one\" } case 2 { } else { set text = "
      "\"more\" } } return Answer { text: text }";
  EXPECT_EQ(run(numbers, {}), "finish completed Answer { text: \"more\" }\n");
  EXPECT_EQ(run(numbers, {}, R"({"ask": {"text": "", "n": 2}})"),
            "finish completed Answer { text: \"\" }\n");
}

TEST(Flows, variables) {
  EXPECT_EQ(run("var all = [ask.text] step look(ask.text) set all = all + [look] "
                "set all = [\"${x}${len(all)}\" for x in all] "
                "return Answer { text: join(all, \",\") }",
                {"answer/look = \"you\""}),
            "start answer/look look(\"hi\")\nfinish completed Answer { text: \"hi2,you2\" }\n");
}

TEST(Flows, bare_return_and_end) {
  const std::string text = std::string(kHead) +
                           "flow quiet(n: int) timeout 5s { if n == 1 { return } "
                           "step look(\"${n}\") }\n";
  EXPECT_EQ(play(text, R"({"n": 1})", {}), "finish completed nothing\n");
  EXPECT_EQ(play(text, R"({"n": 2})", {"quiet/look = \"\""}),
            "start quiet/look look(\"2\")\nfinish completed nothing\n");
}

TEST(Flows, run_client_and_id) {
  EXPECT_EQ(run("step look(run.client) return Answer { text: run.id }", {"answer/look = \"\""}),
            "start answer/look look(\"ann\")\nfinish completed Answer { text: \"run1\" }\n");
}

TEST(Flows, notify_another_client) {
  EXPECT_EQ(run("notify Progress { n: 1 } to client \"bob\" return Answer { text: \"\" }", {}),
            "notify Progress { n: 1 } to bob\nfinish completed Answer { text: \"\" }\n");
}

TEST(Flows, fail_is_answered_on_failure) {
  EXPECT_EQ(run("if ask.n == 0 { fail Empty \"no ${ask.n}\" } return Answer { text: \"\" }", {}),
            "on failure\nfinish failed Failed { reason: \"Empty no 0  0\" } why Empty\n");
}

TEST(Flows, faults_fail_the_run) {
  EXPECT_NE(run("let n = 10 / ask.n return Answer { text: \"${n}\" }", {}).find("why Fault"),
            std::string::npos);
  EXPECT_NE(run("let n = ask.n + 9223372036854775807 return Answer { text: \"${n}\" }", {},
                R"({"ask": {"text": "", "n": 1}})")
                .find("why Fault"),
            std::string::npos);
}

TEST(Flows, constraints_and_order_keys_compile) {
  const auto program = compile_text(
      "event Ask { text: string where len(text) in 1..4, thread: string }\n"
      "topic asks of Ask { order by thread + text }\n");
  ASSERT_NE(program, nullptr);
  EXPECT_TRUE(program->program().topics[0].order_function.has_value());
  EXPECT_EQ(program->program().types.records[1].fields[0].where_text, "len(text) in 1..4");
}

// -----------------------------------------------------------------------------------------
// policies

TEST(Steps, fallback_value) {
  const std::string body = "step look(ask.text) { fallback \"none\" } return Answer { text: look }";
  EXPECT_EQ(run(body, {"answer/look ! Unavailable"}),
            "start answer/look look(\"hi\")\nfinish completed Answer { text: \"none\" }\n");
}

TEST(Steps, fallback_call) {
  const std::string body =
      "step reply = look(ask.text) { fallback spare(\"${ask.text}?\") } return Answer { text: "
      "reply }";
  EXPECT_EQ(run(body, {"answer/reply ? TimedOut", "answer/reply.fallback = \"spare\""}),
            "start answer/reply look(\"hi\")\nstart answer/reply.fallback spare(\"hi?\")\n"
            "finish completed Answer { text: \"spare\" }\n");
  EXPECT_EQ(
      run(body, {"answer/reply ! Lost", "answer/reply.fallback ! Busy"}),
      "start answer/reply look(\"hi\")\nstart answer/reply.fallback spare(\"hi?\")\n"
      "on failure\nfinish failed Failed { reason: \"Busy it broke answer/reply.fallback 1\" } "
      "why Busy\n");
}

TEST(Steps, a_hedge_by_another_task_has_its_arguments_beforehand) {
  EXPECT_EQ(run("var n = 1 step reply = look(ask.text) { hedge after 1s spare(\"${n}\") } "
                "set n = 2 return Answer { text: reply }",
                {"answer/reply = \"yes\""}),
            "start answer/reply look(\"hi\") or spare(\"1\")\n"
            "finish completed Answer { text: \"yes\" }\n");
  // In a branch, and with a key, whose register comes between.
  EXPECT_EQ(
      run("let x = \"x\" parallel { step a = hold(x, 1) { keyed x  hedge after 1s hold(x, 2) } } "
          "return Answer { text: a.id }",
          {"answer/a = {\"id\": \"h\", \"sum\": 1}"}),
      "start answer/a hold(\"x\", 1) or hold(\"x\", 2) key x\n"
      "finish completed Answer { text: \"h\" }\n");
}

TEST(Steps, a_hedge_in_the_artifact) {
  const auto program = compile_text(
      "task a(x: int) -> int { timeout 2s  idempotent  hedge after 1s  attempts 2 }\n"
      "task b(x: int, y: int) -> int { timeout 3s  queue 1s  keyed  hedge after 2s  attempts 3 }\n"
      "flow f(x: int) timeout 1m {\n"
      "  step one = a(x) { hedge after 300ms b(x, 2) }\n"
      "  step a(one)\n"
      "}\n");
  ASSERT_NE(program, nullptr);
  const auto& steps = program->program().steps;
  ASSERT_EQ(steps.size(), 3u);
  const vm::StepSite& other = steps[0];
  EXPECT_EQ(other.timeout_ms, 3000u);
  EXPECT_EQ(other.queue_ms, 1000u);
  EXPECT_EQ(other.attempts, 1u);
  EXPECT_EQ(other.hedge_after_ms, 0u);
  EXPECT_EQ(steps[1].hedge_after_ms, 300u);
  EXPECT_EQ(steps[1].hedge_site, 0u);
  EXPECT_EQ(steps[2].hedge_after_ms, 1000u);
  EXPECT_FALSE(steps[2].hedge_site.has_value());
}

TEST(Steps, keyed_expressions) {
  EXPECT_EQ(run("step it = hold(run.client, 1) { keyed \"k-${ask.text}\"  keep } "
                "return Answer { text: it.key }",
                {R"(answer/it = {"id": "h1", "sum": 1})"}),
            "start answer/it hold(\"ann\", 1) key k-hi\n"
            "finish completed Answer { text: \"k-hi\" }\n");
  EXPECT_EQ(run("step it = hold(run.client, 1) { keep } return Answer { text: it.key }",
                {R"(answer/it = {"id": "h1", "sum": 1})"}),
            "start answer/it hold(\"ann\", 1)\n"
            "finish completed Answer { text: \"run1:answer/it\" }\n");
}

constexpr const char* kHold =
    "step it = hold(run.client, 7) { compensate { step release(\"${it.id}/${it.sum}\") } "
    "unsure { step release(it.key) } } step look(ask.text) return Answer { text: look }";

TEST(Steps, compensate_after_a_later_failure) {
  EXPECT_EQ(run(kHold, {R"(answer/it = {"id": "h1", "sum": 7})", "answer/look ! Rejected",
                        "answer/it/undo/release = null"}),
            "start answer/it hold(\"ann\", 7)\nstart answer/look look(\"hi\")\n"
            "start answer/it/undo/release release(\"h1/7\") compensating\n"
            "on failure\nfinish failed Failed { reason: \"Rejected it broke answer/look 1\" } "
            "why Rejected\n");
}

TEST(Steps, unsure_by_the_key) {
  EXPECT_EQ(run(kHold, {"answer/it ? TimedOut", "answer/it/undo/release = null"}),
            "start answer/it hold(\"ann\", 7)\n"
            "start answer/it/undo/release release(\"run1:answer/it\") compensating\n"
            "on failure\nfinish failed Failed { reason: \"TimedOut it broke answer/it 1\" } "
            "why TimedOut\n");
}

TEST(Steps, nothing_to_undo_when_it_surely_failed) {
  EXPECT_EQ(run(kHold, {"answer/it ! Rejected"}),
            "start answer/it hold(\"ann\", 7)\n"
            "on failure\nfinish failed Failed { reason: \"Rejected it broke answer/it 1\" } "
            "why Rejected\n");
}

TEST(Steps, a_failed_compensation_is_a_dead_letter) {
  EXPECT_EQ(run(kHold, {R"(answer/it = {"id": "h1", "sum": 7})", "answer/look ! Rejected",
                        "answer/it/undo/release ! Unavailable"}),
            "start answer/it hold(\"ann\", 7)\nstart answer/look look(\"hi\")\n"
            "start answer/it/undo/release release(\"h1/7\") compensating\n"
            "dead answer/it Unavailable\non failure\n"
            "finish failed Failed { reason: \"Rejected it broke answer/look 1\" } why Rejected\n");
}

TEST(Steps, compensations_run_newest_first) {
  EXPECT_EQ(run("step a = hold(\"a\", 1) { compensate { step release(a.id) } } "
                "step b = hold(\"b\", 2) { compensate { step release(b.id) } } "
                "fail No \"no\"",
                {R"(answer/a = {"id": "ha", "sum": 1})", R"(answer/b = {"id": "hb", "sum": 2})",
                 "answer/b/undo/release = null", "answer/a/undo/release = null"}),
            "start answer/a hold(\"a\", 1)\nstart answer/b hold(\"b\", 2)\n"
            "start answer/b/undo/release release(\"hb\") compensating\n"
            "start answer/a/undo/release release(\"ha\") compensating\n"
            "on failure\nfinish failed Failed { reason: \"No no  0\" } why No\n");
}

TEST(Steps, a_cancelled_step_counts_as_unsure) {
  EXPECT_EQ(
      run(kHold, {". . cancel", "answer/it/undo/release = null"}),
      "start answer/it hold(\"ann\", 7)\ncancel 1\n"
      "start answer/it/undo/release release(\"run1:answer/it\") compensating\n"
      "on failure\nfinish cancelled Failed { reason: \"Cancelled stop  0\" } why Cancelled\n");
}

TEST(Steps, compensations_read_values_as_they_were) {
  EXPECT_EQ(run("var who = \"before\" step it = hold(\"a\", 1) { compensate { "
                "let name = \"${who}/${it.id}\" if it.sum == 1 { step release(name) } } } "
                "set who = \"after\" step look(who) return Answer { text: look }",
                {R"(answer/it = {"id": "h", "sum": 1})", "answer/look ! Rejected",
                 "answer/it/undo/release = null"}),
            "start answer/it hold(\"a\", 1)\nstart answer/look look(\"after\")\n"
            "start answer/it/undo/release release(\"before/h\") compensating\n"
            "on failure\nfinish failed Failed { reason: \"Rejected it broke answer/look 1\" } "
            "why Rejected\n");
}

TEST(Steps, policies_of_task_policy_and_step_are_merged) {
  const auto program = compile_text(
      "import std.retry\n"
      "policy slow { timeout 9s  queue 3s  heartbeat 2s  attempts 4 backoff 1s..8s factor 1.5 on "
      "[Busy] }\n"
      "const limit = 2 * 30s\n"
      "pool gpu {}\n"
      "task a(x: int) -> int { pool gpu  uses retry.fast  timeout 2s  idempotent }\n"
      "task b(x: int) -> int { uses slow  keyed  fails [Odd] }\n"
      "flow f(x: int) timeout 1m {\n"
      "  step a(x) { within limit }\n"
      "  step b(a) { keep  queue 1s  attempts 2 on [TimedOut, Odd] }\n"
      "}\n");
  ASSERT_NE(program, nullptr);
  const auto& p = program->program();
  ASSERT_EQ(p.steps.size(), 2u);
  const vm::StepSite& a = p.steps[0];
  EXPECT_EQ(a.timeout_ms, 2000u);
  EXPECT_EQ(a.within_ms, 60'000u);
  EXPECT_EQ(a.attempts, 3u);
  EXPECT_EQ(a.backoff_min_ms, 50u);
  EXPECT_EQ(a.backoff_max_ms, 500u);
  EXPECT_TRUE(a.jitter && a.idempotent && !a.keyed);
  const vm::StepSite& b = p.steps[1];
  EXPECT_EQ(b.timeout_ms, 9000u);
  EXPECT_EQ(b.attempts, 2u);
  EXPECT_EQ(b.backoff_max_ms, 0u);
  EXPECT_EQ(b.queue_ms, 1000u);
  EXPECT_EQ(b.heartbeat_ms, 2000u);
  EXPECT_EQ(b.retry_on, (std::vector<std::string>{"TimedOut", "Odd"}));
  EXPECT_TRUE(b.keyed && b.keep && !b.has_key_expr);
  EXPECT_EQ(p.tasks[1].kinds, std::vector<std::string>{"Odd"});
  EXPECT_EQ(p.pools[p.tasks[0].pool].name, "gpu");
  EXPECT_EQ(p.pools[p.tasks[1].pool].name, "default");
}

// -----------------------------------------------------------------------------------------
// parallel

TEST(Parallel, all_results_are_known_after_it) {
  EXPECT_EQ(
      run("let x = ask.text parallel { step a = look(x) step b = spare(x) "
          "branch c { step one = look(\"c\") step two = look(one) } } "
          "return Answer { text: a + b }",
          {"answer/b = \"B\"", "answer/c/one = \"1\"", "answer/a = \"A\"", "answer/c/two = \"2\""}),
      "start answer/a look(\"hi\")\nstart answer/b spare(\"hi\")\n"
      "start answer/c/one look(\"c\")\nstart answer/c/two look(\"1\")\n"
      "finish completed Answer { text: \"AB\" }\n");
}

TEST(Parallel, the_first_failure_cancels_and_undoes_the_others) {
  EXPECT_EQ(
      run("parallel { step it = hold(\"a\", 1) { compensate { step release(it.id) } } "
          "step a = look(ask.text) step b = look(ask.text) } return Answer { text: a + b }",
          {R"(answer/it = {"id": "h", "sum": 1})", "answer/b ! Rejected",
           "answer/it/undo/release = null"}),
      "start answer/it hold(\"a\", 1)\nstart answer/a look(\"hi\")\nstart answer/b look(\"hi\")\n"
      "cancel 2\nstart answer/it/undo/release release(\"h\") compensating\n"
      "on failure\nfinish failed Failed { reason: \"Rejected it broke answer/b 1\" } "
      "why Rejected\n");
}

TEST(Parallel, keys_are_known_after_it) {
  EXPECT_EQ(run("parallel { step it = hold(\"a\", 1) { keyed \"k${ask.n}\"  keep } "
                "step a = look(ask.text) } return Answer { text: \"${it.key} ${it.id} ${a}\" }",
                {R"(answer/it = {"id": "h", "sum": 1})", "answer/a = \"A\""}),
            "start answer/it hold(\"a\", 1) key k0\nstart answer/a look(\"hi\")\n"
            "finish completed Answer { text: \"k0 h A\" }\n");
}

TEST(Parallel, a_second_step_of_one_name_has_a_path_of_its_own) {
  EXPECT_EQ(run("if ask.n == 0 { parallel { step a = look(\"1\") } notify Progress { n: len(a) } } "
                "parallel { step a = look(\"2\") step b = look(\"3\") } "
                "return Answer { text: a + b }",
                {"answer/a = \"A\"", "answer/a#2 = \"B\"", "answer/b = \"C\""}),
            "start answer/a look(\"1\")\nnotify Progress { n: 1 }\n"
            "start answer/a#2 look(\"2\")\nstart answer/b look(\"3\")\n"
            "finish completed Answer { text: \"BC\" }\n");
}

TEST(Parallel, a_branch_may_answer_for_the_run) {
  EXPECT_EQ(run("parallel { step a = look(ask.text) branch b { step c = spare(\"c\") "
                "return Answer { text: c } } }",
                {"answer/b/c = \"C\""}),
            "start answer/a look(\"hi\")\nstart answer/b/c spare(\"c\")\ncancel 1\n"
            "finish completed Answer { text: \"C\" }\n");
}

TEST(Parallel, branches_read_what_is_around_them) {
  EXPECT_EQ(
      run("step it = hold(\"a\", 1) { keep } step mood = feel(ask.text) match mood { "
          "case bad(why) { parallel { step a = look(it.key) branch b { "
          "let all = [\"${x}${why}\" for x in [it.id, run.client]] "
          "step c = spare(join(all, \",\")) } } return Answer { text: a } } "
          "case good { } } return Answer { text: \"\" }",
          {R"(answer/it = {"id": "h", "sum": 1})", R"(answer/mood = {"case": "bad", "why": "!"})",
           "answer/a = \"A\"", "answer/b/c = \"C\""}),
      "start answer/it hold(\"a\", 1)\nstart answer/mood feel(\"hi\")\n"
      "start answer/a look(\"run1:answer/it\")\nstart answer/b/c spare(\"h!,ann!\")\n"
      "finish completed Answer { text: \"A\" }\n");
}

TEST(Parallel, inside_each_other) {
  EXPECT_EQ(run("let x = ask.text parallel { branch left { parallel { step a = look(x) "
                "step b = look(\"${x}b\") { fallback x } } notify Progress { n: len(a + b) } } "
                "step c = spare(x) } return Answer { text: c }",
                {"answer/left/a = \"A\"", "answer/left/b ! Lost", "answer/c = \"C\""}),
            "start answer/c spare(\"hi\")\nstart answer/left/a look(\"hi\")\n"
            "start answer/left/b look(\"hib\")\nnotify Progress { n: 3 }\n"
            "finish completed Answer { text: \"C\" }\n");
}

}  // namespace
}  // namespace sluice::compiler::testing
