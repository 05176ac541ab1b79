#!/usr/bin/env python3
"""Holds the source tree to the house rules that a machine can see.

  lengths   a file has at most 600 lines, a function 70, a line 100 columns
  arrows    a room includes only rooms below it
  calls     clocks only where time may be read, no rand, no sleeping in tests, no unfinished places

usage: tidy.py ROOT           prints each finding as file:line: text; exit code 1 if there is one
       tidy.py --self-test    plants a violation of each rule and fails unless each is found
"""
import pathlib
import re
import subprocess
import sys
import tempfile

FILE_LINES_MAX = 600
FUNCTION_LINES_MAX = 70
COLUMNS_MAX = 100

CPP = (".cc", ".hpp", ".h", ".c")
CODE = CPP + (".def", ".py", ".mjs", ".js", ".ts")
SCANNED = ("vm", "compiler", "engine", "gateway", "grammar", "stdlib", "clients", "examples",
           "tests", "bench", "script")

# What may exceed a length, with its reason.
LONG_FUNCTIONS = {
    # Tables: a line or two per kind of operands.
    ("vm/disasm.cc", "operands_text"),
    ("vm/reference.cc", "operands_words"),
    # The interpreter's dispatch loop: one switch, whose cases share the registers.
    ("vm/interpreter.cc", "*"),
    # The same for the built-in functions.
    ("vm/builtins.cc", "dispatch"),
    # A whole program assembled by hand, instruction by instruction.
    ("tests/vm/program_fixture.cc", "SupportProgram"),
}
# Functions that are tables: one row a line, nothing else.
TABLES = re.compile(r"^tests/.*_test\.cc$"), re.compile(r"_rows$|^TEST(_F|_P)?$")

# room -> the rooms that it may include, besides itself. Tests, bench and examples know all.
VM = ("vm",)
KNOWS = {
    "vm": (),
    "compiler": VM,
    "engine/core": VM,
    "engine/dispatch": VM + ("engine/core",),
    "engine/schedule": VM + ("engine/core",),
    "engine/journal": VM + ("engine/core",),
    "engine/node": VM + ("engine/core", "engine/dispatch", "engine/journal", "engine/schedule"),
    "engine/sim": VM + ("compiler", "engine/core", "engine/dispatch", "engine/schedule"),
    "gateway": VM + ("compiler", "stdlib", "engine/core", "engine/dispatch", "engine/journal",
                     "engine/node", "engine/schedule"),
}
# The compiler uses the instruction table and the artifact format, never what runs them.
VM_RUNS = re.compile(r"^vm/(interpreter|vm|fiber|snapshot|run_state|machine)\.hpp$")
# flowc is the author's tool: it also holds the simulator, and the engine's client for `deploy`.
FLOWC = re.compile(r"^compiler/flowc")
FLOWC_USES = re.compile(r"^(gateway/(client/|auth/base64\.hpp$)|engine/schedule/)")

CLOCK = re.compile(r"\b((system|steady|high_resolution)_clock|gettimeofday|clock_gettime)\b")
CLOCK_ROOMS = ("engine/node", "gateway", "bench", "tests")
RAND = re.compile(r"(?<![\w.:>])(std::)?s?rand\s*\(")
SLEEP = re.compile(r"\b(sleep_for|sleep_until|usleep|nanosleep)\b")
UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX)\b")
INCLUDE = re.compile(r'^\s*#\s*include\s*"([^"]+)"')


def room_of(relative):
    parts = pathlib.PurePosixPath(relative).parts
    return "/".join(parts[:2]) if parts[0] == "engine" and len(parts) > 2 else parts[0]


def blank(match):
    return re.sub(r"[^\n]", " ", match.group(0))


STRIP = re.compile(r'R"(\w*)\((?:.|\n)*?\)\1"|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])\'|//[^\n]*'
                   r"|/\*(?:.|\n)*?\*/")


def code_only(text):
    """The text with strings and comments blanked, so that they are not taken for code."""
    return STRIP.sub(blank, text)


SCOPE = re.compile(r"\b(namespace|class|struct|union|enum|extern)\b")


