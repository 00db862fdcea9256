#!/usr/bin/env python3
"""Checks that the README shows the example to the letter, and runs it on a free port.

Usage: check_readme.py README SOURCE PROGRAM
"""
import pathlib
import socket
import subprocess
import sys

readme, source, program = sys.argv[1:]
if f"```cpp\n{pathlib.Path(source).read_text()}```" not in pathlib.Path(readme).read_text():
    sys.exit(f"{readme} does not show {source} as it is")

with socket.socket() as probe:
    probe.bind(("127.0.0.1", 0))
    port = probe.getsockname()[1]
said = subprocess.run([program, str(port)], stdout=subprocess.PIPE, text=True, timeout=60, check=True)
if not said.stdout.endswith("\ngone\n"):
    sys.exit(f"{program} said: {said.stdout}")
