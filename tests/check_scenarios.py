#!/usr/bin/env python3
"""Checks tests/scenarios.md: each row names a test that is there, and no number is missing.

Usage: check_scenarios.py SCENARIOS_MD NAME=PROGRAM...

What is there the test programs say themselves, so that nothing counts which is not compiled; NAME
is the path of a program's source without its `.cpp`.
"""
import pathlib
import re
import subprocess
import sys

# 13, 24 and 25 are about Python.
SCENARIOS = """1 2 3 4 5 6 7 8 9 10 11 12 14 15 16 17 18 19 20 21 22 23 26 27 28 29 30 31 32 33 34 35 36 37
38 38b 39 40 41 42 43 44 45 45b 46 47 48 49""".split()
DEFECTS = "1 2 3 4 5 6 7 8 9 10".split()
DIFFERENCES = "1 2 3 4 5 6 7 8 9 10 11 12 13".split()


def tests_of(program):
    done = subprocess.run(
        [program, "--list-test-cases"], stdout=subprocess.PIPE, text=True, timeout=60, check=True
    )
    return [line for line in done.stdout.splitlines() if line and not line.startswith(("[doctest]", "==="))]


def numbers(name):
    """What a test's name claims to cover: it begins with "scenario 44, defect 4: "."""
    claim = re.match(r"((?:scenario|defect|difference) \w+(?:, )?)+: ", name)
    return re.findall(r"(\w+ \w+)", claim[0]) if claim else []


tests = {}
for argument in sys.argv[2:]:
    name, program = argument.split("=", 1)
    tests[name + ".cpp"] = tests_of(program)
lines = pathlib.Path(sys.argv[1]).read_text().splitlines()
rows = [line.strip("| ").split(" | ") for line in lines if re.match(r"\| (?!what |---)", line)]

problems = []
for row in rows:
    what, file, name = row if len(row) == 3 else (" | ".join(row), "", "")
    if name not in tests.get(file, []):
        problems.append(f"{what}: {file} has no test '{name}'")
    of_kind = [number for number in numbers(name) if number.split()[0] == what.split()[0]]
    if what not in of_kind and (of_kind or what.startswith("scenario")):
        problems.append(f"{what}: '{name}' is for another number, or none")
problems += [
    f"{number} has no row for {file}: '{name}'"
    for file, names in tests.items()
    for name in names
    for number in numbers(name)
    if [number, file, name] not in rows
]
expected = [f"scenario {n}" for n in SCENARIOS]
expected += [f"defect {n}" for n in DEFECTS] + [f"difference {n}" for n in DIFFERENCES]
there = {row[0] for row in rows}
problems += [f"{what} has no row" for what in expected if what not in there]
problems += [f"there is no {what}" for what in sorted(there - set(expected))]
print("\n".join(problems) or f"{len(rows)} rows")
sys.exit(1 if problems else 0)