def functions_of(text):
    """(first line, last line, name) of each function body: `)` … `{` outside of functions."""
    code = re.sub(r"(?m)^[ \t]*#(?:[^\n\\]|\\\n|\\.)*", blank, code_only(text))
    stack, head_start, found = [], 0, []
    line = 1
    for index, letter in enumerate(code):
        if letter == "\n":
            line += 1
        elif letter == "{":
            head = code[head_start:index]
            inside = any(kind == "function" for kind, _, _ in stack)
            name = re.search(r"([\w~]+|operator[^\s(]+)\s*\(", head)
            is_scope = SCOPE.search(head.split("(")[0]) and not re.search(r"\)\s*\w*\s*$", head)
            if inside or is_scope or not name:
                stack.append(("other", line, ""))
            else:
                stack.append(("function", line, name.group(1)))
            head_start = index + 1
        elif letter == "}":
            if stack:
                kind, first, name = stack.pop()
                if kind == "function":
                    found.append((first, line, name))
            head_start = index + 1
        elif letter == ";":
            head_start = index + 1
    return found


RAW_STRING = re.compile(r'R"(\w*)\((?:.|\n)*?\)\1"')


def raw_string_lines(text):
    """Lines that begin inside a raw string: text that is printed as it stands."""
    inside = set()
    for match in RAW_STRING.finditer(text):
        first = text.count("\n", 0, match.start()) + 1
        inside.update(range(first + 1, first + match.group(0).count("\n") + 1))
    return inside


def check_lengths(relative, text):
    lines = text.split("\n")
    raw = raw_string_lines(text) if relative.endswith(CPP) else set()
    if len(lines) > FILE_LINES_MAX + 1:
        yield 1, f"{len(lines) - 1} lines; a file has at most {FILE_LINES_MAX}"
    for number, line in enumerate(lines, 1):
        is_row = relative.endswith(".def")  # of a table, which reads best unbroken
        if len(line) > COLUMNS_MAX and "http" not in line and not is_row and number not in raw:
            yield number, f"{len(line)} columns; a line has at most {COLUMNS_MAX}"
    if relative.endswith(CPP):
        for first, last, name in functions_of(text):
            exempt = (relative, name) in LONG_FUNCTIONS or (relative, "*") in LONG_FUNCTIONS
            if TABLES[0].match(relative) and TABLES[1].search(name):
                exempt = last - first + 1 <= 2 * FUNCTION_LINES_MAX
            length = last - first + 1
            if length > FUNCTION_LINES_MAX and not exempt:
                yield first, f"`{name}` has {length} lines; the limit is {FUNCTION_LINES_MAX}"


def check_includes(relative, text, known_rooms):
    room = room_of(relative)
    if room not in KNOWS:
        return
    allowed = set(KNOWS[room]) | {room}
    if FLOWC.match(relative):
        allowed |= {"engine/core", "engine/sim", "engine/dispatch"}
    for number, line in enumerate(text.split("\n"), 1):
        match = INCLUDE.match(line)
        if not match or room_of(match.group(1)) not in known_rooms:
            continue
        target = match.group(1)
        if FLOWC.match(relative) and FLOWC_USES.match(target):
            continue
        if room_of(target) not in allowed:
            yield number, f"{room} may not include {target}"
        elif room == "compiler" and VM_RUNS.match(target) and not FLOWC.match(relative):
            yield number, f"the compiler knows the artifact format, not {target}"


def check_calls(relative, text):
    room = room_of(relative)
    clocks = room in CLOCK_ROOMS or FLOWC.match(relative)
    for number, line in enumerate(code_only(text).split("\n"), 1):
        if not clocks and CLOCK.search(line):
            yield number, f"{room} reads a clock; time is passed in"
        if RAND.search(line):
            yield number, "rand(): draw from a seeded engine"
        if room == "tests" and SLEEP.search(line):
            yield number, "a test that sleeps is slow or flaky: wait for the condition itself"
    for number, line in enumerate(text.split("\n"), 1):
        if UNFINISHED.search(line):
            yield number, "an unfinished place"


