#!/usr/bin/env python3
"""Proves that the pure rooms are pure: `vm`, `engine/core` and `engine/dispatch` reach neither
the network, nor PostgreSQL, nor a clock, a random source, a locale, the environment or a thread.

Two proofs, because each has a hole that the other closes:
  includes  every header that a pure room's files reach through headers of this repository is
            looked at; a forbidden one is reported with the way that leads to it.
  symbols   `nm` on the static libraries: no undefined symbol of the forbidden kinds, whoever
            included what.

usage: arrows.py ROOT --lib NAME=PATH…
       arrows.py --self-test          plants violations and fails unless each is found
"""
import argparse
import pathlib
import re
import subprocess
import sys
import tempfile

PURE_ROOMS = ("vm", "engine/core", "engine/dispatch")

# What a pure room may include of this repository; all else is an arrow up or sideways.
ALLOWED_ROOMS = {
    "vm": ("vm",),
    "engine/core": ("engine/core", "vm"),
    "engine/dispatch": ("engine/dispatch", "engine/core", "vm"),
}

FORBIDDEN_HEADERS = re.compile(
    r"""^(boost/.*|pqxx/.*|pqxx|libpq-fe\.h|libpq/.*|postgresql/.*|
    thread|mutex|shared_mutex|condition_variable|future|stop_token|semaphore|barrier|latch|
    random|ctime|time\.h|sys/time\.h|locale|locale\.h|clocale|regex|fstream|filesystem|iostream|
    unistd\.h|pthread\.h|sys/socket\.h|netinet/.*|arpa/.*|netdb\.h|poll\.h|
    sys/epoll\.h|sys/random\.h|
    openssl/rand\.h|spdlog/.*|prometheus/.*)$""", re.VERBOSE)

FORBIDDEN_SYMBOLS = re.compile(
    r"""^(clock_gettime|clock|time|gettimeofday|timespec_get|localtime(_r)?|gmtime(_r)?|
    mktime|nanosleep|usleep|sleep|clock_nanosleep|rand|rand_r|srand|random|srandom|drand48|lrand48|
    getrandom|getentropy|RAND_bytes|RAND_priv_bytes|getenv|secure_getenv|setlocale|newlocale|
    uselocale|localeconv|socket|connect|bind|listen|accept4?|send|recv|
    sendmsg|recvmsg|poll|epoll_.*|select|getaddrinfo|open|open64|openat|fopen|fopen64|read|write|
    pthread_create|pthread_mutex_lock|pthread_cond_wait|PQ[a-z]\w*|
    std::random_device::.*|std::locale::.*|std::this_thread::.*|std::thread::.*|
    std::chrono::(_V2::)?\w+_clock::now\(\)|std::basic_[io]?fstream.*|
    boost::asio::.*|boost::beast::.*|pqxx::.*)$""",
    re.VERBOSE)

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')


def includes_of(path):
    found = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        match = INCLUDE.match(line)
        if match:
            found.append((number, match.group(2)))
    return found


def room_of(relative):
    """The room that a repository path lies in: its top folder, or the folder below engine/."""
    parts = pathlib.PurePosixPath(relative).parts
    return "/".join(parts[:2]) if parts[0] == "engine" else parts[0]


def check_includes(root):
    problems, seen_files = [], 0
    for room in PURE_ROOMS:
        for source in sorted((root / room).rglob("*")):
            if source.suffix not in (".hpp", ".cc", ".h", ".def"):
                continue
            seen_files += 1
            problems += walk(root, room, source)
    return problems, seen_files


def walk(root, room, source):
    """What `source` reaches and may not, each with the way that leads to it."""
    problems, done = [], set()
    queue = [(source, [str(source.relative_to(root))])]
    while queue:
        path, way = queue.pop()
        if path in done:
            continue
        done.add(path)
        for number, name in includes_of(path):
            inside = root / name
            if not inside.is_file():
                inside = path.parent / name
            if inside.is_file() and root in inside.resolve().parents:
                relative = inside.resolve().relative_to(root).as_posix()
                if room_of(relative) not in ALLOWED_ROOMS[room]:
                    problems.append(f"{' -> '.join(way)}:{number}: {room} may not know {relative}")
                    continue
                queue.append((inside.resolve(), way + [relative]))
            elif FORBIDDEN_HEADERS.match(name):
                problems.append(f"{' -> '.join(way)}:{number}: {room} reaches <{name}>")
    return problems


