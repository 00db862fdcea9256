// SPDX-License-Identifier: BSL-1.0
#include <chrono>
#include <fstream>
#include <stdexcept>
#include <string>

#include <doctest/doctest.h>

#include <mirakuru.hpp>

#include "errors.hpp"
#include "files.hpp"
#include "time.hpp"

namespace mk = mirakuru;
using namespace std::chrono_literals;
using test::in_time;
using test::message_of;

TEST_CASE("FailsOn: the start fails at once, and the message quotes the line") {
  mk::Executor service{
      mk::Shell{"echo begun; sleep 0.05; echo 'FATAL: no disk' >&2; exec sleep 300"},
      mk::BannerCheck{"ready"}, mk::FailsOn{mk::BannerCheck{"FATAL|in use"}}, in_time};
  const test::Elapsed elapsed;
  const auto message = message_of<mk::ExecutorError>([&] { service.start(); });
  CHECK(elapsed < 5s);
  CHECK(message.starts_with("it fails on a line with 'FATAL|in use': FATAL: no disk\n"));
  CHECK_FALSE(service.running());
}

TEST_CASE("FailsOn: the line is quoted without colours, and from within a composed check") {
  mk::Executor service{
      mk::Shell{"printf '10%%\\r\\033[31mFATAL\\033[0m: no disk\\rbye\\n'; exec sleep 300"},
      mk::FailsOn{mk::Within{30s, mk::AnyOf{mk::ExitCheck{}, mk::BannerCheck{"^FATAL: no"}}}},
      mk::BannerCheck{"ready"}, in_time};
  const auto message = message_of<mk::ExecutorError>([&] { service.start(); });
  CHECK(message.find("'), within 30 s: FATAL: no disk\n") != message.npos);
}

TEST_CASE("FailsOn: it quotes the new line of a log file") {
  const test::TempDir directory;
  const auto log = directory / "log";
  std::ofstream{log} << "FATAL: of yesterday\n";
  mk::Executor service{mk::Shell{"echo 'FATAL: no disk' >> " + log + "; exec sleep 300"},
                       mk::BannerCheck{"never"}, mk::FailsOn{mk::LogFileCheck{log, "FATAL"}},
                       in_time};
  const auto message = message_of<mk::ExecutorError>([&] { service.start(); });
  CHECK(message.starts_with("it fails on a line with 'FATAL' in " + log + ": FATAL: no disk\n"));
}

TEST_CASE("FailsOn: any number of them, in any place, and each start has fresh ones") {
  mk::Executor service{mk::Shell{"echo ready; exec sleep 300"}, mk::FailsOn{mk::BannerCheck{"one"}},
                       mk::BannerCheck{"ready"}, mk::FailsOn{mk::BannerCheck{"two"}}, in_time};
  for (int i = 0; i < 3; ++i) {
    CHECK(service.start().running());
    service.stop();
  }
}

TEST_CASE("FailsOn: it looks while an earlier check is at hand, and until the end") {
  int asked = 0;
  mk::Executor predicate{"sleep 300", mk::BannerCheck{"never"}, mk::BannerCheck{"never"},
                         mk::FailsOn{[&](const mk::Process&) { return ++asked > 5; }}, in_time};
  CHECK(message_of<mk::ExecutorError>([&] {
          predicate.start();
        }).starts_with("it fails on a predicate\n"));
  for (int i = 0; i < 10; ++i) {
    mk::Executor ends{mk::Shell{"echo 'FATAL: no disk'; exit 3"}, mk::BannerCheck{"ready"},
                      mk::FailsOn{mk::BannerCheck{"FATAL"}}, in_time};
    const auto message = message_of<mk::ExecutorError>([&] { ends.start(); });
    CHECK(message.starts_with("it fails on a line with 'FATAL': FATAL: no disk\n"));
  }
}

TEST_CASE("FailsOn: an exception of its check comes nested, and a deadline of its own ends it") {
  mk::Executor throws{
      "sleep 300", mk::BannerCheck{"never"},
      mk::FailsOn{[](const mk::Process&) -> bool { throw std::out_of_range{"mine"}; }}, in_time};
  CHECK(message_of<mk::ExecutorError>([&] {
          throws.start();
        }).starts_with("a readiness check failed: mine\n"));
  mk::Executor early{mk::Shell{"sleep 0.2; echo FATAL; echo ready; exec sleep 300"},
                     mk::BannerCheck{"ready"},
                     mk::FailsOn{mk::Within{50ms, mk::BannerCheck{"FATAL"}}}, in_time};
  CHECK(early.start().running());
}