def check_file(relative, text, known_rooms):
    yield from check_lengths(relative, text)
    if relative.endswith(CPP):
        yield from check_includes(relative, text, known_rooms)
        yield from check_calls(relative, text)


def sources(root):
    """Files under version control where there is a repository, else all of them."""
    listing = subprocess.run(["git", "-C", str(root), "ls-files"], capture_output=True, text=True)
    if listing.returncode == 0 and listing.stdout:
        names = listing.stdout.splitlines()
    else:
        names = [p.relative_to(root).as_posix() for p in root.rglob("*") if p.is_file()]
    for name in sorted(names):
        top = name.split("/")[0]
        if top in SCANNED and name.endswith(CODE) and "node_modules" not in name:
            if (root / name).is_file():
                yield name, (root / name).read_text(encoding="utf-8")


def check(root):
    known_rooms = set(KNOWS) | {"stdlib"}
    findings, files = [], 0
    for relative, text in sources(root):
        files += 1
        for line, problem in check_file(relative, text, known_rooms):
            findings.append(f"{relative}:{line}: {problem}")
    return findings, files


LONG_BODY = "\n".join("  x += 1;" for _ in range(FUNCTION_LINES_MAX))
PLANTED = {
    "file": ("vm/a.cc", "\n" * (FILE_LINES_MAX + 1), "a file has at most"),
    "line": ("vm/a.cc", "int " + "a" * COLUMNS_MAX + ";\n", "a line has at most"),
    "function": ("vm/a.cc", f"int f(int x) {{\n{LONG_BODY}\n  return x;\n}}\n", "`f` has 73 lines"),
    "method": ("vm/a.hpp", f"struct S {{\n int g() const {{\n{LONG_BODY}\n return x;\n}}\n}};\n",
               "`g` has 73 lines"),
    "arrow": ("engine/core/a.cc", '#include "gateway/server.hpp"\n', "may not include"),
    "sideways": ("engine/dispatch/a.cc", '#include "engine/journal/j.hpp"\n', "may not include"),
    "compiler": ("compiler/a.cc", '#include "vm/interpreter.hpp"\n', "the artifact format"),
    "clock": ("engine/core/a.cc", "auto t = std::chrono::system_clock::now();\n", "reads a clock"),
    "rand": ("bench/a.cc", "int r() { return std::rand(); }\n", "seeded engine"),
    "sleep": ("tests/core/a.cc", "void f() { std::this_thread::sleep_for(1s); }\n", "sleeps"),
    "unfinished": ("gateway/a.cc", "// TO" "DO: the rest\n", "unfinished"),
}
CLEAN = """#include "vm/value.hpp"
namespace sluice::core {
// A comment may speak of system_clock, and a string of "rand()".
const char* text() { return "steady_clock"; }
struct Row { int a; std::vector<int> b{1, 2}; };
template <class T> int f(T x) { if (x) { return 1; } return strand(x); }
}  // namespace sluice::core
"""


def self_test():
    rooms = set(KNOWS) | {"stdlib"}
    for name, (path, text, expected) in PLANTED.items():
        found = [problem for _, problem in check_file(path, text, rooms)]
        assert any(expected in problem for problem in found), f"planted {name} was missed: {found}"
    found = list(check_file("engine/core/clean.cc", CLEAN, rooms))
    assert not found, f"clean code was reported: {found}"
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        (root / "vm").mkdir()
        (root / "vm/a.cc").write_text("int r() { return rand(); }\n")
        assert check(root) == (["vm/a.cc:1: rand(): draw from a seeded engine"], 1)
    print(f"self-test: {len(PLANTED)} planted violations found, clean code passes")


def main():
    if sys.argv[1:] == ["--self-test"]:
        return self_test()
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    findings, files = check(pathlib.Path(sys.argv[1]).resolve())
    for finding in findings:
        print(finding)
    if findings or not files:
        sys.exit(f"{len(findings)} findings in {files} files")
    print(f"{files} files are tidy")


if __name__ == "__main__":
    main()
