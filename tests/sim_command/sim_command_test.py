#!/usr/bin/env python3
"""flowc sim: what it prints, to the byte, and what it says about wrong input.

Each case is a file of cases/: its first line holds the arguments, `script:` lines that follow hold
the script, and the rest, after a line of dashes, is what is expected: `exit CODE`, standard output,
and standard error marked with `! `. UPDATE_GOLDEN=1 writes what came instead of comparing.
"""
import os
import pathlib
import shlex
import subprocess
import sys
import tempfile
import unittest

FLOWC = sys.argv.pop(1)
HERE = pathlib.Path(__file__).parent
UPDATE = os.environ.get("UPDATE_GOLDEN") == "1"
LINE = "-" * 20


def run(arguments, script):
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "script.json"
        path.write_text(script)
        words = [str(path) if word == "SCRIPT" else word for word in shlex.split(arguments)]
        done = subprocess.run([FLOWC, "sim", *words], capture_output=True, text=True, cwd=HERE,
                              timeout=30, env={**os.environ, "NO_COLOR": "1"})
        errors = done.stderr.replace(folder + "/", "")
    text = f"exit {done.returncode}\n{done.stdout}"
    return text + "".join(f"! {line}\n" for line in errors.splitlines())


def read(path):
    head, _, expected = path.read_text().partition(LINE + "\n")
    lines = head.splitlines()
    script = "\n".join(line.removeprefix("script:") for line in lines[1:])
    return head, lines[0], script, expected


class SimCommand(unittest.TestCase):
    maxDiff = None

    def test_cases(self):
        cases = sorted((HERE / "cases").glob("*.txt"))
        self.assertGreater(len(cases), 10)
        for path in cases:
            head, arguments, script, expected = read(path)
            got = run(arguments, script)
            if UPDATE:
                path.write_text(f"{head}{LINE}\n{got}")
                continue
            with self.subTest(path.name):
                self.assertEqual(got, expected)

    def test_the_same_twice(self):
        arguments = "shop.flow --topic orders --event '{\"item\":\"pen\"}' --script SCRIPT --seed 5"
        script = '{"tasks":{"price":{"fails":"Unavailable","times":3}}}'
        self.assertEqual(run(arguments, script), run(arguments, script))
        other = run(arguments.replace("--seed 5", "--seed 6"), script)
        self.assertNotEqual(run(arguments, script), other, "the seed draws no jitter")

    def test_help_has_examples(self):
        done = subprocess.run([FLOWC, "sim", "--help"], capture_output=True, text=True, timeout=30)
        self.assertEqual(done.returncode, 0)
        for word in ("Examples:", "--event", "--script", "--seed", "--topic", "returns"):
            self.assertIn(word, done.stdout)


if __name__ == "__main__":
    unittest.main()
