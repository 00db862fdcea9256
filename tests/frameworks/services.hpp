// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>
#include <cstdlib>
#include <string>

#include <mirakuru.hpp>
#include <mirakuru/test/service.hpp>

namespace mk = mirakuru;
using namespace std::chrono_literals;

// The services of the programs here. The variables of the environment are from check.py.

/// A service that repeats each line that it reads, "err LINE" to standard error; "die N" exits. It
/// notes its start and its stop in $NOTES, and exits with $STOP_CODE.
inline mk::OutputExecutor echo(const std::string& name) {
  const std::string note = " " + name + " >> ${NOTES:-/dev/null}; ";
  return mk::OutputExecutor{
      mk::Shell{
          "echo start" + note + "test \"$FAILS\" = " + name +
          " && { echo no configuration >&2; exit 3; }; trap 'echo stop" + note +
          "exit ${STOP_CODE:-0}' TERM; echo ready; while read -r word rest; do case $word in "
          "die) exit $rest;; err) echo \"$rest\" >&2;; *) echo \"$word${rest:+ $rest}\";; esac; "
          "done"},
      mk::BannerCheck{"ready"}, mk::TimeoutBudget{.start = 20s, .stop = 10s}};
}

inline mk::test::Service first{"first", echo("first")};
inline mk::test::Service second{"second", [] { return echo("second"); }};

/// Returns when the service has repeated the line.
inline void say(mk::OutputExecutor& service, const std::string& line) {
  service.write(line + '\n');
  const auto word = line.substr(line.find(' ') + 1);
  service.wait_for(
      [&] { return (service.output() + service.err_output()).find(word) != std::string::npos; },
      20s);
}

/// Does so if check.py wants it.
inline void say_if_wanted(const std::string& line) {
  if (std::getenv("ENVIRONMENT") != nullptr) say(*second, line);
}

/// Sixty lines to one stream, and two to the other.
inline void say_much(mk::OutputExecutor& service) {
  for (int i = 1; i <= 60; ++i) service.write("line " + std::to_string(i) + "\n");
  service.write("err one\a\n");
  say(service, "err two");
}

/// A service with a post-mortem that crashes.
inline auto crashing() {
  return mk::Executor{mk::Shell{"ulimit -c 0; echo up; read -r word; kill -SEGV $$"},
                      mk::BannerCheck{"up"}, mk::PostMortem{},
                      mk::TimeoutBudget{.start = 20s, .stop = 10s}};
}

/// A service that exits with 7 when it is stopped.
inline auto ending_badly() {
  return mk::OutputExecutor{mk::Shell{"trap 'exit 7' TERM; echo up; read -r word"},
                            mk::BannerCheck{"up"}, mk::TimeoutBudget{.start = 20s, .stop = 10s}};
}

/// A service that has to be killed.
inline auto resisting() {
  return mk::OutputExecutor{mk::Shell{"trap '' TERM; echo up; read -r word; exec sleep 60"},
                            mk::BannerCheck{"up"}, mk::TimeoutBudget{.start = 20s, .stop = 100ms}};
}

/// Fails to start.
struct Fixture {
  mk::OutputExecutor database{mk::Shell{"echo no space left >&2; exit 4"}, mk::BannerCheck{"up"},
                              mk::TimeoutBudget{.start = 20s, .stop = 10s}};

  Fixture() { database.start(); }
};
