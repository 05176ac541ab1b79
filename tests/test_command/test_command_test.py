#!/usr/bin/env python3
"""flowc test: what passes, what fails and how that is told; every example with all crash points."""
import json
import pathlib
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree as ElementTree

SOURCE = pathlib.Path(sys.argv.pop())
FLOWC = sys.argv.pop()

PROGRAM = """
event Ask { text: string where len(text) > 0 }
event Answer { text: string }
event Failed { reason: string }
topic asks of Ask {}
task look(text: string) -> string { timeout 2s  idempotent }
flow answer(ask: Ask) -> Answer or Failed on asks timeout 30s {
  step reply = look(ask.text)
  return Answer { text: reply }
}
on failure (why) { return Failed { reason: why.message } }
"""
ASK = '  when Ask { text: "?" }\n'


def run(text, *options):
    return subprocess.run([FLOWC, "test", *options, "-"], input=text, capture_output=True,
                          text=True, timeout=60)


def one(*lines, extra=""):
    body = "".join(f"  {line}\n" for line in lines)
    return PROGRAM + f'test "t" {{\n{body}{ASK}}}\n' + extra


class TestCommand(unittest.TestCase):
    def test_examples(self):
        folders = sorted({path.parent for path in (SOURCE / "examples").glob("*/*.flow")})
        self.assertGreater(len(folders), 2)
        for folder in folders:
            with self.subTest(folder.name):
                check = subprocess.run([FLOWC, "check", str(folder)], capture_output=True,
                                       text=True, timeout=60)
                self.assertEqual((check.returncode, check.stderr), (0, ""))
                done = subprocess.run([FLOWC, "test", "--crash-points", "--json", str(folder)],
                                      capture_output=True, text=True, timeout=100)
                self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
                told = json.loads(done.stdout)
                self.assertGreater(told["passed"], 3)
                # Each boundary twice, but for grants; a test of functions has no journal.
                for test in told["tests"]:
                    self.assertGreaterEqual(test["crashes"], test["records"], test["title"])

    def test_each_expectation_can_fail(self):
        for line, actual in (
                ('expect return Answer { text: "x" }', 'return Answer {"text":""} after 10ms'),
                ("expect return Failed", 'return Answer {"text":""} after 10ms'),
                ("expect return Answer within 9ms", 'return Answer {"text":""} after 10ms'),
                ("expect return Answer 2 times", 'return Answer {"text":""} after 10ms'),
                ("expect return Answer never", 'return Answer {"text":""} after 10ms'),
                ("expect never look", "`look` once"),
                ("expect step reply 2 times", "`reply` once"),
                ("expect step reply within 9ms", "`reply` done after 10ms"),
                ("expect count(look) == 0", "count(look) is 1"),
                ("always completed(look) == 0", "completed(look) is 1"),
                ("expect notify Answer", "nothing to notify")):
            with self.subTest(line):
                done = run(one(line), "--json")
                self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
                failures = json.loads(done.stdout)["tests"][0]["failures"]
                self.assertEqual(len(failures), 1)
                self.assertEqual(failures[0]["actual"], actual)
                self.assertIn("answer/reply: look", failures[0]["timeline"])

    def test_nobody_is_free_for_an_attempt(self):
        program = PROGRAM.replace("idempotent", "queue 1s  idempotent  attempts 2")
        for answer, expected in (
                ("queue 900ms", 'return Answer within 920ms'),
                ('queue 900ms takes 1s returns "x"', 'return Answer { text: "x" } within 2s'),
                ('queue 3s then returns "x"', 'return Answer { text: "x" } within 1100ms'),
                ("queue 3s then queue 3s",
                 'return Failed { reason: "no worker took it within 1000 ms" }')):
            with self.subTest(answer):
                body = f"  given look {answer}\n{ASK}  expect {expected}\n"
                done = run(program + f'test "t" {{\n{body}}}\n', "--crash-points")
                self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_a_slow_step_is_hedged(self):
        program = PROGRAM.replace("step reply = look(ask.text)", """\
step reply = look(ask.text) { hedge after 300ms small(ask.text)  attempts 2  fallback "sorry" }""")
        program += "task small(text: string) -> string { timeout 2s  idempotent }\n"
        for given, expected in (
                # In time: nobody else is asked.
                ('look returns "a"', ['return Answer { text: "a" } within 10ms', "never small"]),
                # The other is quicker; the first answer that comes counts, and both are counted.
                ('look takes 1s returns "a"|small returns "b"',
                 ['return Answer { text: "b" } within 310ms', "step reply once",
                  "step small once", "attempts(reply) == 2", "attempts(look) == 1",
                  "completed(small) == 1", "completed(look) == 0"]),
                ('look takes 400ms returns "a"|small takes 200ms returns "b"',
                 ['return Answer { text: "a" } within 400ms', "completed(look) == 1"]),
                # One fails, the other goes on.
                ('look takes 400ms fails Rejected|small takes 500ms returns "b"',
                 ['return Answer { text: "b" } within 800ms']),
                ('look takes 1s returns "a"|small fails Rejected',
                 ['return Answer { text: "a" } within 1s', "attempts(reply) == 2"]),
                # A failure in time is no hedge's matter: the next attempt, hedged too.
                ('look fails Unavailable then takes 1s|small returns "b"',
                 ['return Answer { text: "b" } within 320ms', "attempts(look) == 2"]),
                # Attempts, each hedged, then the fallback.
                ('look fails TimedOut always|small fails Lost always',
                 ['return Answer { text: "sorry" }', "attempts(look) == 2",
                  "attempts(small) == 2"])):
            with self.subTest(given):
                lines = [f"  given {each}\n" for each in given.split("|")]
                lines += [ASK] + [f"  expect {each}\n" for each in expected]
                done = run(program + f'test "t" {{\n{"".join(lines)}}}\n', "--crash-points")
                self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_an_invariant_holds_in_every_run(self):
        broken = 'invariant "no" { always count(look) == 0 }'
        done = run(one("expect step reply once", extra=broken))
        self.assertEqual(done.returncode, 1)
        self.assertIn('invariant "no" is broken', done.stdout)
        self.assertIn("> ", done.stdout)

    def test_refusals(self):
        program = PROGRAM.replace("timeout 30s {", "concurrency 1 per client reject timeout 30s {")
        took = "  given look takes 1500ms\n"
        two = ASK + '  after 1s when Ask { text: "!" }\n'
        busy = "refused busy: 1 of `answer` go on already"
        where = "/text: does not satisfy `where len(text) > 0`"
        for body, message, expected, actual, timeline in (
                # As it is said.
                (took + two + "  expect refused busy\n  expect return Answer once\n",
                 None, None, None, None),
                ('  when Ask { text: "" }\n  expect refused invalid\n', None, None, None, None),
                ("  when start answer(Ask { text: \"\" })\n  expect refused invalid\n",
                 None, None, None, None),
                # Nobody said so.
                (took + two + "  expect return Answer once\n",
                 "the engine refuses this: 1 of `answer` go on already", "taken", busy,
                 "         +1s  busy       asks {\"text\":\"!\"} from client  "
                 "[1 of `answer` go on already]\n"),
                ('  when Ask { text: "" }\n  expect never look\n',
                 f"the engine refuses this: {where}", "taken", f"refused invalid: {where}", ""),
                # It is said, and does not happen, or for another reason.
                (two.replace("1s", "31s") + "  expect refused busy\n",
                 "the engine took this", "refused busy", "taken",
                 ">       +31s  event      asks {\"text\":\"!\"}\n"),
                (took + two + "  expect refused invalid\n",
                 "the engine refuses this for another reason", "refused invalid", busy,
                 "refused\n"),
                ('  when Ask { text: "" }\n  expect refused busy\n',
                 "the engine refuses this for another reason", "refused busy",
                 f"refused invalid: {where}", "")):
            with self.subTest(body):
                done = run(program + f'test "t" {{\n{body}}}\n', "--crash-points", "--json")
                failures = json.loads(done.stdout)["tests"][0]["failures"]
                self.assertEqual(done.returncode, 1 if message else 0, failures)
                if message is None:
                    self.assertEqual(failures, [])
                    continue
                self.assertEqual(len(failures), 1, failures)
                told = failures[0]
                self.assertEqual((told["message"], told["expected"], told["actual"]),
                                 (message, expected, actual))
                self.assertIn(timeline, told["timeline"])
                self.assertEqual(told["timeline"] == "", timeline == "")

    def test_the_sixty_fifth_signal_is_refused(self):
        program = PROGRAM.replace("step reply", """receive more: More from client
  where more.text == "go" within 20s else { return Answer { text: "late" } }
  step reply""") + "event More { text: string }\n"
        lines = [ASK] + ['  after 1s when More { text: "" }\n'] * 64
        for last in ("  expect refused busy\n", ""):
            body = "".join(lines) + '  after 2s when More { text: "" }\n' + last
            done = run(program + f'test "t" {{\n{body}  expect return Answer once\n}}\n')
            self.assertEqual(done.returncode, 0 if last else 1, done.stdout + done.stderr)
            self.assertEqual("too many signals wait for this run" in done.stdout, not last)

    def test_reports(self):
        with tempfile.TemporaryDirectory() as folder:
            junit = pathlib.Path(folder) / "junit.xml"
            text = one("expect never look", extra='test "<good>" { expect 1 < 2 }\n'
                       'test "r" { when Ask { text: "" } expect refused busy }')
            done = run(text, "--junit", str(junit))
            self.assertEqual(done.returncode, 1)
            self.assertNotIn("\x1b", done.stdout)
            root = ElementTree.fromstring(junit.read_text())
        self.assertEqual((root.get("tests"), root.get("failures")), ("3", "2"))
        names = {case.get("name"): len(case) for case in root.iter("testcase")}
        self.assertEqual(names, {"t": 1, "<good>": 0, "r": 1})
        told = next(each for each in root.iter("failure") if "reason" in each.get("message"))
        self.assertIn("expected:\n  refused busy\nactual:\n  refused invalid: /text", told.text)

    def test_tests_are_no_part_of_the_artifact(self):
        artifacts = []
        with tempfile.TemporaryDirectory() as folder:
            source, artifact = pathlib.Path(folder) / "a.flow", pathlib.Path(folder) / "a.sluice"
            for text in (PROGRAM, one('expect return Answer { text: "x" }')):
                source.write_text(text)
                subprocess.run([FLOWC, "build", "-o", str(artifact), str(source)], check=True,
                               timeout=60, capture_output=True)
                artifacts.append(artifact.read_bytes())
        self.assertEqual(*artifacts)

    def test_usage(self):
        self.assertEqual(run(one("expect never look"), "--filter", "zzz").returncode, 2)
        self.assertEqual(run(one("expect step reply once"), "--filter", "t").returncode, 0)
        self.assertEqual(run(one("expect step replly once")).returncode, 1)
        self.assertEqual(subprocess.run([FLOWC, "test", "/nowhere"],
                                        capture_output=True).returncode, 2)


if __name__ == "__main__":
    unittest.main()
