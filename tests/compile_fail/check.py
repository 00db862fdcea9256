#!/usr/bin/env python3
"""Compiles a file that must not compile, and checks the message of the compiler.

Usage: check.py FILE BUILD_DIR

FILE has a comment `// error: REGEX` for its one error. With CONTROL defined it is
the corrected program and must compile: what fails is the mistake and nothing else. The command
line is that of tests/odr/a.cpp.
"""

import json
import pathlib
import re
import shlex
import subprocess
import sys


def command_of(source, build_dir):
    for entry in json.loads((build_dir / "compile_commands.json").read_text()):
        if (build_dir / entry["file"]).resolve() == source:
            break
    else:
        sys.exit(f"{source} is not in compile_commands.json")
    command = []
    words = iter(shlex.split(entry["command"]))
    for word in words:
        if word in ("-o", "-MF", "-MQ", "-c"):
            next(words)
        elif word not in ("-MD", "-Werror"):
            command.append(word)
    return command + ["-fsyntax-only", "-fdiagnostics-color=never"]


def main():
    file = pathlib.Path(sys.argv[1]).resolve()
    build_dir = pathlib.Path(sys.argv[2])
    expected = re.findall(r"^ *// error: (.*)$", file.read_text(), re.MULTILINE)
    if len(expected) != 1:
        sys.exit(f"{file} needs one line `// error: REGEX`")
    command = command_of(file.parent.parent / "odr" / "a.cpp", build_dir)

    def compile(*args):
        done = subprocess.run(
            [*command, *args, str(file)], cwd=build_dir, stderr=subprocess.PIPE, text=True
        )
        return done.returncode == 0, done.stderr

    ok, output = compile("-DCONTROL")
    if not ok:
        sys.exit(f"{output}\nthe control does not compile")

    ok, output = compile()
    if ok:
        sys.exit("compiled, and must not")
    errors = re.findall(r"^\S.*?: (?:fatal )?error: (.*)$", output, re.MULTILINE)
    if len(errors) != 1:
        sys.exit(f"{output}\n{len(errors)} errors, not one")
    if not re.search(expected[0], errors[0]):
        sys.exit(f"{output}\nexpected: {expected[0]}\n     got: {errors[0]}")
    print(errors[0])


main()
