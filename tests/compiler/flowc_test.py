#!/usr/bin/env python3
"""flowc as scripts meet it: exit codes, outputs, files, directories, globs and `-`."""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

FLOWC = sys.argv.pop(1)
GOOD = """event Ask { text: string }
event Answer { text: string }
topic asks of Ask {}
pool cpu {}
task think(text: string) -> string { pool cpu  timeout 2s  idempotent }

flow answer(ask: Ask) -> Answer
  on asks
  timeout 10s
{
  step reply = think(ask.text)
  return Answer { text: reply }
} on failure (why) {
  return Answer { text: why.message }
}
"""
BAD = GOOD.replace("step reply = think(ask.text)",
                   "if ask.text = \"x\" { fail Odd \"x\" }\n  let reply = ask.text")


def flowc(*arguments, stdin=b"", cwd=None):
    return subprocess.run([FLOWC, *arguments], input=stdin, capture_output=True, cwd=cwd,
                          timeout=30)


class Flowc(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.path = pathlib.Path(self.folder.name)
        self.write("good.flow", GOOD)

    def tearDown(self):
        self.folder.cleanup()

    def write(self, name, text):
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return str(path)

    def test_good_program_says_nothing(self):
        for argument in ("good.flow", ".", "g*.flow"):
            done = flowc("check", argument, cwd=self.path)
            self.assertEqual((done.returncode, done.stdout, done.stderr), (0, b"", b""), argument)
        done = flowc("check", "-", stdin=GOOD.encode())
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, b"", b""))

    def test_findings_go_to_standard_error(self):
        done = flowc("check", self.write("bad.flow", BAD))
        self.assertEqual((done.returncode, done.stdout), (1, b""))
        self.assertIn(b"error[E0105]", done.stderr)
        self.assertNotIn(b"\x1b", done.stderr)

    def test_json_and_sarif_are_the_result(self):
        path = self.write("bad.flow", BAD)
        done = flowc("check", "--format", "json", path)
        self.assertEqual((done.returncode, done.stderr), (1, b""))
        finding = json.loads(done.stdout)["diagnostics"][0]
        self.assertEqual((finding["code"], finding["severity"]), ("E0105", "error"))
        self.assertEqual((finding["file"], finding["line"]), (path, 11))
        self.assertEqual((finding["column"], finding["end_column"]), (15, 16))
        self.assertEqual(finding["fixes"][0]["edits"][0]["text"], "==")
        sarif = json.loads(flowc("check", "--format", "sarif", path).stdout)
        self.assertEqual(sarif["version"], "2.1.0")
        self.assertEqual(sarif["runs"][0]["results"][0]["ruleId"], "E0105")

    def test_fix_mends_files(self):
        path = self.write("bad.flow", BAD)
        flowc("check", "--fix", path)
        self.assertIn('if ask.text == "x"', pathlib.Path(path).read_text())
        self.assertEqual(flowc("check", "--fix", "-", stdin=BAD.encode()).returncode, 2)

    def test_wrong_usage(self):
        for arguments in (["chekc", "."], ["check"], ["check", "--format", "xml", "good.flow"],
                          ["check", "nowhere.flow"], ["check", "*.nothing"], ["help", "E9999"],
                          ["build", "good.flow", "--format", "json"], []):
            done = flowc(*arguments, cwd=self.path)
            self.assertEqual((done.returncode, done.stdout), (2, b""), arguments)
            self.assertNotEqual(done.stderr, b"", arguments)
        self.assertIn(b"did you mean `check`?", flowc("chekc").stderr)
        done = flowc("check", "godo.flow", cwd=self.path)
        self.assertIn(b"did you mean `good.flow`?", done.stderr)

    def test_a_huge_file_is_refused_at_once(self):
        path = self.write("huge.flow", b"const a = 1\n" * 900_000)
        begin = time.monotonic()
        done = flowc("check", path)
        self.assertLess(time.monotonic() - begin, 1.0)
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"E0119", done.stderr)

    def test_files_that_are_no_text(self):
        for content in (b"\xff\xfe", b"const a = \"\x00\"\n", os.urandom(4096)):
            done = flowc("check", self.write("odd.flow", content))
            self.assertEqual(done.returncode, 1)
            self.assertIn(b"E0118", done.stderr)
        self.assertEqual(flowc("check", self.write("empty.flow", "")).returncode, 0)

    def test_build_and_disasm(self):
        output = str(self.path / "good.sluice")
        done = flowc("build", "good.flow", "-o", output, cwd=self.path)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, b"", b""))
        artifact = pathlib.Path(output).read_bytes()
        self.assertEqual(flowc("build", "good.flow", cwd=self.path).stdout, artifact)
        shown = flowc("disasm", output)
        self.assertEqual(shown.returncode, 0)
        self.assertIn(b"answer", shown.stdout)
        self.assertEqual(flowc("disasm", "-", stdin=artifact).stdout, shown.stdout)
        self.assertEqual(flowc("disasm", "good.flow", cwd=self.path).returncode, 0)
        broken = bytearray(artifact)
        broken[len(broken) // 2] ^= 0x40
        for bytes_ in (bytes(broken), artifact[:-7], b"", b"plain text"):
            done = flowc("disasm", "-", stdin=bytes_)
            self.assertEqual((done.returncode, done.stdout), (1, b""))
        done = flowc("build", self.write("bad.flow", BAD), "-o", output + "2")
        self.assertEqual(done.returncode, 1)
        self.assertFalse(os.path.exists(output + "2"))

    def test_fmt(self):
        ugly = GOOD.replace("step reply", "step    reply")
        path = self.write("ugly.flow", ugly)
        done = flowc("fmt", "--check", ".", cwd=self.path)
        self.assertEqual((done.returncode, done.stdout), (1, b"ugly.flow\n"))
        self.assertEqual(pathlib.Path(path).read_text(), ugly)
        self.assertEqual(flowc("fmt", "-", stdin=ugly.encode()).stdout.decode(), GOOD)
        os.chmod(path, 0o640)
        done = flowc("fmt", ".", cwd=self.path)
        self.assertEqual((done.returncode, done.stdout), (0, b""))
        self.assertEqual(pathlib.Path(path).read_text(), GOOD)
        self.assertEqual(os.stat(path).st_mode & 0o777, 0o640)
        self.assertEqual(sorted(p.name for p in self.path.iterdir()), ["good.flow", "ugly.flow"])
        bad = self.write("bad.flow", "const a =\n")
        self.assertEqual(flowc("fmt", bad).returncode, 1)
        self.assertEqual(pathlib.Path(bad).read_text(), "const a =\n")

    def test_help_and_completion(self):
        for arguments in (["--help"], ["help"], ["check", "--help"], ["help", "e0105"],
                          ["help", "codes"], ["help", "fmt"], ["--version"], ["completion", "bash"],
                          ["completion", "zsh"], ["completion", "fish"]):
            done = flowc(*arguments)
            self.assertEqual((done.returncode, done.stderr), (0, b""), arguments)
            self.assertNotEqual(done.stdout, b"", arguments)
        for command in ("check", "send", "runs"):
            self.assertIn(f"Usage: flowc {command} [OPTIONS]",
                          flowc("help", command).stdout.decode())

    def complete_in_bash(self, *words):
        """What bash offers for the last word, by the function that the shell calls."""
        script = flowc("completion", "bash").stdout.decode()
        script += f"COMP_WORDS=({' '.join(words)})\nCOMP_CWORD={len(words) - 1}\n"
        script += 'complete -p flowc >/dev/null && _flowc && printf "%s\\n" "${COMPREPLY[@]}"\n'
        done = subprocess.run(["bash"], input=script.encode(), capture_output=True, timeout=10,
                              cwd=self.path)
        self.assertEqual(done.stderr, b"", words)
        return sorted(done.stdout.decode().split())

    def test_bash_completes_commands_options_values_and_files(self):
        self.write("more/deep.flow", GOOD)
        everything = self.complete_in_bash("flowc", "''")
        for command in ("check", "deploy", "send", "runs", "signal", "cancel", "completion"):
            self.assertIn(command, everything)
        for words, offered in (
                (("flowc", "che"), ["check"]),
                (("flowc", "check", "--f"), ["--fix", "--format"]),
                (("flowc", "send", "--t"), ["--tenant", "--timeout", "--token"]),
                (("flowc", "check", "--format", "''"), ["json", "sarif", "text"]),
                (("flowc", "check", "--format", "s"), ["sarif"]),
                (("flowc", "check", "go"), ["good.flow"]),
                (("flowc", "check", "--fix", "m"), ["more"]),
                (("flowc", "check", "more/"), ["more/deep.flow"]),
                (("flowc", "build", "-o", "g"), ["good.flow"]),
                (("flowc", "runs", "g"), []),
                (("flowc", "completion", "''"), ["bash", "fish", "zsh"]),
                (("flowc", "help", "E010"), [f"E01{n:02}" for n in range(10)
                                             if flowc("help", f"E01{n:02}").returncode == 0]),
                (("flowc", "help", "sen"), ["send"])):
            self.assertEqual(self.complete_in_bash(*words), offered, words)

    @unittest.skipUnless(shutil.which("fish"), "fish is not installed")
    def test_fish_completes(self):
        script = flowc("completion", "fish").stdout.decode()
        for line, offered in (("flowc che", "check"), ("flowc check --fi", "--fix"),
                              ("flowc check go", "good.flow"), ("flowc check --format s", "sarif")):
            asked = script + f"complete -C '{line}'\n"
            done = subprocess.run(["fish", "-c", asked], capture_output=True, timeout=20,
                                  cwd=self.path)
            self.assertIn(offered, done.stdout.decode(), line)

    @unittest.skipUnless(shutil.which("zsh"), "zsh is not installed")
    def test_zsh_takes_the_script(self):
        script = "autoload -Uz compinit && compinit -D\n"
        script += flowc("completion", "zsh").stdout.decode()
        script += 'print -r -- "$_comps[flowc] $+functions[_flowc]"\n'
        done = subprocess.run(["zsh", "-f"], input=script.encode(), capture_output=True, timeout=20)
        self.assertEqual((done.stdout, done.stderr), (b"_flowc 1\n", b""))

    def test_wrong_usage_is_told_in_one_line(self):
        for arguments, text in (
                ([], "name a command; `flowc --help` shows how it is used"),
                (["check"], "PATH is missing; `flowc check --help` shows how it is used"),
                (["send", "asks"], "JSON is missing; `flowc send --help` shows how it is used"),
                (["check", "--format", "xml", "good.flow"],
                 "--format: text, json or sarif, not `xml`; `flowc check --help` shows how it is "
                 "used"),
                (["check", "--fux", "good.flow"],
                 "there is no option `--fux`; did you mean `--fix`?; `flowc check --help` shows "
                 "how it is used"),
                (["send", "asks", "{}", "more"],
                 "`more` is one argument too many; `flowc send --help` shows how it is used"),
                (["send", "asks", "{"], "the event is not JSON"),
                (["chekc"], "there is no command `chekc`; did you mean `check`?")):
            done = flowc(*arguments, cwd=self.path)
            self.assertEqual((done.returncode, done.stdout), (2, b""), arguments)
            self.assertTrue(done.stderr.decode().startswith("flowc: " + text), done.stderr)
            self.assertEqual(done.stderr.count(b"\n"), 1, done.stderr)

    def test_a_full_output_is_an_error(self):
        with open("/dev/full", "wb") as full:
            done = subprocess.run([FLOWC, "help", "codes"], stdout=full, stderr=subprocess.PIPE,
                                  timeout=10)
        self.assertEqual(done.returncode, 1)

    def test_modules_come_from_the_folder(self):
        self.write("app/support/words.flow",
                   "module support.words\nfn loud(s: string) -> string = s + \"!\"\n")
        self.write("app/main.flow",
                   "module main\nimport support.words\n"
                   "fn hey() -> string = words.loud(\"hey\")\n")
        done = flowc("check", "app", cwd=self.path)
        self.assertNotIn(b"error", done.stderr)
        done = flowc("check", "support/words.flow", "main.flow", cwd=self.path / "app")
        self.assertNotIn(b"error", done.stderr)


if __name__ == "__main__":
    unittest.main()
