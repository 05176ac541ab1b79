#!/usr/bin/env python3
"""Breaks the pure core on purpose, one line or so at a time, and says who notices.

    python3 tests/mutants/mutants.py [--build build/release] [--seeds 300] [NAME…]

Needs a build of core_test, dispatch_test and sluice_sim. Each mutant of list.txt is compiled into
copies of these programs; nothing in the tree or in the build changes. A mutant that nobody notices
(exit code 1) wants a test, or it is equivalent: then it does not belong in the list.
Not part of CI: a mutant takes some ten seconds."""
import argparse
import os
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
LIST = pathlib.Path(__file__).with_name("list.txt")
TESTS = ["core_test", "dispatch_test"]
SEEDS_AT_ONCE = 25


def mutants():
    """(name, file, old lines, new lines), as list.txt says."""
    for block in LIST.read_text().split("\n\n"):
        lines = [line for line in block.splitlines() if line and not line.startswith("#")]
        if not lines:
            continue
        name, file = lines[0].split()
        old = [line[1:].strip() for line in lines[1:] if line.startswith("-")]
        new = [line[1:].strip() for line in lines[1:] if line.startswith("+")]
        yield name, file, old, new


def mutated(file, old, new):
    lines = (ROOT / file).read_text().splitlines()
    bare = [line.strip() for line in lines]
    found = [i for i in range(len(bare)) if bare[i : i + len(old)] == old]
    if len(found) != 1:
        raise ValueError(f"{file}: {len(found)} places are `{old[0]}`")
    lines[found[0] : found[0] + len(old)] = new
    return "\n".join(lines) + "\n"


class Build:
    def __init__(self, build):
        self.dir = pathlib.Path(build).resolve()
        self.commands = {}
        self.links = {}
        self.sources = {}
        for program in TESTS + ["sluice_sim"]:
            said = subprocess.run(["ninja", "-C", self.dir, "-t", "commands", program],
                                  capture_output=True, text=True, check=True).stdout.splitlines()
            self.sources[program] = set()
            for line in said:
                if source := re.search(r" -c (\S+\.cc)$", line):
                    self.commands[source[1]] = line
                    self.sources[program].add(source[1])
            self.links[program] = next(line for line in said if f" -o bin/{program} " in line)

    def compile(self, file, source, into):
        words = shlex.split(self.commands[str(ROOT / file)])
        words = [word for word in words if "ccache" not in word]
        words[words.index("-o") + 1] = str(into / "mutant.o")
        words[words.index("-MF") + 1] = str(into / "mutant.d")
        words[words.index("-c") + 1] = str(source)
        return subprocess.run(words, cwd=self.dir, capture_output=True, text=True)

    # The object comes before the libraries, which then have nothing to add.
    def link(self, program, into):
        command = re.search(r"(\S*(?:c\+\+|clang\+\+)\S* .*)", self.links[program])[1]
        command = re.split(r" && ", command)[0]
        command = command.replace(f" -o bin/{program} ", f" {into}/mutant.o -o {into}/{program} ")
        subprocess.run(shlex.split(command), cwd=self.dir, check=True)


def run(command, seconds):
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds,
                              errors="replace")
    except subprocess.TimeoutExpired:
        return "never ends"
    if done.returncode == 0:
        return ""
    said = (done.stdout + done.stderr).splitlines()
    told = re.compile(r"^\[  FAILED  \] \w+\.\w+ \(|^seed \d+: inv|^crash")
    failed = [line for line in said if told.search(line)]
    begun = [line for line in said if line.startswith("[ RUN ")]
    words = failed[0] if failed else f"exit code {done.returncode}"
    if not failed and begun:
        words = begun[-1].split()[-1] + " stops the program"
    words = words.replace("[  FAILED  ] ", "")
    return f"{words[:110]}" + (f" and {len(failed) - 1} more" if len(failed) > 1 else "")


def notices(build, file, old, new, seeds, seconds=120):
    with tempfile.TemporaryDirectory() as name:
        into = pathlib.Path(name)
        source = into / pathlib.Path(file).name
        source.write_text(mutated(file, old, new))
        compiled = build.compile(file, source, into)
        if compiled.returncode != 0:
            return {"compiler": compiled.stderr.splitlines()[0]}
        said = {}
        for program in TESTS:
            if str(ROOT / file) not in build.sources[program]:
                continue
            build.link(program, into)
            said[program] = run([into / program], seconds)
        build.link("sluice_sim", into)
        for seed in range(1, seeds + 1, SEEDS_AT_ONCE):
            said["seeds"] = run([into / "sluice_sim", "--seed", str(seed),
                                 "--runs", str(SEEDS_AT_ONCE)], seconds)
            if said["seeds"]:
                break
        return said


def main():
    options = argparse.ArgumentParser(description=__doc__,
                                      formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--build", default="build/release")
    options.add_argument("--seeds", type=int, default=300)
    options.add_argument("names", nargs="*")
    arguments = options.parse_args()
    build = Build(arguments.build)
    unnoticed = []
    for name, file, old, new in mutants():
        if arguments.names and name not in arguments.names:
            continue
        said = notices(build, file, old, new, arguments.seeds)
        found = "; ".join(f"{who}: {what}" for who, what in said.items() if what)
        print(f"{name:32} {found or 'NOBODY NOTICES'}", flush=True)
        if not found:
            unnoticed.append(name)
    if unnoticed:
        print("unnoticed: " + " ".join(unnoticed))
    return 1 if unnoticed else 0


if __name__ == "__main__":
    os.environ["LC_ALL"] = "C"
    sys.exit(main())
