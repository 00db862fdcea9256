#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Draws how long a test waits for a service that is ready: picture.py JSON SVG

JSON is the file of `bench/run --json FILE`. Needs gnuplot; Debian's package is gnuplot-nox.
"""

import json
import subprocess
import sys

CHECKS = "banner", "pid file", "Unix socket", "TCP", "HTTP"
POLL = 100  # milliseconds between two polls of Python's mirakuru, by its documentation

SCRIPT = """
set terminal svg size 800,360 font 'sans-serif,13' background 'white'
set output '{svg}'
set logscale x
set xrange [0.03:130]
set yrange [-0.7:{top}]
set ytics ({labels}) scale 0
set xlabel 'from ready to the return of start(), milliseconds; each dot a round, the bar the median'
set format x '%g'
set grid x
set key outside top center horizontal samplen 1
set style fill transparent solid 0.35 noborder
plot {plots}
"""


def quantile(values, share):
    values = sorted(values)
    return values[min(len(values) - 1, int(share * len(values)))]


def main(source, svg):
    with open(source) as file:
        rows = {row["name"]: row for row in json.load(file)["rows"]}
    series = {"floor in C": [], "mirakuru for C++": [], "Python's mirakuru, by its documented polling": []}
    keys = list(series)
    labels = []
    for number, check in enumerate(reversed(CHECKS)):
        row = rows["latency: " + check]
        labels.append(f"'{check}' {number}")
        even = [POLL * (i + 0.5) / len(row["ours_rounds"]) for i in range(len(row["ours_rounds"]))]
        for key, values, shift in zip(keys, (row["floor_rounds"], row["ours_rounds"], even), (0.25, 0, -0.25)):
            series[key].append((number + shift, values))
    colours = "#888888", "#0060ad", "#dd8a1f"
    plots, data = [], []
    for key, colour in zip(keys, colours):
        title = key.replace("'", "''")
        plots.append(f"'-' with points pt 7 ps 0.35 lc rgb '{colour}' title '{title}'")
        plots.append(f"'-' with points pt '|' font ',18' tc rgb '{colour}' notitle")
        data += [f"{value} {at}" for at, values in series[key] for value in values] + ["e"]
        data += [f"{quantile(values, 0.5)} {at}" for at, values in series[key]] + ["e"]
    script = SCRIPT.format(svg=svg, top=len(CHECKS) - 0.3, labels=", ".join(labels), plots=", \\\n ".join(plots))
    subprocess.run(["gnuplot"], input=script + "\n".join(data) + "\n", text=True, check=True)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
