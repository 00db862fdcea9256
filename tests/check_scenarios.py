#!/usr/bin/env python3
"""Checks tests/scenarios.md: each row names a test that is there, and no number is missing.

Usage: check_scenarios.py TESTS_DIRECTORY
"""
import pathlib
import re
import sys

tests = pathlib.Path(sys.argv[1])
rows = re.findall(r"^\| (\w+ \d+b?) \| (\S+) \| (.*?) \|$", (tests / "scenarios.md").read_text(), re.M)
problems = []
for what, file, name in rows:
    cases = re.findall(r'TEST_CASE\(\s*((?:"(?:[^"\\]|\\.)*"\s*)+)\)', (tests / file).read_text())
    if name not in ["".join(re.findall(r'"((?:[^"\\]|\\.)*)"', case)) for case in cases]:
        problems.append(f"{what}: {file} has no test '{name}'")

# 13, 24 and 25 are about Python.
expected = {f"scenario {n}" for n in range(1, 50)} - {f"scenario {n}" for n in (13, 24, 25)}
expected |= {f"defect {n}" for n in range(1, 11)}
expected |= {f"difference {n}" for n in range(1, 14)} | {"scenario 38b"}
problems += [f"{what} has no row" for what in sorted(expected - {what for what, _, _ in rows})]
print("\n".join(problems) or f"{len(rows)} rows")
sys.exit(1 if problems else 0)
