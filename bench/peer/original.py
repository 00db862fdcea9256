# SPDX-License-Identifier: BSL-1.0
"""Python's mirakuru as one of the peers, with the orders of ours.cpp. It must be importable."""

import sys
import time

import mirakuru

service = None
for line in sys.stdin:
    order, *words = line.rstrip("\n").split("\t")
    begin = time.monotonic_ns()
    try:
        if order == "wait":
            verb, place, *words = words
            if verb == "tcp":
                service = mirakuru.TCPExecutor(words, "127.0.0.1", int(place), timeout=30)
            elif verb == "http":
                service = mirakuru.HTTPExecutor(words, f"http://127.0.0.1:{place}/", timeout=30)
            else:
                service = mirakuru.OutputExecutor(words, "ready", timeout=30)
            service.start()
            answer = time.monotonic_ns()
            service.stop()
        else:
            if order != "stop":
                service = mirakuru.SimpleExecutor(words, timeout=30)
                service.start()
            if order != "start":
                service.stop()
            answer = time.monotonic_ns() - begin
    except Exception as error:
        answer = repr(error)
    print(answer, flush=True)
