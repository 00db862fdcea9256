// SPDX-License-Identifier: BSL-1.0
#include <sys/resource.h>
#include <sys/wait.h>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include <doctest/doctest.h>

#include <mirakuru.hpp>
#include <mirakuru/post_mortem/post_mortem.hpp>

#include "files.hpp"
#include "process.hpp"
#include "time.hpp"
#include "words.hpp"

namespace mk = mirakuru;
using mk::detail::core_glob;

namespace {

/// A service that writes a report, as LSan does, and ends in good order.
const mk::Shell reports_at_the_end{
    "trap '{ echo =====; echo \"==1==ERROR: LeakSanitizer\"; } > ${LSAN_OPTIONS##*log_path=}.1; "
    "exit 0' TERM; echo up; while :; do sleep 0.02; done"};

}  // namespace

TEST_CASE("core_glob: follows the kernel's pattern") {
  CHECK(core_glob("core", false, "/srv", 42) == "/srv/core");
  CHECK(core_glob("core", true, "/srv", 42) == "/srv/core.42");
  CHECK(core_glob("core.%p", true, "/srv", 42) == "/srv/core.42");
  CHECK(core_glob("/var/cores/%e.%P.%t", false, "/srv", 42) == "/var/cores/*.42.*");
  CHECK(core_glob("100%%", false, "/srv", 42) == "/srv/100%");
  CHECK(core_glob("core%", false, "/srv", 42) == "/srv/core%");
}

TEST_CASE("PostMortem: the user's own options of sanitizers stay") {
  ::setenv("UBSAN_OPTIONS", "print_stacktrace=1", 1);
  ::setenv("TSAN_OPTIONS", "log_path=/tmp/own", 1);
  ::unsetenv("LSAN_OPTIONS");
  mk::LaunchRequest request{.words = {"true"}, .env = {{"ASAN_OPTIONS", "detect_leaks=1"}}};
  std::string place;
  {
    const mk::PostMortem::Run run{mk::PostMortem{}, request};
    const auto& added = request.env["LSAN_OPTIONS"];
    REQUIRE(added.starts_with("log_path=/"));
    place = std::filesystem::path{added.substr(9)}.parent_path();
    CHECK(request.env["ASAN_OPTIONS"] == "detect_leaks=1:" + added);
    CHECK(request.env["UBSAN_OPTIONS"] == "print_stacktrace=1:" + added);
    CHECK(request.env.count("TSAN_OPTIONS") == 0);
    CHECK(run.reports() == "");
    std::ofstream{place + "/report.42"} << "==42==ERROR: AddressSanitizer\n    #0 main\n";
    CHECK(run.reports() ==
          "  a sanitizer's report:\n    ==42==ERROR: AddressSanitizer\n        #0 main");
  }
  CHECK_FALSE(test::exists(place));
  ::unsetenv("UBSAN_OPTIONS");
  ::unsetenv("TSAN_OPTIONS");
}

TEST_CASE("PostMortem: the backtrace of a process that a signal has ended, or why there is none") {
  if (test::sanitized) return;
  const test::TempDir directory;
  mk::LaunchRequest request{.words = {"sleep", "300"}, .cwd = directory.path()};
  const mk::PostMortem::Run run{mk::PostMortem{}, request};
  auto process = mk::GuardedSpawner{}.spawn(request);
  ::kill(process.pid(), SIGSEGV);
  REQUIRE(test::eventually([&] { return !process.alive(); }));
  const auto text = run.backtrace(process.pid());
  const bool told = text.starts_with("  backtrace:\n    Thread 1 ");
  const bool excused = text.starts_with("  no backtrace: ");
  CHECK((told || excused));
  if (told) CHECK(test::contains(text, "\n    #0 "));
  MESSAGE(text);
  CHECK(std::filesystem::is_empty(directory.path()));
}

TEST_CASE("PostMortem: a service that dies by a signal has its backtrace in the error") {
  if (test::sanitized) return;
  const test::TempDir directory;
  mk::Executor executor{mk::Command{.argv = {"sleep", "300"}, .cwd = directory.path()},
                        mk::PostMortem{}};
  executor.start();
  ::kill(executor.pid(), SIGSEGV);
  REQUIRE(test::eventually([&] { return !executor.running(); }));
  try {
    executor.check_alive();
    CHECK_MESSAGE(false, "check_alive() did not throw");
  } catch (const mk::ProcessExitedWithError& error) {
    CHECK(error.exit_code() == -SIGSEGV);
    const std::string text = error.what();
    CHECK((test::contains(text, "\n  backtrace:\n    Thread 1 ") ||
           test::contains(text, "\n  no backtrace: ")));
  }
  CHECK(std::filesystem::is_empty(directory.path()));
}

