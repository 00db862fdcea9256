#!/usr/bin/env python3
"""Prints a table of the scenarios, defects and differences, each with its tests.

Usage: scenarios.py PROGRAM...        `meson test -C build -v scenarios` runs it with all of them

A scenario is a test of the original, Python's mirakuru; a defect is a mistake of the original that is
mended here; a difference is on purpose. The numbers stand at the end of a test's name, as in
`PidCheck: a file that is there already is refused [scenario 44, defect 4]`. The test programs list
their names themselves: a test that is not compiled does not count. Fails when a number is missing or
unknown.
"""
import pathlib
import re
import subprocess
import sys
import xml.etree.ElementTree

# Scenarios 13, 24 and 25 are about Python.
NUMBERS = {
    "scenario": """1 2 3 4 5 6 7 8 9 10 11 12 14 15 16 17 18 19 20 21 22 23 26 27 28 29 30 31 32 33 34
        35 36 37 38 38b 39 40 41 42 43 44 45 45b 46 47 48 49""".split(),
    "defect": "1 2 3 4 5 6 7 8 9 10".split(),
    "difference": "1 2 3 4 5 6 7 8 9 10 11 12 13".split(),
}


def tests_of(program):
    """The file and the name of each test."""
    listing = [program, "--list-test-cases", "--reporters=xml"]
    done = subprocess.run(listing, stdout=subprocess.PIPE, text=True, timeout=60, check=True)
    for case in xml.etree.ElementTree.fromstring(done.stdout).iter("TestCase"):
        parts = pathlib.PurePath(case.get("filename")).parts
        below = len(parts) - parts[::-1].index("tests")
        yield "/".join(parts[below:]), case.get("name")


if len(sys.argv) == 1:
    sys.exit(__doc__)
found = {}
for program in sys.argv[1:]:
    for file, name in tests_of(program):
        for number in re.findall(r"\w+ \w+", (re.search(r" \[(.*)\]$", name) or ["", ""])[1]):
            found.setdefault(number, []).append((file, name))

expected = [f"{kind} {number}" for kind, numbers in NUMBERS.items() for number in numbers]
for number in expected:
    for file, name in found.get(number, [("-", "no test has this number")]):
        print(f"{number:13} {file:21} {name}")
missing = [number for number in expected if number not in found]
unknown = sorted(set(found) - set(expected))
if missing or unknown:
    sys.exit(f"missing: {', '.join(missing) or 'none'}; unknown: {', '.join(unknown) or 'none'}")
