#!/usr/bin/env python3
"""What flowc prints for programs is what its schemas say, for every golden and every example.

The validator knows the keywords that the schemas use and fails on any other, so that none is
passed over."""
import json
import pathlib
import re
import subprocess
import sys
import unittest

FLOWC = sys.argv.pop(1)
ROOT = pathlib.Path(__file__).resolve().parents[2]
TYPES = {"object": dict, "array": list, "string": str, "null": type(None), "integer": int}
ABOUT = {"$schema", "$defs", "title", "description"}


def is_type(value, name):
    return isinstance(value, TYPES[name]) and not isinstance(value, bool)


def problems(schema, value, root, place="$"):
    """The first things wrong with the value, each with its place."""
    if "$ref" in schema:
        assert set(schema) == {"$ref"}, place
        name = re.fullmatch(r"#/\$defs/(\w+)", schema["$ref"]).group(1)
        return problems(root["$defs"][name], value, root, place)
    found = []
    for keyword, wanted in schema.items():
        if keyword in ABOUT:
            continue
        if keyword == "type":
            names = wanted if isinstance(wanted, list) else [wanted]
            if not any(is_type(value, name) for name in names):
                return [f"{place} is no {wanted}: {value!r}"]
        elif keyword == "const":
            found += [] if value == wanted else [f"{place} is {value!r}, not {wanted!r}"]
        elif keyword == "enum":
            found += [] if value in wanted else [f"{place} is {value!r}, none of {wanted}"]
        elif keyword == "pattern":
            found += [] if re.search(wanted, value) else [f"{place} is {value!r}, not {wanted}"]
        elif keyword == "minimum":
            found += [] if value is None or value >= wanted else [f"{place} is {value}"]
        elif keyword in ("minLength", "minItems"):
            found += [] if len(value) >= wanted else [f"{place} is too short: {value!r}"]
        elif keyword == "required":
            found += [f"{place}.{name} is missing" for name in wanted if name not in value]
        elif keyword == "additionalProperties":
            assert wanted is False, place
            extra = set(value) - set(schema["properties"])
            found += [f"{place}.{name} is unknown" for name in extra]
        elif keyword == "properties":
            for name in set(wanted) & set(value):
                found += problems(wanted[name], value[name], root, f"{place}.{name}")
        elif keyword == "items":
            for number, item in enumerate(value):
                found += problems(wanted, item, root, f"{place}[{number}]")
        else:
            raise AssertionError(f"{place}: the validator does not know `{keyword}`")
    return found


def programs():
    """Every golden but those of the formatter, files of one program together, and every example."""
    found = [path for path in sorted((ROOT / "examples").iterdir()) if path.is_dir()]
    for folder in sorted((ROOT / "tests/golden").iterdir()):
        if not folder.is_dir() or folder.name == "format":
            continue
        found += sorted(folder.glob("*.flow")) + sorted(folder.glob("program_*"))
    return found


def output(*arguments):
    done = subprocess.run([FLOWC, *map(str, arguments)], capture_output=True, timeout=60)
    assert done.returncode in (0, 1), done.stderr
    return done.returncode, done.stdout


class Schemas(unittest.TestCase):
    def hold(self, schema_path, *arguments):
        schema = json.loads((ROOT / schema_path).read_text())
        seen = 0
        for program in programs():
            code, text = output(*arguments, program)
            if not text:
                self.assertEqual((arguments[0], code), ("explain", 1), program)
                continue
            found = problems(schema, json.loads(text), schema)
            self.assertEqual(found[:5], [], program)
            seen += 1
        self.assertGreater(seen, 20)

    def test_json(self):
        self.hold("docs/schemas/diagnostics.schema.json", "check", "--format", "json")

    def test_sarif(self):
        self.hold("tests/compiler/sarif.schema.json", "check", "--format", "sarif")

    def test_explain(self):
        self.hold("docs/schemas/explain.schema.json", "explain", "--json")

    def test_the_validator_refuses(self):
        schema = {"type": "object", "required": ["a"], "additionalProperties": False,
                  "properties": {"a": {"type": "array", "minItems": 1,
                                       "items": {"type": ["integer", "null"], "minimum": 1}}}}
        self.assertEqual(problems(schema, {"a": [1, None]}, schema), [])
        for wrong in ({}, {"a": []}, {"a": [0]}, {"a": ["1"]}, {"a": [True]}, {"a": [1], "b": 1}):
            self.assertEqual(len(problems(schema, wrong, schema)), 1, wrong)
        with self.assertRaises(AssertionError):
            problems({"maximum": 1}, 2, schema)


if __name__ == "__main__":
    unittest.main()
