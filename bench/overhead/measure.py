#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Measures the cost of the library against the same task by hand on Asio.

measure.py [--check] [--json FILE] CHILD DIRECTORY COMPILER...

CHILD is the service, DIRECTORY has the programs of this folder. Prints a table. The counts are the same on each run.
--check prints only the counts, and the exit status tells whether all are within their bounds.
--json adds the rows to FILE, which the benchmark has written.
"""

import json
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
START_UP = 50_000  # microseconds until the service is ready
# The bounds of the compile times, as multiples of by_hand.cpp. Both are aims that are missed: the
# README says by how much, and why.
HEADER_ONLY = 1.3
COMPILED_ONCE = 0.35


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return str(s.getsockname()[1])


class Programs:
    def __init__(self, child, directory):
        self.child = child
        self.directory = directory
        self.page = tempfile.NamedTemporaryFile()
        self.page.truncate(4096)

    def path(self, name):
        return os.path.join(self.directory, name)

    def command(self, program, verb, rounds):
        port = free_port()
        service = [self.child, self.page.name, str(START_UP), verb, port]
        return [self.path(program), port, str(rounds), *service]

    def run(self, wrapper, program, verb, rounds):
        command = wrapper + self.command(program, verb, rounds)
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
        return int(done.stdout), done.stderr


def valgrind(tool, *options):
    return ["valgrind", f"--tool={tool}", "--trace-children=no", *options]


def per_cycle(programs, wrapper, program, verb, count):
    """The count of one cycle, and its attempts: the difference of six cycles and one, divided by five."""
    one = programs.run(wrapper, program, verb, 1)
    six = programs.run(wrapper, program, verb, 6)
    return (count(six[1]) - count(one[1])) / 5, (six[0] - one[0]) / 5


def instructions(text):
    # A child prints lines too, between its fork and its exec. The lines of the program come last.
    return int(re.findall(r"Collected *: *(\d+)", text)[-1])


def allocations(text):
    return int(re.findall(r"total heap usage: ([\d,]+) allocs", text)[-1].replace(",", ""))


def system_calls(programs, spawner):
    """The system calls of one cycle: by the process, the guardian, and the command until its exec."""
    totals = []
    for rounds in "1", "6":
        with tempfile.NamedTemporaryFile(mode="r") as trace:
            command = [programs.path("cycle"), spawner, rounds, shutil.which("sleep"), "300"]
            subprocess.run(["strace", "-f", "-qq", "-o", trace.name, *command], timeout=120, check=True)
            executed, total = set(), 0
            for line in trace:
                pid, call = line.split(None, 1)
                if pid in executed or call.startswith(("+++", "---", "<...")):
                    continue
                total += 1
                if call.startswith("execve(") and total > 1:
                    executed.add(pid)
        totals.append(total)
    return (totals[1] - totals[0]) / 5


# The bounds of the counts of held.cpp: the highest count of twenty runs and some 25 %, rounded up.
# The memory differs by run: the addresses decide which pages of the program come along.
HELD = {
    "guarded": {
        "page faults of the owner": 17,
        "page faults of the guardian": 18,
        "descriptors in the owner": 8,
        "inotify instances in the owner": 1,
        "descriptors in the guardian": 4,
        "inotify instances in the guardian": 0,
        "memory of the guardian, kB": 340,
        "context switches in a start of 300 ms": 3,
    },
    "direct": {
        "page faults of the owner": 2,
        "descriptors in the owner": 7,
        "inotify instances in the owner": 1,
        "context switches in a start of 300 ms": 3,
    },
}


def held(programs, spawner):
    """The counts of a service by their names."""
    command = [programs.path("held"), spawner, programs.child, programs.page.name]
    text = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    return {name: int(count) for name, count in (line.rsplit(": ", 1) for line in text.splitlines())}


def messages_of_tree(programs):
    """The messages from the guardian while a tree of 50 starts and stops: each may wake the owner."""
    with tempfile.NamedTemporaryFile(mode="r") as trace:
        command = ["strace", "-qq", "-e", "trace=recvfrom", "-o", trace.name]
        command += [programs.path("held"), "tree", programs.child, programs.page.name]
        text = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
        if int(text.split(": ")[1]) < 25:
            raise RuntimeError("the guardian has not told all stragglers: " + text)
        return sum(re.search(r"= [1-9]\d*$", line) is not None for line in trace)


def kernel_tells_who_listens():
    try:
        socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, 4).close()
        return True
    except OSError:
        return False


def connections(programs, program, verb):
    """The connections that one start tries."""
    with tempfile.NamedTemporaryFile(mode="r") as trace:
        programs.run(["strace", "-qq", "-e", "trace=connect", "-o", trace.name], program, verb, 1)
        return sum("AF_INET" in line for line in trace)


def size(path):
    text, data, bss = subprocess.check_output(["size", path], text=True).split("\n")[1].split()[:3]
    return int(text) + int(data) + int(bss)


def counts(programs):
    quiet = ["--callgrind-out-file=/dev/null"]
    for name, verb in ("TCP", "tcp"), ("HTTP", "http"):
        mine, theirs = "ours_" + verb, "by_hand_" + verb
        a, attempts = per_cycle(programs, valgrind("callgrind", *quiet), mine, verb, instructions)
        b, _ = per_cycle(programs, valgrind("callgrind", *quiet), theirs, verb, instructions)
        yield f"{name}: instructions of a start and stop", a, b, 1.10
        yield f"{name}: attempts in {START_UP // 1000} ms", attempts, None, 100
        if shutil.which("strace"):
            bound = 18 if verb == "tcp" and kernel_tells_who_listens() else 100
            yield f"{name}: connections tried meanwhile", connections(programs, mine, verb), None, bound
        a, _ = per_cycle(programs, valgrind("memcheck"), mine, verb, allocations)
        b, _ = per_cycle(programs, valgrind("memcheck"), theirs, verb, allocations)
        yield f"{name}: heap allocations", a, b, 1.0
        a, b = size(programs.path(mine)), size(programs.path(theirs))
        yield f"{name}: size of the program, bytes", a, b, 1.3
    if shutil.which("strace"):
        for spawner, bound in ("direct", 120), ("guarded", 115):
            yield f"{spawner}: system calls of a start and stop", system_calls(programs, spawner), None, bound
        # The command runs, the leader's end, 25 stragglers in two messages, the tree's end.
        yield "guarded: messages for a tree of 50", messages_of_tree(programs), None, 6
    for spawner, bounds in HELD.items():
        of_service = held(programs, spawner)
        for name, bound in bounds.items():
            yield f"{spawner}: {name}", of_service[name], None, bound
    more = (size(programs.path("ours_http_more")) - size(programs.path("ours_http"))) / 4
    yield "each further executor type, bytes", more, None, 7_000


def compile_time(compiler, source, *defines):
    """The processor time of a compiler for a file of this folder, or for a text."""
    command = [*compiler, "-std=c++20", "-O0", "-c", "-o", os.devnull, "-I" + HERE + "/../../include"]
    command += ["-isystem", "/usr/share/include/llhttp", "-DOVERHEAD_HTTP", *defines, "-x", "c++"]
    is_text = "\n" in source
    command.append("-" if is_text else os.path.join(HERE, source))
    before = os.times()
    subprocess.run(command, check=True, input=source if is_text else None, text=True)
    after = os.times()
    return sum(after[i] - before[i] for i in (2, 3))  # of children: user and system


COMPOSED = """
#include <mirakuru.hpp>
int main() {
  mirakuru::Executor server{"server", mirakuru::AnyOf{mirakuru::BannerCheck{"ready"},
                                                      mirakuru::TCPCheck{"127.0.0.1", 8080}}};
  server.start().stop();
}
"""
FRAMEWORK = """
#include <mirakuru/doctest.hpp>
#include <mirakuru.hpp>
mirakuru::test::Service server{
    "server", [] { return mirakuru::Executor{"server", mirakuru::BannerCheck{"ready"}}; }};
