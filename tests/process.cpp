// SPDX-License-Identifier: BSL-1.0
#include <string>

#include <doctest/doctest.h>

#include <mirakuru.hpp>

namespace mk = mirakuru;

TEST_CASE("Readiness: it is a bool with a reason") {
  CHECK(mk::Readiness{true});
  CHECK_FALSE(mk::Readiness{});
  CHECK_FALSE(mk::not_ready("HTTP 503"));
  CHECK(mk::not_ready("HTTP 503").reason() == "HTTP 503");
}

TEST_CASE("Process: a check sees the process and its output") {
  pid_t seen = 0;
  mk::Executor executor{mk::Shell{"echo out; echo err >&2; exec sleep 300"},
                        [&](const mk::Process& process) {
                          seen = process.pid();
                          return process.output() == "out\n" && process.err_output() == "err\n";
                        }};
  executor.start();
  CHECK(seen == executor.pid());
}
