#!/usr/bin/env python3
"""Runs a program whose tests fail, and compares its output.

Usage: check.py gtest|catch2|doctest|boost_test PROGRAM EXPECTED

EXPECTED is the output of all tests. With UPDATE=1 in the environment it is written anew.
"""

import os
import pathlib
import re
import subprocess
import sys
import tempfile

framework, program, expected = sys.argv[1:]
LIST, ALL, ONLY = {
    "gtest": (["--gtest_list_tests"], ["--gtest_color=no"], "--gtest_filter=*.{}"),
    "catch2": (["--list-tests"], [], "{}"),
    "doctest": (["--list-test-cases"], ["--no-colors"], "--test-case={}"),
    "boost_test": (["--list_content"], ["--color_output=no"], "--run_test={}"),
}[framework]
PASSES = ONLY.format("Passes" if framework == "gtest" else "passes")
DIES = ONLY.format("Dies" if framework == "gtest" else "dies")
BOTH = ["start first", "start second", "stop second", "stop first"]
notes = pathlib.Path(tempfile.mkdtemp()) / "notes"


def check(good, text, *more):
    if not good:
        sys.exit("\n".join([f"{framework}: {text}", *map(str, more)]))


def left_over():
    """The processes of the services that live."""
    for environ in pathlib.Path("/proc").glob("[0-9]*/environ"):
        try:
            if f"NOTES={notes}".encode() in environ.read_bytes():
                yield (environ.parent / "cmdline").read_bytes()
        except OSError:
            pass


def run(*args, **variables):
    """The exit code, the output, and the starts and stops."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("MIRAKURU_")}
    done = subprocess.run(
        [program, *args],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=100,
        env={**env, "NOTES": str(notes), **variables},
    )
    noted = notes.read_text().splitlines() if notes.exists() else []
    notes.unlink(missing_ok=True)
    alive = list(left_over())
    check(not alive, "these live on:", alive, done.stdout)
    return done.returncode, done.stdout, noted


def normal(output):
    """Without the things that change from run to run, and from machine to machine."""
    why = r"no backtrace:.*?(?=\n\n|\n\[|\n\S+\(\d+\): )"
    output = re.sub(why, "no backtrace: (why)", output, flags=re.DOTALL)
    output = re.sub(r"\b[\d.]+ m?s\b", "N ms", output)
    output = re.sub(r"[^\s\"(]*tests/frameworks/", "", output)
    output = re.sub(r"\S+ is a Catch2? v\S+ host", "PROGRAM is a Catch host", output)
    output = re.sub(r'doctest version is ".*"', "doctest version", output)
    output = re.sub(r"^(Running main\(\) from|Randomness seeded to:) .*\n", "", output, flags=re.M)
    lines = [line.rstrip() for line in output.splitlines()]
    return "\n".join(lines) + "\n"


# No service starts while tests are listed, as a build does.
code, output, noted = run(*LIST)
check("asses" in output and not noted, "the list:", code, output, noted)

# The services start in order and end in reverse order, and nothing is printed of them.
code, output, noted = run(*ALL, PASSES)
check(code == 0 and noted == BOTH, "a test that passes:", code, output, noted)
check("first" not in output and "mirakuru" not in output, "it prints:", output)

# A service that does not start is a failure, and the others end.
code, output, noted = run(*ALL, PASSES, FAILS="second")
check(code != 0 and noted == ["start first", "start second", "stop first"], "start:", code, output)
for line in ["second has not started: exited with a non-zero code: 3", "no configuration"]:
    check(line in output, f"no '{line}':", output)

# So is one that ends badly after the last test. Catch2 has computed its exit code before.
code, output, noted = run(*ALL, PASSES, STOP_CODE="5")
check((code != 0) != (framework == "catch2") and noted == BOTH, "stop:", code, output, noted)
for name in ["first", "second"]:
    line = f"{name} has not ended well: exited with a non-zero code: 5"
    check(line in output, f"no '{line}':", output)

# An end in a test is told once, also when the framework gives up at the first failure.
for more in [], {"gtest": ["--gtest_fail_fast"], "catch2": ["--abort"]}.get(framework, []):
    code, output, noted = run(*ALL, *more, DIES)
    check(code != 0 and noted == [*BOTH[:2], "stop second"], "death:", code, output, noted)
    check(output.count("exited with a non-zero code: 9") == 1, "death:", output)

# An environment of all tests may use a service, from its begin to its end.
if framework in ("gtest", "boost_test"):
    code, output, noted = run(*ALL, PASSES, ENVIRONMENT="1")
    check(code == 0 and noted == BOTH, "environment:", code, output, noted)

# Tests may come in any order, and again.
AGAIN = {
    "gtest": ["--gtest_repeat=2", "--gtest_shuffle"],
    "catch2": ["--order", "rand"],
    "doctest": ["--order-by=rand"],
    "boost_test": ["--random"],
}[framework]
code, output, noted = run(*ALL, *AGAIN, PASSES)
check(code == 0 and noted in (BOTH, 2 * BOTH), "in another order:", code, output, noted)

if framework == "gtest":
    code, output, noted = run(*ALL, ONLY.format("EndsItself"))
    check(code == 0 and noted == BOTH, "death test:", code, output, noted)
    code, output, noted = run(*ALL, ONLY.format("EndsItselfWithAService"))
    with_child = [*BOTH[:2], "start first", "stop first", *BOTH[2:]]
    check(code == 0 and noted == with_child, "death test:", code, output, noted)

# All tests.
code, output, noted = run(*ALL)
check(code != 0, "all tests pass", output)
for name in ["first", "echo"]:
    lines = re.findall(rf"^ *(?:.*: )?\[{name}\] .*$", output, re.MULTILINE)
    check(len(lines) <= 45, f"there are {len(lines)} lines of {name}:", output)
file = pathlib.Path(expected)
if os.environ.get("UPDATE"):
    file.write_text(normal(output))
wanted = file.read_text()
check(normal(output) == wanted, "the output differs; it is:", normal(output), "not:", wanted)
notes.parent.rmdir()
