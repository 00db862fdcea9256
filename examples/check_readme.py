#!/usr/bin/env python3
"""Checks that the README shows PROGRAM to the letter, and that its other C++ blocks compile.

Usage: check_readme.py README PROGRAM LIKE BUILD_DIR

The blocks are bodies of functions. The command line is that of LIKE.
"""
import json
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile

readme, program, like = map(pathlib.Path, sys.argv[1:4])
build_dir = pathlib.Path(sys.argv[4])
text = readme.read_text()
lines = len(text.splitlines())
if lines > 250:
    sys.exit(f"{readme} has {lines} lines, and nobody reads more than 250")
blocks = re.findall(r"```cpp\n(.*?)```", text, re.DOTALL)
if program.read_text() not in blocks:
    sys.exit(f"{readme} does not show {program} as it is")
blocks.remove(program.read_text())
if not blocks:
    sys.exit(f"{readme} has no other C++ block")

source = """#include <mirakuru.hpp>
#include <mirakuru/kit.hpp>
#include <mirakuru/services.hpp>
namespace mk = mirakuru;
using namespace std::chrono_literals;
"""
for number, block in enumerate(blocks):
    line = text[: text.index(block)].count("\n") + 1
    source += f'void block_{number}() {{\n#line {line} "{readme}"\n{block}}}\n'

for entry in json.loads((build_dir / "compile_commands.json").read_text()):
    if (build_dir / entry["file"]).resolve() == like.resolve():
        break
else:
    sys.exit(f"{like} is not in compile_commands.json")
command = []
words = iter(shlex.split(entry["command"]))
for word in words:
    if word in ("-o", "-MF", "-MQ"):
        next(words)
    elif word == "-c":
        next(words)
        break
    elif word != "-MD":
        command.append(word)
with tempfile.NamedTemporaryFile("w", suffix=".cpp") as file:
    file.write(source)
    file.flush()
    options = ["-fsyntax-only", "-Wno-unused", file.name]
    sys.exit(subprocess.run([*command, *options], cwd=build_dir).returncode)
