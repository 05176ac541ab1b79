#include <gtest/gtest.h>

#include "tests/compiler/play.hpp"

// Loops, and blocks that can be left before their end, from source to commands. Between any two
// inputs the run goes through a snapshot.
namespace sluice::compiler::testing {
namespace {

constexpr const char* kHead = R"(
event Ask { text: string, n: int = 0, all: [string] = [] }
event Answer { text: string }
event Failed { reason: string }
event Progress { n: int }
topic asks of Ask { order by client }
record Hold { id: string }
task look(text: string) -> string { timeout 2s  idempotent }
task spare(text: string) -> string { timeout 2s  idempotent }
task hold(text: string) -> Hold { timeout 2s  keyed }
task release(key: string) { timeout 2s  keyed }
)";

std::string run(const std::string& body, const std::vector<std::string>& script,
                std::string_view arguments = R"({"ask": {"text": "hi"}})") {
  const std::string text =
      std::string(kHead) + "flow answer(ask: Ask) -> Answer or Failed on asks timeout 30s {\n" +
      body + "\n}\non failure (why) { return Failed { reason: \"${why.kind} ${why.step}\" } }\n";
  return play(text, arguments, script);
}

// A step with a compensation, for what follows.
constexpr const char* kUndone =
    "{ compensate { step release(NAME.id) } unsure { step release(NAME.key) } }";
std::string undone(const std::string& name) {
  std::string text = kUndone;
  for (std::size_t at = 0; (at = text.find("NAME", at)) != std::string::npos;) {
    text.replace(at, 4, name);
  }
  return "step " + name + " = hold(\"" + name + "\") " + text + " ";
}
const char* const kH = R"( = {"id": "h"})";

// ----------------------------------------------------------------------------------- sleep, while

TEST(Sleep, is_a_timer) {
  EXPECT_EQ(run("sleep 5s return Answer { text: \"\" }", {"1 ^ fire"}),
            "timer 1 sleep answer 5000ms\nfinish completed Answer { text: \"\" }\n");
}

TEST(Log, is_a_line_of_the_run_where_it_stands) {
  EXPECT_EQ(run("log \"asked: ${ask.text}\" parallel { branch a { log \"in a\" } } "
                "return Answer { text: \"\" }",
                {}),
            "log answer: asked: hi\nlog answer/a: in a\nfinish completed Answer { text: \"\" }\n");
}

TEST(Sleep, is_cancelled_with_its_branch) {
  EXPECT_EQ(run("parallel { branch a { sleep 5s } step b = look(\"b\") } "
                "return Answer { text: b }",
                {"answer/b ! Busy"}),
            "timer 1 sleep answer/a 5000ms\nstart answer/b look(\"b\")\ncancel timer 1\n"
            "on failure\nfinish failed Failed { reason: \"Busy answer/b\" } why Busy\n");
}

TEST(While, rounds_have_paths_and_variables_live_on) {
  EXPECT_EQ(
      run("var n = 0 while n < 2 { step look(\"${n}\") set n = n + 1 } "
          "step look(\"end\") return Answer { text: look }",
          {"answer/while#1/look = \"a\"", "answer/while#2/look = \"b\"", "answer/look = \"c\""}),
      "start answer/while#1/look look(\"0\")\nstart answer/while#2/look look(\"1\")\n"
      "start answer/look look(\"end\")\nfinish completed Answer { text: \"c\" }\n");
}

TEST(While, break_and_continue) {
  EXPECT_EQ(run("var n = 0 while true { step look(\"${n}\") set n = n + 1 "
                "if look == \"again\" { continue } notify Progress { n: n } break } "
                "return Answer { text: \"${n}\" }",
                {"answer/while#1/look = \"again\"", "answer/while#2/look = \"b\""}),
            "start answer/while#1/look look(\"0\")\nstart answer/while#2/look look(\"1\")\n"
            "notify Progress { n: 2 }\nfinish completed Answer { text: \"2\" }\n");
}

TEST(While, loops_inside_each_other_begin_anew) {
  EXPECT_EQ(run("each a in [1, 2] { each b in [1, 2] { step look(\"${a}${b}\") "
                "if b == 1 { continue } break } } return Answer { text: \"\" }",
                {"answer/each#1/each#1/look = \"\"", "answer/each#1/each#2/look = \"\"",
                 "answer/each#2/each#1/look = \"\"", "answer/each#2/each#2/look = \"\""}),
            "start answer/each#1/each#1/look look(\"11\")\n"
            "start answer/each#1/each#2/look look(\"12\")\n"
            "start answer/each#2/each#1/look look(\"21\")\n"
            "start answer/each#2/each#2/look look(\"22\")\n"
            "finish completed Answer { text: \"\" }\n");
}

TEST(While, one_that_computes_for_ever_is_a_fault) {
  EXPECT_NE(run("var n = 0 let top = 9000000 each i in 1..top { set n = n + 1 } return Answer { "
                "text: \"${n}\" }",
                {})
                .find("why Fault"),
            std::string::npos);
}

// ------------------------------------------------------------------------------------------- each

TEST(Each, gathers_what_rounds_yield_in_order) {
  EXPECT_EQ(run("let all = each x in ask.all { if x == \"b\" { continue } step look(x) "
                "yield look yield \"never\" } return Answer { text: join(all, \",\") }",
                {"answer/each#1/look = \"A\"", "answer/each#3/look = \"C\""},
                R"({"ask": {"text": "", "all": ["a", "b", "c"]}})"),
            "start answer/each#1/look look(\"a\")\nstart answer/each#3/look look(\"c\")\n"
            "finish completed Answer { text: \"A,C\" }\n");
}

TEST(Each, ranges_have_both_ends) {
  const std::string body =
      "var all = \"\" each n in ask.n..3 { set all = \"${all}${n}\" } return Answer { text: all }";
  EXPECT_EQ(run(body, {}, R"({"ask": {"text": "", "n": 1}})"),
            "finish completed Answer { text: \"123\" }\n");
  EXPECT_EQ(run(body, {}, R"({"ask": {"text": "", "n": 3}})"),
            "finish completed Answer { text: \"3\" }\n");
  EXPECT_EQ(run(body, {}, R"({"ask": {"text": "", "n": 4}})"),
            "finish completed Answer { text: \"\" }\n");
  EXPECT_EQ(run("var k = 0 each n in 9223372036854775806..9223372036854775807 { set k = k + 1 } "
                "return Answer { text: \"${k}\" }",
                {}),
            "finish completed Answer { text: \"2\" }\n");
}

TEST(Each, beside_each_other_at_most_n_and_in_input_order) {
  EXPECT_EQ(run("let all = each x in ask.all parallel 2 { step s = look(x) "
                "if s != \"-\" { yield s } } return Answer { text: join(all, \",\") }",
                {"answer/each#2/s = \"B\"", "answer/each#3/s = \"-\"", "answer/each#1/s = \"A\"",
                 "answer/each#4/s = \"D\""},
                R"({"ask": {"text": "", "all": ["a", "b", "c", "d"]}})"),
            "start answer/each#1/s look(\"a\")\nstart answer/each#2/s look(\"b\")\n"
            "start answer/each#3/s look(\"c\")\nstart answer/each#4/s look(\"d\")\n"
            "finish completed Answer { text: \"A,B,D\" }\n");
}

TEST(Each, the_first_failure_cancels_the_other_rounds_and_undoes_the_finished) {
  EXPECT_EQ(run("each x in ask.all parallel 3 { " + undone("h") +
                    "step look(x) } return Answer { text: \"\" }",
                {std::string("answer/each#1/h") + kH, std::string("answer/each#3/h") + kH,
                 "answer/each#1/look = \"\"", "answer/each#3/look ! Busy",
                 "answer/each#2/h/undo/release = null", "answer/each#3/h/undo/release = null",
                 "answer/each#1/h/undo/release = null"},
                R"({"ask": {"text": "", "all": ["a", "b", "c"]}})"),
            "start answer/each#1/h hold(\"h\")\nstart answer/each#2/h hold(\"h\")\n"
            "start answer/each#3/h hold(\"h\")\n"
            "start answer/each#1/look look(\"a\")\nstart answer/each#3/look look(\"c\")\n"
            "cancel 2\n"
            "start answer/each#2/h/undo/release release(\"run1:answer/each#2/h\") compensating\n"
            "start answer/each#3/h/undo/release release(\"h\") compensating\n"
            "start answer/each#1/h/undo/release release(\"h\") compensating\n"
            "on failure\nfinish failed Failed { reason: \"Busy answer/each#3/look\" } why Busy\n");
}

TEST(Each, a_thousand_compensations_at_most) {
  std::string body = "each n in 1..1001 { " + undone("h") + "} return Answer { text: \"\" }";
  std::vector<std::string> script;
  for (int i = 1; i <= 1001; ++i) {
    script.push_back("answer/each#" + std::to_string(i) + "/h" + kH);
  }
  for (int i = 1001; i > 0; --i) {
    script.push_back("answer/each#" + std::to_string(i) + "/h/undo/release = null");
  }
  const std::string log = run(body, script);
  EXPECT_NE(log.find("finish failed Failed { reason: \"Fault \" } why Fault"), std::string::npos);
  EXPECT_NE(log.find("start answer/each#1001/h/undo/release"), std::string::npos);
}

// -------------------------------------------------------------------------------------------- try

TEST(Try, catches_by_kind_and_hands_on_the_rest) {
  const std::string body =
      "try { step look(ask.text) return Answer { text: look } } "
      "catch Busy (why) { notify Progress { n: 1 } } "
      "catch Rejected (why) { return Answer { text: \"${why.kind} ${why.step}\" } } "
      "return Answer { text: \"on\" }";
  const std::string start = "start answer/look look(\"hi\")\n";
  EXPECT_EQ(run(body, {"answer/look ! Busy"}),
            start + "notify Progress { n: 1 }\nfinish completed Answer { text: \"on\" }\n");
  EXPECT_EQ(run(body, {"answer/look ! Rejected"}),
            start + "finish completed Answer { text: \"Rejected answer/look\" }\n");
  EXPECT_EQ(run(body, {"answer/look ! Lost"}),
            start + "on failure\nfinish failed Failed { reason: \"Lost answer/look\" } why Lost\n");
}

TEST(Try, undoes_what_completed_inside_newest_first_and_nothing_else) {
  EXPECT_EQ(
      run(undone("before") + "try { " + undone("a") + undone("b") +
              "step kept = hold(\"k\") { keep } fail No \"no\" } "
              "catch (why) { step look(why.kind) } "
              "return Answer { text: \"\" }",
          {std::string("answer/before") + kH, std::string("answer/a") + kH,
           std::string("answer/b") + kH, std::string("answer/kept") + kH,
           "answer/b/undo/release = null", "answer/a/undo/release ! Lost", "answer/look = \"\""}),
      "start answer/before hold(\"before\")\nstart answer/a hold(\"a\")\n"
      "start answer/b hold(\"b\")\nstart answer/kept hold(\"k\")\n"
      "start answer/b/undo/release release(\"h\") compensating\n"
      "start answer/a/undo/release release(\"h\") compensating\n"
      "dead answer/a Lost\nstart answer/look look(\"No\")\n"
      "finish completed Answer { text: \"\" }\n");
}

TEST(Try, a_failure_behind_it_undoes_what_it_left) {
  EXPECT_EQ(run("try { " + undone("a") + "} catch (why) { } fail No \"no\"",
                {std::string("answer/a") + kH, "answer/a/undo/release = null"}),
            "start answer/a hold(\"a\")\n"
            "start answer/a/undo/release release(\"h\") compensating\n"
            "on failure\nfinish failed Failed { reason: \"No \" } why No\n");
}

// A compensation that has begun is done to its end, once, whoever is cancelled meanwhile.
TEST(Try, a_cancel_during_its_compensation_takes_it_over) {
  EXPECT_EQ(run(undone("first") + "try { " + undone("a") + undone("b") +
                    "fail No \"no\" } catch (why) { } return Answer { text: \"\" }",
                {std::string("answer/first") + kH, std::string("answer/a") + kH,
                 std::string("answer/b") + kH, ". . cancel", "answer/b/undo/release = null",
                 "answer/a/undo/release = null", "answer/first/undo/release = null"}),
            "start answer/first hold(\"first\")\nstart answer/a hold(\"a\")\n"
            "start answer/b hold(\"b\")\n"
            "start answer/b/undo/release release(\"h\") compensating\n"
            "start answer/a/undo/release release(\"h\") compensating\n"
            "start answer/first/undo/release release(\"h\") compensating\n"
            "on failure\nfinish cancelled Failed { reason: \"Cancelled \" } why Cancelled\n");
}

TEST(Try, in_a_loop_leaves_the_round_it_failed_in) {
  EXPECT_EQ(run("var n = 0 try { each x in [1, 2, 3] { step look(\"${x}\") set n = x } } "
                "catch (why) { step spare(why.step) } return Answer { text: \"${n}\" }",
                {"answer/each#1/look = \"\"", "answer/each#2/look ! Busy", "answer/spare = \"\""}),
            "start answer/each#1/look look(\"1\")\nstart answer/each#2/look look(\"2\")\n"
            "start answer/spare spare(\"answer/each#2/look\")\n"
            "finish completed Answer { text: \"1\" }\n");
}

// --------------------------------------------------------------------------------------- deadline

TEST(Deadline, is_cancelled_once_the_block_is_left) {
  EXPECT_EQ(run("deadline 5s { step look(ask.text) } else { return Answer { text: \"late\" } } "
                "step spare(ask.text) return Answer { text: spare }",
                {"answer/look = \"\"", "answer/spare = \"s\""}),
            "timer 1 deadline answer 5000ms\nstart answer/look look(\"hi\")\n"
            "cancel timer 1\nstart answer/spare spare(\"hi\")\n"
            "finish completed Answer { text: \"s\" }\n");
}

TEST(Deadline, cancels_and_undoes_the_block_and_goes_on_with_else) {
  EXPECT_EQ(run("var n = 1 deadline 5s { " + undone("a") +
                    "set n = 2 parallel { step b = look(\"b\") branch c { sleep 1m } } } "
                    "else { set n = n + 10 } return Answer { text: \"${n}\" }",
                {std::string("answer/a") + kH, "1 ^ fire", "answer/a/undo/release = null"}),
            "timer 1 deadline answer 5000ms\nstart answer/a hold(\"a\")\n"
            "start answer/b look(\"b\")\ntimer 2 sleep answer/c 60000ms\n"
            "cancel 2\ncancel timer 2\n"
            "start answer/a/undo/release release(\"h\") compensating\n"
            "finish completed Answer { text: \"12\" }\n");
}

TEST(Deadline, the_outer_one_ends_the_inner) {
  EXPECT_EQ(run("deadline 1s { deadline 5s { step look(ask.text) } else { fail Inner \"\" } } "
                "else { return Answer { text: \"outer\" } } return Answer { text: \"on\" }",
                {"1 ^ fire"}),
            "timer 1 deadline answer 1000ms\ntimer 2 deadline answer 5000ms\n"
            "start answer/look look(\"hi\")\ncancel 1\ncancel timer 2\n"
            "finish completed Answer { text: \"outer\" }\n");
}

TEST(Deadline, is_not_caught_inside) {
  EXPECT_EQ(run("deadline 1s { try { step look(ask.text) } catch (why) { fail Caught \"\" } } "
                "return Answer { text: \"on\" }",
                {"1 ^ fire"}),
            "timer 1 deadline answer 1000ms\nstart answer/look look(\"hi\")\ncancel 1\n"
            "finish completed Answer { text: \"on\" }\n");
}

// ------------------------------------------------------------------------------------------- race

TEST(Race, the_first_to_yield_wins_and_the_others_are_undone) {
  EXPECT_EQ(run("let r = race { step look(ask.text) branch b { " + undone("h") +
                    "step spare(ask.text) yield spare } } return Answer { text: r }",
                {std::string("answer/b/h") + kH, "answer/look = \"won\"",
                 "answer/b/h/undo/release = null"}),
            "start answer/look look(\"hi\")\nstart answer/b/h hold(\"h\")\n"
            "start answer/b/spare spare(\"hi\")\ncancel 3\n"
            "start answer/b/h/undo/release release(\"h\") compensating\n"
            "finish completed Answer { text: \"won\" }\n");
}

TEST(Race, what_the_winner_did_stays_and_is_undone_by_a_later_failure) {
  EXPECT_EQ(run("let r = race { branch a { " + undone("h") +
                    "yield 1 } branch b { sleep 5s yield 2 } } if r == 1 { fail No \"no\" } "
                    "return Answer { text: \"\" }",
                {std::string("answer/a/h") + kH, "answer/a/h/undo/release = null"}),
            "start answer/a/h hold(\"h\")\ntimer 1 sleep answer/b 5000ms\ncancel timer 1\n"
            "start answer/a/h/undo/release release(\"h\") compensating\n"
            "on failure\nfinish failed Failed { reason: \"No \" } why No\n");
}

TEST(Race, ready_at_once_the_first_in_the_text) {
  EXPECT_EQ(run("let r = race { branch a { step look(\"\") yield \"a\" } branch b { yield \"b\" } "
                "branch c { yield \"c\" } } return Answer { text: r }",
                {}),
            "start answer/a/look look(\"\")\ncancel 1\nfinish completed Answer { text: \"b\" }\n");
}

TEST(Race, the_first_failure_fails_it) {
  EXPECT_EQ(run("try { race { step look(ask.text) branch b { sleep 5s } } } "
                "catch (why) { return Answer { text: why.kind } } return Answer { text: \"\" }",
                {"answer/look ! Busy"}),
            "start answer/look look(\"hi\")\ntimer 1 sleep answer/b 5000ms\ncancel timer 1\n"
            "finish completed Answer { text: \"Busy\" }\n");
}

TEST(Race, a_branch_may_answer_for_the_run) {
  EXPECT_EQ(run("while true { race { step look(ask.text) branch stop { step spare(\"\") "
                "return Answer { text: \"stopped\" } } } }",
                {"answer/while#1/look = \"\"", "answer/while#2/stop/spare = \"\""}),
            "start answer/while#1/look look(\"hi\")\nstart answer/while#1/stop/spare spare(\"\")\n"
            "cancel 2\nstart answer/while#2/look look(\"hi\")\n"
            "start answer/while#2/stop/spare spare(\"\")\ncancel 3\n"
            "finish completed Answer { text: \"stopped\" }\n");
}

// A loser that was compensating its own `catch` goes on with that, and the winner waits.
TEST(Race, waits_for_compensations_of_a_loser_that_had_begun) {
  EXPECT_EQ(
      run("let r = race { step look(ask.text) branch b { try { " + undone("a") + undone("b") +
              "fail No \"\" } catch (why) { } sleep 5s yield \"\" } } "
              "return Answer { text: r }",
          {std::string("answer/b/a") + kH, std::string("answer/b/b") + kH, "answer/look = \"won\"",
           "answer/b/b/undo/release = null", "answer/b/a/undo/release = null"}),
      "start answer/look look(\"hi\")\nstart answer/b/a hold(\"a\")\n"
      "start answer/b/b hold(\"b\")\n"
      "start answer/b/b/undo/release release(\"h\") compensating\n"
      "start answer/b/a/undo/release release(\"h\") compensating\n"
      "finish completed Answer { text: \"won\" }\n");
}

}  // namespace
}  // namespace sluice::compiler::testing
