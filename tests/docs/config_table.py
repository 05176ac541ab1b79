#!/usr/bin/env python3
"""The configuration reference in docs/operations.md is what `flowd config --format table` prints.

usage: config_table.py FLOWD DOCUMENT          fails where they differ
       UPDATE_GOLDEN=1 config_table.py …       writes the table into the document
"""
import os
import pathlib
import subprocess
import sys

BEGIN = "<!-- flowd config --format table -->\n"
END = "<!-- end -->\n"


def main():
    flowd, document = sys.argv[1], pathlib.Path(sys.argv[2])
    environment = {k: v for k, v in os.environ.items() if not k.startswith("SLUICE_")}
    command = [flowd, "config", "--format", "table"]
    run = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    table = run.stdout
    text = document.read_text(encoding="utf-8")
    head, rest = text.split(BEGIN)
    written, tail = rest.split(END)
    if os.environ.get("UPDATE_GOLDEN"):
        document.write_text(head + BEGIN + table + END + tail, encoding="utf-8")
    elif written != table:
        sys.exit(f"{document} differs from what flowd says; UPDATE_GOLDEN=1 rewrites it")


if __name__ == "__main__":
    main()