def undefined_symbols(library):
    command = ["nm", "--demangle", "--undefined-only", "--no-sort", str(library)]
    listing = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    member = "?"
    for line in listing.splitlines():
        if line.endswith(":") and not line.startswith(" "):
            member = line[:-1]
        match = re.match(r"^\s+[Uvw]\s+(.*)$", line)
        if match:
            yield member, match.group(1)


def check_symbols(libraries):
    problems = []
    for name, path in libraries:
        for member, symbol in undefined_symbols(path):
            bare = symbol.split("@")[0]
            if FORBIDDEN_SYMBOLS.match(bare):
                problems.append(f"{name}: {member} uses {bare}")
    return problems


# What the self-test plants, one use of each forbidden kind.
PLANTED = {
    "clock": """#include <chrono>
        long f() { return std::chrono::system_clock::now().time_since_epoch().count(); }""",
    "steady": """#include <chrono>
        long f() { return std::chrono::steady_clock::now().time_since_epoch().count(); }""",
    "random": """#include <random>
        unsigned f() { return std::random_device{}(); }""",
    "rand": """#include <cstdlib>
        int f() { return rand(); }""",
    "environment": """#include <cstdlib>
        char* f() { return getenv("A"); }""",
    "thread": """#include <pthread.h>
        int f(pthread_t* t) { return pthread_create(t, nullptr, nullptr, nullptr); }""",
    "locale": """#include <clocale>
        char* f() { return setlocale(LC_ALL, ""); }""",
    "socket": """#include <sys/socket.h>
        int f() { return socket(1, 1, 0); }""",
    "libpq": """extern "C" int PQstatus(void*);
        int f(void* c) { return PQstatus(c); }""",
    "asio": """namespace boost::asio { struct io_context { int run(); }; }
        int f(boost::asio::io_context& c) { return c.run(); }""",
}


def compile_probe(folder, name, text):
    source, built = folder / f"{name}.cc", folder / f"{name}.o"
    source.write_text(text + "\n")
    subprocess.run(["c++", "-std=c++20", "-c", str(source), "-o", str(built)], check=True)
    return [(name, built)]


def self_test():
    """A planted violation of each kind must be found, and a clean room must pass."""
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder).resolve()
        for room in PURE_ROOMS + ("gateway",):
            (root / room).mkdir(parents=True)
        (root / "vm/value.hpp").write_text("#include <cstdint>\n")
        (root / "engine/core/clean.hpp").write_text('#include "vm/value.hpp"\n#include <vector>\n')
        assert check_includes(root) == ([], 2), "a clean room was reported"

        (root / "vm/deep.hpp").write_text("#include <boost/asio.hpp>\n")
        (root / "engine/core/clean.hpp").write_text('#include "vm/deep.hpp"\n')
        found = check_includes(root)[0]
        way = "engine/core/clean.hpp -> vm/deep.hpp:1"
        assert any(way in problem for problem in found), "a transitive include was missed"
        (root / "vm/deep.hpp").write_text("")
        (root / "gateway/g.hpp").write_text("")
        (root / "engine/dispatch/d.cc").write_text('#include "gateway/g.hpp"\n')
        assert len(check_includes(root)[0]) == 1, "an arrow that points up was missed"

        for name, text in PLANTED.items():
            found = check_symbols(compile_probe(root, name, text))
            assert found, f"the planted use of {name} was missed"
        clean = "#include <string>\nstd::string f(const std::string& a) { return a + a; }"
        assert not check_symbols(compile_probe(root, "clean", clean)), "clean code was reported"
    print(f"self-test: {len(PLANTED) + 2} planted violations found, clean code passes")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("root", nargs="?")
    parser.add_argument("--lib", action="append", default=[], metavar="NAME=PATH")
    parser.add_argument("--self-test", action="store_true")
    options = parser.parse_args()
    if options.self_test:
        return self_test()
    root = pathlib.Path(options.root).resolve()
    problems, files = check_includes(root)
    libraries = [tuple(lib.split("=", 1)) for lib in options.lib]
    if not files or not libraries:
        sys.exit("nothing to check: no file or no library was named")
    problems += check_symbols(libraries)
    for problem in problems:
        print(problem)
    if problems:
        sys.exit(f"{len(problems)} arrows that must not be")
    print(f"{files} files and {len(libraries)} libraries: no forbidden arrow")


if __name__ == "__main__":
    main()
