#include <gtest/gtest.h>

#include "tests/compiler/play.hpp"

// `receive`, from source to commands. Between any two inputs the run goes through a snapshot, its
// queue of signals included.
namespace sluice::compiler::testing {
namespace {

constexpr const char* kHead = R"(
event Ask { text: string, n: int = 0 }
event More { text: string, n: int = 0 }
event Stop {}
event At { at: timestamp }
event Other { text: string }
event Answer { text: string }
event Failed { reason: string }
topic asks of Ask { order by client }
task look(text: string) -> string { timeout 2s  idempotent }
)";

std::string run(const std::string& body, const std::vector<std::string>& script,
                std::string_view arguments = R"({"ask": {"text": "hi"}})") {
  const std::string text =
      std::string(kHead) + "flow answer(ask: Ask) -> Answer or Failed on asks timeout 30s {\n" +
      body + "\n}\non failure (why) { return Failed { reason: \"${why.kind}\" } }\n";
  return play(text, arguments, script);
}
std::string answered(const std::string& text) {
  return "finish completed Answer { text: \"" + text + "\" }\n";
}
const char* const kLate = "else { return Answer { text: \"late\" } }";

TEST(Receive, waits_and_takes) {
  const std::string body = std::string("receive m: More from client within 5s ") + kLate +
                           " return Answer { text: m.text }";
  EXPECT_EQ(run(body, {"More < {\"text\": \"x\"}"}),
            "timer 1 receive answer/m 5000ms\ncancel timer 1\n" + answered("x"));
  EXPECT_EQ(run(body, {"1 ^ fire"}), "timer 1 receive answer/m 5000ms\n" + answered("late"));
}

TEST(Receive, takes_what_came_before_it_was_reached_in_order) {
  EXPECT_EQ(run("step look(\"a\") receive a: More from client within 5s { } "
                "receive b: More from client within 5s { return Answer { text: b.text } } "
                "return Answer { text: \"\" }",
                {"More < {\"text\": \"1\"}", "More < {\"text\": \"2\"}", "More < {\"text\": \"3\"}",
                 "answer/look = \"\""}),
            "start answer/look look(\"a\")\n" + answered("2"));
}

TEST(Receive, the_oldest_that_fits_is_taken_and_others_stay) {
  const std::string body =
      "let wanted = \"b\" step look(\"a\") "
      "receive m: More from client where m.text == wanted and m.n > ask.n within 5s "
      "{ receive rest: More from client within 0s { return Answer { text: \"${m.n}${rest.n}\" } } "
      "return Answer { text: \"none\" } } return Answer { text: \"late\" }";
  EXPECT_EQ(run(body, {"More < {\"text\": \"a\", \"n\": 1}", "More < {\"text\": \"b\", \"n\": 0}",
                       "More < {\"text\": \"b\", \"n\": 2}", "answer/look = \"\""}),
            "start answer/look look(\"a\")\n" + answered("21"));
  // Waiting already, it lets pass what does not fit.
  EXPECT_EQ(run(body, {"answer/look = \"\"", "More < {\"text\": \"a\", \"n\": 1}",
                       "More < {\"text\": \"b\", \"n\": 2}"}),
            "start answer/look look(\"a\")\ntimer 1 receive answer/m 5000ms\ncancel timer 1\n" +
                answered("21"));
}

TEST(Receive, a_where_may_ask_the_run_and_steps) {
  EXPECT_EQ(run("step l = look(\"a\") receive m: More from client "
                "where m.text == \"${run.id} ${run.client} ${l.key}\" within 5s "
                "{ return Answer { text: \"yes\" } } return Answer { text: \"no\" }",
                {"answer/l = \"\"", "More < {\"text\": \"run1 ann run1:answer/l\"}"}),
            "start answer/l look(\"a\")\ntimer 1 receive answer/m 5000ms\ncancel timer 1\n" +
                answered("yes"));
}

// As it was when the receive was reached, like everything that was bound before.
TEST(Receive, a_where_may_ask_the_time) {
  EXPECT_EQ(
      run("receive a: At from client where a.at > now within 5s { "
          "return Answer { text: \"later\" } } return Answer { text: \"none\" }",
          {"At < {\"at\": \"1960-01-01T00:00:00Z\"}", "At < {\"at\": \"2260-01-01T00:00:00Z\"}"}),
      "timer 1 receive answer/a 5000ms\ncancel timer 1\n" + answered("later"));
}

TEST(Receive, within_nothing_looks_only) {
  EXPECT_EQ(run("receive m: More from client within 0s { return Answer { text: m.text } } "
                "return Answer { text: \"nothing\" }",
                {}),
            answered("nothing"));
}

TEST(Receive, a_loop_takes_one_after_the_other) {
  EXPECT_EQ(run("var all = \"\" while true { receive m: More from client within 5s { "
                "set all = \"${all}${m.text}\" if m.n == 1 { break } } else { break } } "
                "return Answer { text: all }",
                {"More < {\"text\": \"a\"}", "More < {\"text\": \"b\", \"n\": 1}"}),
            "timer 1 receive answer/while#1/m 5000ms\ncancel timer 1\n"
            "timer 2 receive answer/while#2/m 5000ms\ncancel timer 2\n" +
                answered("ab"));
  EXPECT_EQ(run("var all = \"\" each n in 1..3 { receive m: More from client within 5s { "
                "set all = \"${all}${m.text}\" } } return Answer { text: all }",
                {"More < {\"text\": \"a\"}", "2 ^ fire", "More < {\"text\": \"c\"}"}),
            "timer 1 receive answer/each#1/m 5000ms\ncancel timer 1\n"
            "timer 2 receive answer/each#2/m 5000ms\ntimer 3 receive answer/each#3/m 5000ms\n"
            "cancel timer 3\n" +
                answered("ac"));
}

TEST(Receive, in_a_race_it_may_wait_without_end) {
  const std::string body =
      "let r = race { step work = look(\"a\") "
      "branch steer { receive m: More from client  yield m.text } "
      "branch stop { receive s: Stop from client  return Answer { text: \"stopped\" } } } "
      "return Answer { text: r }";
  EXPECT_EQ(run(body, {"answer/work = \"done\""}),
            "start answer/work look(\"a\")\n" + answered("done"));
  EXPECT_EQ(run(body, {"More < {\"text\": \"m\"}"}),
            "start answer/work look(\"a\")\ncancel 1\n" + answered("m"));
  EXPECT_EQ(run(body, {"Stop < {}"}),
            "start answer/work look(\"a\")\ncancel 1\n" + answered("stopped"));
}

TEST(Receive, branches_take_in_the_order_of_the_text) {
  EXPECT_EQ(run("var all = \"\" let r = each n in [1, 2] parallel 2 { "
                "receive m: More from client within 9s { yield \"${n}${m.text}\" } } "
                "return Answer { text: join(r, \" \") }",
                {"More < {\"text\": \"a\"}", "More < {\"text\": \"b\"}"}),
            "timer 1 receive answer/each#1/m 9000ms\ntimer 2 receive answer/each#2/m 9000ms\n"
            "cancel timer 1\ncancel timer 2\n" +
                answered("1a 2b"));
}

TEST(Receive, a_deadline_around_it_ends_it) {
  EXPECT_EQ(run("deadline 3s { receive m: More from client within 9s { return Answer { text: "
                "m.text } } } else { return Answer { text: \"deadline\" } } "
                "return Answer { text: \"nothing\" }",
                {"1 ^ fire"}),
            "timer 1 deadline answer 3000ms\ntimer 2 receive answer/m 9000ms\ncancel timer 2\n" +
                answered("deadline"));
}

TEST(Receive, what_no_receive_names_is_not_taken) {
  EXPECT_EQ(run("receive m: More from client within 9s { return Answer { text: m.text } } "
                "notify Other { text: \"\" } return Answer { text: \"late\" }",
                {"Other # {\"text\": \"a\"}", "Ask # {\"text\": \"a\"}", "1 ^ fire"}),
            "timer 1 receive answer/m 9000ms\nnotify Other { text: \"\" }\n" + answered("late"));
}

TEST(Receive, a_where_that_fails_takes_the_signal_away_and_fails_here) {
  EXPECT_EQ(
      run("step look(\"a\") each n in 1..2 { try { "
          "receive m: More from client where 10 / m.n == 5 within 5s { "
          "return Answer { text: \"${n}\" } } } catch Fault { } } "
          "return Answer { text: \"late\" }",
          {"More < {\"text\": \"a\"}", "More < {\"text\": \"b\", \"n\": 2}", "answer/look = \"\""}),
      "start answer/look look(\"a\")\n" + answered("2"));
  EXPECT_EQ(run("receive m: More from client where 10 / m.n == 5 within 5s { } "
                "return Answer { text: \"late\" }",
                {"More < {\"text\": \"a\"}"}),
            "timer 1 receive answer/m 5000ms\ncancel timer 1\non failure\n"
            "finish failed Failed { reason: \"Fault\" } why Fault\n");
}

TEST(Receive, sixty_four_wait_and_one_more_is_too_many) {
  std::vector<std::string> script(64, "More < {\"text\": \"x\"}");
  script.push_back("More # {\"text\": \"y\"}");
  script.push_back("answer/look = \"\"");
  script.push_back("Stop < {}");  // a fiber waits for just that
  EXPECT_EQ(
      run("step look(\"a\") race { branch s { receive s: Stop from client } "
          "branch t { sleep 20s } } var n = 0 "
          "while true { receive m: More from client within 0s { set n = n + 1 } else { break } "
          "sleep 1ms } return Answer { text: \"${n}\" }",
          script)
          .substr(0, 40),
      std::string("start answer/look look(\"a\")\ntimer 1 sleep answer/t 20000ms\n").substr(0, 40));
}

TEST(Receive, a_run_that_is_undone_takes_nothing) {
  EXPECT_EQ(run("step h = look(\"a\") { compensate { step look(\"undo\") } } "
                "receive m: More from client within 9s { } return Answer { text: \"\" }",
                {"answer/h = \"\"", "x . cancel", "More # {\"text\": \"a\"}",
                 "answer/h/undo/look = \"\""}),
            "start answer/h look(\"a\")\ntimer 1 receive answer/m 9000ms\ncancel timer 1\n"
            "start answer/h/undo/look look(\"undo\") compensating\non failure\n"
            "finish cancelled Failed { reason: \"Cancelled\" } why Cancelled\n");
}

}  // namespace
}  // namespace sluice::compiler::testing
