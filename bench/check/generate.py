#!/usr/bin/env python3
"""Writes a program of a given size in the flow language: what `flowc check` is measured with.

    generate.py FOLDER LINES [--lines-per-module N]

Modules are those of a help desk, as in examples/support, with loops, races, compensations and
limits; each stands for itself and takes its retries from std.retry. The same arguments give the
same bytes, and the program checks clean."""
import argparse
import pathlib

HEAD = """module m{m}

import std.retry

enum Role{m} {{ user, assistant, tool }}
record Turn{m} {{ role: Role{m}, text: string }}
event Failed{m} {{ reason: string }}
pool cpu{m} {{}}
"""

# One flow with all that it needs.
PART = """
/// Question {n}: what comes in.
event Ask{n} {{
  text: string where len(text) in 1..4000
  topics: [string] where len(topics) in 0..8
  history: [Turn{m}] = []
  hint: string? = none
}}

record Verdict{n} {{ blocked: bool, reason: string }}
record Hold{n} {{ id: string }}
event Answer{n} {{ text: string, sources: [string] }}
event Searching{n} {{ sources: int }}

topic asks{n} of Ask{n} {{
  order by client
  dedupe 24h
}}

task moderate{n}(text: string) -> Verdict{n} {{
  pool cpu{m}  timeout 2s  idempotent  uses retry.fast
}}
task search{n}(text: string) -> [string] {{ pool cpu{m}  timeout 3s  idempotent }}
task hold{n}(client: string, amount: int) -> Hold{n} {{ pool cpu{m}  timeout 2s  keyed }}
task release{n}(key: string) {{ pool cpu{m}  timeout 2s  keyed  uses retry.patient }}
task complete{n}(prompt: string) -> string {{ pool cpu{m}  timeout 12s  keyed  attempts 2 }}
task small{n}(prompt: string) -> string {{ pool cpu{m}  timeout 8s  idempotent }}

fn prompt{n}(ask: Ask{n}, sources: [string]) -> string = \"\"\"
  Answer from these sources only:
  ${{join(sources, "\\n")}}
  Question: ${{ask.text}}
  \"\"\"

fn asked{n}(turns: [Turn{m}]) -> [string] =
  [turn.text for turn in turns if turn.role == Role{m}.user and len(turn.text) > 0]

flow answer{n}(ask: Ask{n}) -> Answer{n} or Failed{m}
  on asks{n}
  timeout 5m
  budget 9 calls of search{n}
{{
  step verdict = moderate{n}(ask.text)
  if verdict.blocked {{ fail Rejected verdict.reason }}

  step held = hold{n}(run.client, 1) {{
    compensate {{ step release{n}(held.id) }}
    unsure {{ step release{n}(held.key) }}
  }}

  var text = ask.text
  if let hint = ask.hint {{ set text = "${{text}} (${{hint}})" }}
  let found = each one in ask.topics parallel 4 {{
    try {{
      step sources = search{n}("${{text}} ${{one}}") {{ within 3s }}
      if len(sources) > 0 {{ yield sources[0] }}
    }} catch TimedOut {{ }}
  }}
  notify Searching{n} {{ sources: len(found) }}

  let reply = race {{
    step large = complete{n}(prompt{n}(ask, found))
    branch late {{
      sleep 20s
      step short = small{n}(ask.text) {{ fallback join(asked{n}(ask.history), " ") }}
      yield short
    }}
  }}
  match len(reply) {{
    case 0 {{ return Answer{n} {{ text: "nothing", sources: found }} }}
    else {{ return Answer{n} {{ text: reply, sources: found }} }}
  }}
}} on failure (why) {{
  return Failed{m} {{ reason: "${{why.kind}}: ${{why.message}}" }}
}}
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("lines", type=int)
    parser.add_argument("--lines-per-module", type=int, default=1000)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    written = number = module = 0
    while written < options.lines:
        text = HEAD.format(m=module)
        most = min(options.lines_per_module, options.lines - written)
        while text.count("\n") < most:
            text += PART.format(m=module, n=number)
            number += 1
        (options.folder / f"m{module}.flow").write_text(text)
        written += text.count("\n")
        module += 1
    print(f"{written} lines, {module} modules, {number} flows")


if __name__ == "__main__":
    main()