TEST_CASE("it runs") { CHECK(server->running()); }
"""
FURTHER = 9  # executor types


def compile_times(compiler):
    """The times of a file with each use, in both forms, against by_hand.cpp in the same rounds."""
    uses = {
        "one executor": ("ours.cpp",),
        "ten executor types": ("ours.cpp", f"-DOVERHEAD_MORE={FURTHER}"),
        "a composed check": (COMPOSED,),
    }
    if os.path.exists("/usr/include/doctest/doctest.h"):
        uses["a service of a framework"] = (FRAMEWORK,)
    forms = {
        "header-only": (HEADER_ONLY, ()),
        "compiled once": (COMPILED_ONCE, ("-DMIRAKURU_SEPARATE_COMPILATION",)),
    }
    by_hand, times = [], {}
    for _ in range(5):
        by_hand.append(compile_time(compiler, "by_hand.cpp"))
        for form, (_, defines) in forms.items():
            for use, words in uses.items():
                times.setdefault((form, use), []).append(compile_time(compiler, *words, *defines))
    hand = statistics.median(by_hand)
    median = {key: statistics.median(values) for key, values in times.items()}
    for form, (bound, _) in forms.items():
        for use in uses:
            its_bound = bound if use == "one executor" else None
            yield f"compile time, {form}: {use}, s", median[form, use], hand, its_bound
    one, ten = (median["header-only", use] for use in ("one executor", "ten executor types"))
    yield "compile time of each further type, s", (ten - one) / FURTHER, one, 0.08


def main(words):
    check = "--check" in words
    words = [word for word in words if word != "--check"]
    out = None
    if words[:1] == ["--json"]:
        out, words = words[1], words[2:]
    programs = Programs(words[0], words[1])
    rows = list(counts(programs))
    if not check:
        rows += compile_times(words[2:])
    print(f"{'':56} {'ours':>12} {'by hand':>12} {'ratio':>7}  bound")
    good = True
    for name, ours, hand, bound in rows:
        ratio = f"{ours / hand:.2f}" if hand else "-"
        text = verdict = ""
        if bound is not None:
            within = ours <= bound * (hand or 1)
            good &= within
            text = f"<= {bound:g}" + ("x" if hand else "")
            verdict = "good" if within else "MISSED"
        print(f"{name:56} {ours:12.6g} {hand or 0:12.6g} {ratio:>7}  {text:10} {verdict}")
    if out:
        with open(out) as file:
            result = json.load(file)
        keys = "name", "ours", "by_hand", "bound"
        result["overhead"] = [dict(zip(keys, row)) for row in rows]
        with open(out, "w") as file:
            json.dump(result, file, indent=1)
    return 0 if good or not check else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
