#!/usr/bin/env python3
"""Compiles a file that must not compile, and checks the message of the compiler.

Usage: check.py FILE BUILD_DIR
       check.py --precompile HEADER BUILD_DIR SOURCE_DIR

FILE has a comment `// error: REGEX` for its one error. With CONTROL defined it is
the corrected program and must compile: what fails is the mistake and nothing else. The command
line is that of tests/odr/a.cpp. The second form compiles <mirakuru.hpp> once, for all files:
HEADER.gch, which both compilers take for `-include HEADER`.
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
    return command + ["-fdiagnostics-color=never"]


def precompile(header, build_dir, source_dir):
    header.write_text("#include <mirakuru.hpp>\n")
    command = command_of(source_dir.resolve() / "tests" / "odr" / "a.cpp", build_dir)
    target = f"{header}.gch"
    words = ["-x", "c++-header", str(header), "-o", target]
    words += ["-MD", "-MF", f"{header}.d", "-MQ", str(pathlib.Path(target).relative_to(build_dir))]
    sys.exit(subprocess.run([*command, *words], cwd=build_dir).returncode)


def main():
    if sys.argv[1] == "--precompile":
        precompile(*[pathlib.Path(word).absolute() for word in sys.argv[2:]])
    file = pathlib.Path(sys.argv[1]).resolve()
    build_dir = pathlib.Path(sys.argv[2])
    expected = re.findall(r"^ *// error: (.*)$", file.read_text(), re.MULTILINE)
    if len(expected) != 1:
        sys.exit(f"{file} needs one line `// error: REGEX`")
    command = command_of(file.parent.parent / "odr" / "a.cpp", build_dir)
    header = build_dir / "tests" / "compile_fail" / "first.hpp"

    def compile(*args):
        words = [*command, "-fsyntax-only", "-include", str(header), *args, str(file)]
        done = subprocess.run(words, cwd=build_dir, stderr=subprocess.PIPE, text=True)
        return done.returncode == 0, done.stderr

    if "clang" in command[0]:  # GCC takes three times as long, and the program is the same
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
