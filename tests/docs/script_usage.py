#!/usr/bin/env python3
"""Each script says how it is used when asked, and refuses what it does not know."""
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
SCRIPTS = ("script/bootstrap", "script/build", "script/demo", "script/test", "bench/pipeline/run")


def run(script, argument):
    return subprocess.run([ROOT / script, argument], capture_output=True, text=True, timeout=30)


def main():
    wrong = []
    for script in SCRIPTS:
        for ask in ("--help", "-h"):
            asked = run(script, ask)
            if asked.returncode != 0 or script not in asked.stdout or asked.stderr:
                wrong.append(f"{script} {ask}: {asked}")
        refused = run(script, "--no-such-option")
        if refused.returncode != 2 or not refused.stderr or refused.stdout:
            wrong.append(f"{script} --no-such-option: {refused}")
    for name in ("--help", "-h", "--no-such-option"):
        if (ROOT / "build" / name).exists():
            wrong.append(f"build/{name} was made")
    print("\n".join(wrong) if wrong else f"{len(SCRIPTS)} scripts say how they are used")
    return 1 if wrong else 0


sys.exit(main())