TEST_CASE("PostMortem: the limit of core files is raised before the command is executed") {
  rlimit before{};
  ::getrlimit(RLIMIT_CORE, &before);
  const rlimit none{.rlim_cur = 0, .rlim_max = before.rlim_max};
  ::setrlimit(RLIMIT_CORE, &none);
  const auto limit_of = [](auto... policies) {
    mk::Executor executor{mk::Shell{"ulimit -Sc"}, policies...};
    return executor.start().wait().output();
  };
  mk::LaunchRequest request{.words = {"true"}};
  const mk::PostMortem::Run run{mk::PostMortem{}, request};
  REQUIRE(request.limits.size() == 1);
  CHECK(request.limits[0].resource == RLIMIT_CORE);
  CHECK(request.limits[0].soft == before.rlim_max);
  CHECK(request.limits[0].hard == before.rlim_max);
  const auto hard = mk::Executor{mk::Shell{"ulimit -Hc"}}.start().wait().output();
  CHECK(limit_of(mk::PostMortem{}) == hard);
  CHECK(limit_of(mk::PostMortem{.core = false}) == "0\n");
  CHECK(limit_of(mk::PostMortem{}, mk::Limits{.core = 0}) == "0\n");
  ::setrlimit(RLIMIT_CORE, &before);
}

TEST_CASE("PostMortem: a signal of a stop is no crash") {
  const test::TempDir directory;
  mk::Executor executor{mk::Command{.argv = {"sleep", "300"}, .cwd = directory.path()},
                        mk::Signals{.stop = SIGQUIT}, mk::PostMortem{.core = false}};
  executor.start().stop();
  CHECK(executor.exit_code() == -SIGQUIT);
}

TEST_CASE("PostMortem: a sanitizer's report is quoted, and fails stop() whatever the exit code") {
  mk::Executor executor{reports_at_the_end, mk::BannerCheck{"up"}, mk::PostMortem{}};
  for (int runs = 0; runs < 2; ++runs) {
    executor.start();
    try {
      executor.stop();
      CHECK_MESSAGE(false, "stop() did not throw");
    } catch (const mk::ProcessFinishedWithError& error) {
      CHECK(error.exit_code() == 0);
      CHECK(test::contains(error.what(), "exited with code 0; its sanitizers have reported\n"));
      CHECK(test::contains(error.what(),
                           "\n  a sanitizer's report:\n    ==1==ERROR: LeakSanitizer\n"));
    }
  }
  mk::Executor without{reports_at_the_end, mk::BannerCheck{"up"}};
  ::setenv("LSAN_OPTIONS", "log_path=/dev/null", 1);
  CHECK_NOTHROW(without.start().stop());
  ::unsetenv("LSAN_OPTIONS");
}

TEST_CASE("PostMortem: the destructor tells of a sanitizer's report") {
  std::string told;
  {
    mk::Executor executor{reports_at_the_end, mk::BannerCheck{"up"}, mk::PostMortem{},
                          [&told](const mk::Event& event) {
                            if (const auto* const end = std::get_if<mk::EndedBadly>(&event))
                              told = mk::line_of(*end);
                          }};
    executor.start();
  }
  CHECK(test::contains(told,
                       ": exited with code 0 when it was stopped; its sanitizers: "
                       "==1==ERROR: LeakSanitizer; its last line: up"));
}

TEST_CASE("PostMortem: a real leak is found at the end by SIGTERM") {
  const char* const leaky = std::getenv("MIRAKURU_TEST_LEAKY");
  if (leaky == nullptr) return;
  mk::Executor executor{{leaky}, mk::BannerCheck{"up"}, mk::PostMortem{}};
  executor.start();
  try {
    executor.stop();
    CHECK_MESSAGE(false, "stop() did not throw");
  } catch (const mk::ProcessFinishedWithError& error) {
    CHECK(test::contains(error.what(), "ERROR: LeakSanitizer: detected memory leaks"));
  }
}
