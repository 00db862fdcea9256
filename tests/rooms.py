#!/usr/bin/env python3
"""Checks the rooms of include/mirakuru: their size, and that includes go down only.

A room is a folder. Some files of the top folder are a room of their own: the values that users see,
and each header that stands above all rooms. `spawn/guardian` is a part of `spawn`. No room has more
than 18 files, or more than a fifth of all lines, and no includes lead round in a circle.
"""
import collections
import pathlib
import re
import sys

MOST_FILES, LARGEST_SHARE = 18, 0.2
VALUES = ("command", "error", "process")

include = pathlib.Path(__file__).resolve().parent.parent / "include"
problems = []


def room_of(path):
    folder = str(pathlib.PurePath(path).parent).removeprefix("mirakuru").strip("/")
    if folder == "spawn/guardian":
        return "spawn"
    name = pathlib.PurePath(path).stem
    return folder or ("values" if name in VALUES else name)


files = collections.Counter()
lines = collections.Counter()
below = collections.defaultdict(dict)  # room -> room -> an include from one to the other
for file in sorted(include.rglob("*.[hi]pp")):
    path = file.relative_to(include)
    text = file.read_text()
    files[path.parent] += 1
    lines[path.parent] += text.count("\n")
    for target in re.findall(r"^#include <(mirakuru/.*)>", text, re.M):
        if room_of(path) != room_of(target):
            below[room_of(path)].setdefault(room_of(target), f"{path} includes {target}")

for room, count in files.items():
    if count > MOST_FILES:
        problems.append(f"{room} has {count} files")
    if lines[room] > LARGEST_SHARE * lines.total():
        problems.append(f"{room} has {lines[room]} of {lines.total()} lines")

# Takes away the rooms at the bottom and at the top, until only circles are left.
left = {room: set(below[room]) for room in [*below]}
while ends := [
    room
    for room in left
    if not left[room] & left.keys() or not any(room in others for others in left.values())
]:
    for room in ends:
        del left[room]
for room in left:
    problems += [below[room][target] for target in sorted(left[room] & left.keys())]

sys.exit("\n".join(problems) or 0)
