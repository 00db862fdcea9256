#!/usr/bin/env python3
"""Runs test programs that share one Redis under `ctest -j 8`, and kills a tenth of them.

Usage: ctest.py MEMBER PROGRAMS REPEATS LATE

No program may fail that was not killed, no two services may live at the same time, CTest may not
wait for the service, and nothing may be left LATE seconds after the linger time.
MIRAKURU_CHAOS_SEED=N has the same moments again. Exit code 77: CTest or Redis is not installed.
"""

import fcntl
import os
import pathlib
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree

LINGER = 2.0


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def processes_in(directory):
    """The processes that run in the directory, or have it in their command line."""
    found = []
    for entry in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            if str(directory) in line or os.readlink(entry / "cwd").startswith(str(directory)):
                found.append(f"{entry.name} {line}")
        except OSError:  # it has ended since, or is a zombie
            pass
    return found


def is_held(directory):
    """True while a process has the lock file of the service open."""
    with open(directory / "lock", "a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def lines_of(file):
    return file.read_text().splitlines() if file.exists() else []


def one_repeat(member, programs, late, chosen, repeat):
    top = pathlib.Path(tempfile.mkdtemp(prefix="mirakuru-ctest-"))
    service, runner = top / "service", top / "runner"
    service.mkdir()
    runner.mkdir()
    port = free_port()
    armed = set()
    tests = []
    for number in range(programs):
        # One of the first eight starts the service: in every other repeat all of them may die.
        dies = chosen.random() < (0.8 if number < 8 and repeat % 2 == 0 else 0.2)
        moment = chosen.randrange(1, 24_000) if dies else 0
        if dies:
            armed.add(f"t{number}")
        words = [member, number, service, port, int(LINGER * 1000), moment]
        tests.append(f"add_test(t{number} " + " ".join(f'"{word}"' for word in words) + ")\n")
    (runner / "CTestTestfile.cmake").write_text("".join(tests))
    begin = time.monotonic()
    words = ["ctest", "--test-dir", runner, "-j", "8", "-Q", "--timeout", "100"]
    done = subprocess.run([*words, "--output-junit", runner / "out.xml"], timeout=1500)
    end = time.monotonic()
    faults = []
    if not is_held(service):
        faults.append("CTest has waited for the service, or there was none")

    killed = set()
    cases = xml.etree.ElementTree.parse(runner / "out.xml").getroot().findall("testcase")
    for case in cases:
        if case.get("status") not in ("run", "fail"):
            faults.append(f"{case.get('name')}: {case.get('status')}")
        failure = case.find("failure")
        if failure is None:
            continue
        # "Failed" is an exit code; all else is an exception such as a signal.
        if case.get("name") in armed and failure.get("message") != "Failed":
            killed.add(case.get("name"))
        else:
            faults.append(f"{case.get('name')}: {failure.get('message')}: "
                          + case.findtext("system-out", ""))
    if len(cases) != programs:
        faults.append(f"{len(cases)} of {programs} programs have run")
    if done.returncode not in (0, 8):
        faults.append(f"ctest ends with {done.returncode}")

    left = processes_in(top)
    while left and time.monotonic() < end + LINGER + late:
        time.sleep(0.02)
        left = processes_in(top)
    gone = time.monotonic() - end
    if left or is_held(service):
        faults.append(f"left {gone - LINGER:.2f} s after the linger time: {left}")
    faults += [f"pid {pid} is a second service" for pid in lines_of(service / "second")]
    starts, ready = lines_of(service / "starts"), lines_of(service / "starters")
    dead = len(starts) - len(ready) + len(killed & set(ready))
    allowed = {"lock", "starts", "starters", "second"}
    faults += [f"left the file {file}" for file in service.iterdir() if file.name not in allowed]
    print(f"{len(cases)} programs in {end - begin:.1f} s, {len(killed)} killed, "
          f"{len(starts)} starts, {dead} starters killed, gone {gone - LINGER:+.2f} s after the "
          f"linger time, {len(faults)} faults", flush=True)
    for fault in faults[:20]:
        print(" ", fault, flush=True)
    shutil.rmtree(top)
    return not faults


def main():
    member, programs, repeats, late = sys.argv[1:]
    for program in ("ctest", "redis-server", "flock"):
        if not shutil.which(program):
            print(f"no {program}")
            sys.exit(77)
    seed = int(os.environ.get("MIRAKURU_CHAOS_SEED") or random.randrange(2**32))
    print(f"MIRAKURU_CHAOS_SEED={seed}", flush=True)
    chosen = random.Random(seed)
    for repeat in range(int(repeats)):
        program = pathlib.Path(member).absolute()
        if not one_repeat(program, int(programs), float(late), chosen, repeat):
            sys.exit(1)


main()
