// SPDX-License-Identifier: BSL-1.0
#include <poll.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>
#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <asio/bind_cancellation_slot.hpp>
#include <asio/bind_executor.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/io_context.hpp>
#include <asio/use_future.hpp>

#include <mirakuru.hpp>
#include <mirakuru/async.hpp>
#include <mirakuru/laws.hpp>

#include "errors.hpp"
#include "files.hpp"
#include "net.hpp"
#include "process.hpp"
#include "time.hpp"
#include "words.hpp"

namespace mk = mirakuru;
using namespace std::chrono_literals;
using test::contains;
using test::in_time;
using test::message_of;

namespace {

/// A run that hangs, with a child in a session of its own, and their ids in a file.
class Hanging {
 public:
  [[nodiscard]] mk::Shell command() const {
    return {"setsid sleep 300 & echo $! > " + file_ + "; sleep 300 & echo $! >> " + file_ +
            "; echo $$ >> " + file_ + "; mv " + file_ + ' ' + whole_ + "; echo hanging; wait"};
  }
  [[nodiscard]] const std::string& path() const { return whole_; }
  [[nodiscard]] bool has_begun() const { return test::exists(whole_); }
  [[nodiscard]] int left() const {
    const auto pids = test::read_pids(whole_);
    CHECK(pids.size() == 3);
    return static_cast<int>(std::count_if(pids.begin(), pids.end(), test::alive));
  }

 private:
  test::TempDir directory_;
  std::string file_ = directory_ / "file", whole_ = directory_ / "pids";
};

const mk::OutputStreams no_streams;

mk::Process process_since(mk::TimePoint moment) { return {1, no_streams, true, {.since = moment}}; }

mk::TimePoint now() { return mk::detail::Clock::now(); }

/// Waits as the probe wants, once.
void wait_once(const mk::Probe& probe) {
  mk::WaitSet waits;
  probe.wait(now(), waits);
  mk::detail::PollLoop{}.wait(waits);
}

}  // namespace

TEST_CASE("ExecCheck: ready when the command exits with 0") {
  const test::TempDir directory;
  const auto path = directory / "there";
  mk::Executor service{mk::Shell{"sleep 0.1; : > " + path + "; exec sleep 300"},
                       mk::ExecCheck{{"test", "-e", path}}, in_time};
  const test::Elapsed elapsed;
  service.start();
  CHECK(elapsed >= 100ms);
  CHECK(test::exists(path));
  CHECK(service.running());
  CHECK(mk::ExecCheck{{"test", "-e", path}}.describe() == "an exit with 0 of test -e " + path);
}

TEST_CASE("ExecCheck: its command has all forms of an executor's, and wrong words are refused") {
  const auto starts = [](mk::ExecCheck check) {
    mk::Executor service{"sleep 300", std::move(check), in_time};
    return service.start().running();
  };
  const std::string text = "true";
  CHECK(starts({"true"}));
  CHECK(starts({text}));
  CHECK(starts({{"test", 1, "-eq", 1}}));
  CHECK(starts({mk::Shell{"true && true"}}));
  CHECK(starts({.command = mk::Command{.argv = "test -d .", .cwd = "/"}, .within = 10s}));
  CHECK(test::refusal([] { mk::ExecCheck check{""}; }) == "the command is empty");
  CHECK(test::refusal([] { mk::ExecCheck check{"echo 'a"}; }) ==
        "a quote (') is not closed in the command: echo 'a");
  CHECK(test::refusal([] { mk::ExecCheck check{.command = "true", .within = -1s}; }) ==
        "a time limit is negative");
}

TEST_CASE("ExecCheck: the exit status and the last words are the reason") {
  const auto reason = [](const std::string& line) {
    mk::Executor service{"sleep 300", mk::ExecCheck{mk::Shell{line}},
                         mk::TimeoutBudget{.start = 1s}};
    const auto message = message_of<mk::TimeoutExpired>([&] { service.start(); });
    CHECK_FALSE(service.running());
    const std::string marker = "\n  last answer: ";
    const auto begin = message.find(marker) + marker.size();
    REQUIRE(begin >= marker.size());
    return message.substr(begin, message.find('\n', begin) - begin);
  };
  CHECK(reason("echo begun; echo no response >&2; exit 2") == "exited with 2: no response");
  CHECK(reason("echo word; echo; echo '  '; exit 1") == "exited with 1: word");
  CHECK(reason("exit 3") == "exited with 3");
  CHECK(reason("printf 'a\\033[1mb'; exit 1") == "exited with 1: a\\x1b[1mb");
  CHECK(reason("kill -SEGV $$").starts_with("ended by signal 11 (Segmentation fault)"));
  const auto longer = reason("head -c 5000 /dev/zero | tr '\\0' x; exit 1");
  CHECK(longer == "exited with 1: " + std::string(200, 'x') + " [...]");
}

TEST_CASE("ExecCheck: the whole message of a time-out") {
  const auto start = [](std::chrono::milliseconds budget) {
    mk::Executor{"sleep 300", mk::ExecCheck{mk::Shell{"echo no response; exit 2"}},
                 mk::TimeoutBudget{.start = budget}, mk::Discard{}}
        .start();
  };
  const auto message = test::message_of_timeout(100ms, start, "\n  last answer: exited with 2");
  CHECK(test::timeless(test::timeless(message), "timed out after ") ==
        "timed out after T\n"
        "  command: sleep 300\n"
        "  started at: L\n"
        "  waited for: an exit with 0 of echo no response; exit 2, for T\n"
        "  last answer: exited with 2: no response");
}

TEST_CASE("ExecCheck: a command that cannot be run fails the start at once") {
  const auto message = [](mk::ExecCheck check) {
    mk::Executor service{mk::Command{.argv = "sleep 300", .env = {{"PATH", "/bin"}}},
                         std::move(check), in_time};
    const test::Elapsed elapsed;
    const auto text = message_of<mk::ExecutorError>([&] { service.start(); });
    CHECK(elapsed < 15s);
    CHECK_FALSE(service.running());
    return text;
  };
  const auto missing = message({"no-such-program -q"});
  CHECK(missing.starts_with(
      "it cannot become ready: cannot run no-such-program: no such file or directory\n"));
  CHECK(contains(missing, "looked up in PATH=/bin\n"));
  CHECK(message({mk::Shell{"no-such-program"}})
            .starts_with("it cannot become ready: exited with 127: "));
  CHECK(message({mk::Command{.argv = "true", .cwd = "/no/such"}})
            .starts_with("it cannot become ready: cannot run in the directory /no/such: "));
}

TEST_CASE("ExecCheck: it runs in the surroundings of the service's command") {
  const test::TempDir theirs, own;
  const auto test_for = [&](const std::string& condition, mk::Command command = {.argv = ""}) {
    INFO(condition);
    command.argv = condition;
    command.shell = true;
    mk::Executor service{mk::Command{.argv = "sleep 300",
                                     .cwd = theirs.path(),
                                     .env = {{"A", "theirs"}, {"B", "theirs"}, {"HOME", mk::unset}},
                                     .clean_env = true},
                         mk::ExecCheck{command}, mk::TimeoutBudget{.start = 10s}};
    CHECK(service.start().running());
  };
  test_for("test $(pwd) = " + theirs.path());
  test_for("test $(pwd) = " + own.path(), {.argv = "", .cwd = own.path()});
  test_for("test \"$A $B\" = 'theirs theirs'");
  test_for("test \"$A $B\" = 'own theirs'", {.argv = "", .env = {{"A", "own"}}});
  test_for("test -z \"$A\" && test $B = theirs", {.argv = "", .env = {{"A", mk::unset}}});
  test_for("test -z \"$HOME\"");
}

TEST_CASE("ExecCheck: a run has neither the service's mark nor its NOTIFY_SOCKET") {
  mk::Executor service{
      mk::Command{.argv = "sleep 300",
                  .env = {{"mirakuru_uuid", "theirs"}, {"NOTIFY_SOCKET", "/theirs"}}},
      mk::ExecCheck{
          mk::Shell{"test $mirakuru_uuid != theirs && test \"$NOTIFY_SOCKET\" != /theirs"}},
      in_time};
  CHECK(service.start().running());
}

TEST_CASE("ExecCheck: it runs as the service's user, who may open its output anew") {
  if (::geteuid() != 0) {
    MESSAGE("skipped: it needs root");
    return;
  }
  mk::Executor service{mk::Command{.argv = "sleep 300", .cwd = "/", .user = "nobody"},
                       mk::ExecCheck{mk::Shell{"test $(id -un) = nobody && echo a > /dev/stderr"}},
                       in_time};
  CHECK(service.start().running());
  mk::Executor other{mk::Command{.argv = "sleep 300", .cwd = "/", .user = "nobody"},
                     mk::ExecCheck{mk::Command{
                         .argv = "test $(id -un) = daemon", .user = "daemon", .shell = true}},
                     in_time};
  CHECK(other.start().running());
}

TEST_CASE("ExecCheck: one run at a time, and each pause is as long as the run at least") {
  const test::TempDir directory;
  const auto log = directory / "log";
  mk::Executor service{
      "sleep 300",
      mk::ExecCheck{mk::Shell{"date +%s%N >> " + log + "; sleep 0.06; date +%s%N >> " + log +
                              "; test $(wc -l < " + log + ") -ge 8"}},
      in_time};
  service.start();
  std::istringstream times{test::slurp(log)};
  std::vector<long long> moments;
  for (long long moment; times >> moment;) moments.push_back(moment);
  REQUIRE(moments.size() == 8);
  for (std::size_t run = 1; run < 4; ++run) {
    const auto before = moments[2 * run - 1] - moments[2 * run - 2];
    CHECK(before >= 60'000'000);
    CHECK(moments[2 * run] - moments[2 * run - 1] >= before);
  }
  CHECK(service.timeline().checks.at(0).attempts == 4);
}

TEST_CASE("ExecCheck: the run's end wakes the wait") {
  const mk::ExecCheck check{mk::Shell{"sleep 0.2; exit 1"}};
  const auto begin = now();
  const auto process = process_since(begin);
  const auto probe = check.probe(process);
  CHECK_FALSE(probe->poll(begin));
  int polls = 0;
  for (; probe->pending(); ++polls) {
    REQUIRE(polls < 20);
    mk::WaitSet waits;
    probe->wait(now(), waits);
    CHECK(waits.size() == 1);
    mk::detail::PollLoop{}.wait(waits);
    if (const auto answer = probe->poll(now()); !probe->pending())
      CHECK(answer.reason() == "exited with 1");
  }
  CHECK(now() - begin >= 200ms);
  CHECK(polls <= 4);
  // Nothing runs during the pause, whoever polls.
  mk::WaitSet pause;
  probe->wait(now(), pause);
  CHECK(pause.size() == 0);
  CHECK(pause.deadline() >= begin + 400ms);
  CHECK_FALSE(probe->poll(pause.deadline() - 1ns));
  CHECK_FALSE(probe->pending());
  CHECK_FALSE(probe->poll(pause.deadline()));
  CHECK(probe->pending());
}

TEST_CASE("ExecCheck: a run that hangs is killed at its own limit, and the next one may pass") {
  const Hanging hanging;
  mk::Executor service{"sleep 300",
                       mk::ExecCheck{.command = mk::Shell{"test -e " + hanging.path() +
                                                          " && exit; " + hanging.command().line},
                                     .within = 300ms},
                       in_time};
  CHECK(service.start().running());
  CHECK(hanging.left() == 0);
  CHECK(service.timeline().checks.at(0).attempts >= 2);  // a busy machine may need more

  std::string reason;
  for (auto within = 300ms; within < 10s && !reason.ends_with(": hanging"); within *= 2) {
    const mk::ExecCheck check{.command = hanging.command(), .within = within};
    const auto begin = now();
    const auto process = process_since(begin);
    const auto probe = check.probe(process);
    (void)probe->poll(begin);
    while (probe->pending()) {
      wait_once(*probe);
      reason = probe->poll(now()).reason();
    }
    CHECK(now() - begin >= within);
  }
  CAPTURE(reason);
  CHECK(reason.starts_with("no exit within "));
  CHECK(reason.ends_with(": hanging"));
}

TEST_CASE("ExecCheck: a run that prints for ever does not fill the disk") {
  mk::Executor service{"sleep 300", mk::ExecCheck{"yes"}, mk::TimeoutBudget{.start = 3s}};
  CHECK(contains(message_of<mk::TimeoutExpired>([&] { service.start(); }),
                 "last answer: ended by signal 25 (File size limit exceeded): y\n"));
}

TEST_CASE("ExecCheck: processes that a run leaves behind are killed before it counts") {
  const Hanging hanging;
  auto line = hanging.command().line;
  line.replace(line.rfind("wait"), 4, "exit 0");
  mk::Executor service{"sleep 300", mk::ExecCheck{mk::Shell{line}}, in_time};
  CHECK(service.start().running());
  const auto pids = hanging.left();
  CHECK(pids == 0);
}

TEST_CASE("ExecCheck: nothing is left when the probe goes, or the service ends") {
  const Hanging first, second, third;
  {
    const mk::ExecCheck check{first.command()};
    const auto process = process_since(now());
    const auto probe = check.probe(process);
    (void)probe->poll(now());
    CHECK(test::eventually([&] { return first.has_begun(); }));
    CHECK(first.left() == 3);
  }
  CHECK(first.left() == 0);

  const auto wait_for = [](const Hanging& hanging) {
    return "while ! test -e " + hanging.path() + "; do sleep 0.01; done";
  };
  mk::Executor ends{mk::Shell{wait_for(second) + "; exit 5"}, mk::ExecCheck{second.command()},
                    in_time};
  CHECK_THROWS_AS(ends.start(), mk::ProcessExitedWithError);
  CHECK(second.left() == 0);

  mk::Executor arm{"sleep 300",
                   mk::AnyOf{mk::ExecCheck{third.command()},
                             [&](const mk::Process&) { return third.has_begun(); }},
                   in_time};
  CHECK(arm.start().running());
  CHECK(third.left() == 0);
}

TEST_CASE("ExecCheck: an exception of another check ends the run, too") {
  const Hanging hanging;
  mk::Executor service{"sleep 300",
                       mk::AllOf{mk::ExecCheck{hanging.command()},
                                 [&](const mk::Process&) {
                                   if (hanging.has_begun()) throw std::runtime_error{"mine"};
                                   return false;
                                 }},
                       in_time};
  CHECK_THROWS_AS(service.start(), mk::ExecutorError);
  CHECK(hanging.left() == 0);
}

TEST_CASE("ExecCheck: the owner's death ends the run") {
  const Hanging hanging;
  const pid_t owner = ::fork();
  if (owner == 0) {
    try {
      mk::Executor service{"sleep 300", mk::ExecCheck{hanging.command()}, in_time};
      service.start();
    } catch (...) {
    }
    ::_exit(1);
  }
  REQUIRE(owner > 0);
  CHECK(test::eventually([&] { return hanging.has_begun(); }, 20s));
  CHECK(hanging.left() == 3);
  ::kill(owner, SIGKILL);
  ::waitpid(owner, nullptr, 0);
  CHECK(test::eventually([&] { return hanging.left() == 0; }, 20s));
}

TEST_CASE("ExecCheck: the deadline holds in each composed check") {
  const auto check_deadline = [](auto make) {
    const Hanging hanging;
    const auto start = [&](std::chrono::milliseconds budget) {
      const test::Elapsed elapsed;
      try {
        mk::Executor{"sleep 300", make(mk::ExecCheck{hanging.command()}, budget),
                     mk::TimeoutBudget{.start = budget}}
            .start();
      } catch (...) {
        CHECK(elapsed >= budget / 2);
        CHECK(elapsed < budget + 5s);
        if (hanging.has_begun()) CHECK(hanging.left() == 0);
        throw;
      }
    };
    const auto message = test::message_of_timeout(1s, start, ": hanging");
    CHECK(contains(message, "no exit within "));
  };
  using Check = mk::ExecCheck;
  check_deadline([](Check check, auto) { return check; });
  check_deadline([](Check check, auto) { return mk::AnyOf{mk::BannerCheck{"never"}, check}; });
  check_deadline([](Check check, auto) { return mk::AllOf{mk::ExecCheck{"true"}, check}; });
  check_deadline([](Check check, auto) { return mk::StableFor{50ms, check}; });
  check_deadline([](Check check, auto budget) { return mk::Within{budget * 4 / 5, check}; });
}

TEST_CASE("ExecCheck: it stays ready in StableFor, each look is a run") {
  mk::Executor service{"sleep 300", mk::StableFor{100ms, mk::ExecCheck{"true"}}, in_time};
  const test::Elapsed elapsed;
  CHECK(service.start().running());
  CHECK(elapsed >= 100ms);
}

TEST_CASE("ExecCheck: in FailsOn an exit with 0 fails the start, and a missing program does") {
  const test::TempDir directory;
  const auto path = directory / "broken";
  mk::Executor service{mk::Shell{"sleep 0.05; : > " + path + "; exec sleep 300"},
                       mk::BannerCheck{"never"}, mk::FailsOn{mk::ExecCheck{{"test", "-e", path}}},
                       in_time};
  CHECK(message_of<mk::ExecutorError>([&] {
          service.start();
        }).starts_with("it fails on an exit with 0 of test -e " + path + '\n'));
  CHECK_FALSE(service.running());
  mk::Executor missing{"sleep 300", mk::BannerCheck{"never"},
                       mk::FailsOn{mk::ExecCheck{"no-such-program"}}, in_time};
  CHECK(message_of<mk::ExecutorError>([&] {
          missing.start();
        }).starts_with("it cannot become ready: cannot run no-such-program: "));
  CHECK_FALSE(missing.running());
  // The watcher's run ends with the start.
  const Hanging hanging;
  mk::Executor good{"sleep 300", [&](const mk::Process&) { return hanging.has_begun(); },
                    mk::FailsOn{mk::ExecCheck{hanging.command()}}, in_time};
  CHECK(good.start().running());
  CHECK(hanging.left() == 0);
}

TEST_CASE("ExecCheck: in wait_for(), again and again") {
  const test::TempDir directory;
  const auto path = directory / "there";
  mk::Executor service{mk::Shell{"sleep 0.1; : > " + path + "; exec sleep 300"}};
  service.start();
  for (int i = 0; i < 2; ++i)
    CHECK(service.wait_for(mk::ExecCheck{{"test", "-e", path}}, 30s).running());
  const Hanging hanging;
  for (auto limit = 500ms; limit < 10s && !hanging.has_begun(); limit *= 2)
    CHECK_THROWS_AS(service.start().wait_for(mk::ExecCheck{hanging.command()}, limit),
                    mk::TimeoutExpired);
  CHECK(hanging.left() == 0);
}

TEST_CASE("ExecCheck: async_start takes it, and its cancellation ends the run") {
  asio::io_context context;
  const Hanging hanging;
  mk::Executor service{"sleep 300", mk::ExecCheck{hanging.command()}, in_time};
  asio::cancellation_signal signal;
  std::exception_ptr error;
  bool done = false;
  service.async_start(asio::bind_cancellation_slot(
      signal.slot(), asio::bind_executor(context, [&](std::exception_ptr thrown) {
        error = thrown;
        done = true;
      })));
  const test::Elapsed elapsed;
  while (!hanging.has_begun() && elapsed < 20s) context.run_for(10ms);
  REQUIRE(hanging.has_begun());
  CHECK_FALSE(done);
  signal.emit(asio::cancellation_type::terminal);
  context.run();
  CHECK(done);
  CHECK(error);
  CHECK(hanging.left() == 0);
  CHECK_FALSE(service.running());

  mk::Executor ready{"sleep 300", mk::ExecCheck{"true"}, in_time};
  context.restart();
  auto future = ready.async_start(asio::bind_executor(context, asio::use_future));
  context.run();
  future.get();
  CHECK(ready.running());
}

TEST_CASE("ExecCheck: it keeps no descriptor and no process") {
  mk::Executor warm{"sleep 300", mk::ExecCheck{"true"}, in_time};
  warm.start().stop();
  const auto before = test::open_fds();
  const auto children = test::children_of(::getpid());
  for (int i = 0; i < 3; ++i) {
    mk::Executor service{"sleep 300", mk::ExecCheck{"true"}, in_time};
    service.start().stop();
  }
  CHECK(test::open_fds() == before);
  CHECK(test::children_of(::getpid()) == children);
}

TEST_CASE("ExecCheck: it keeps the laws of a check") {
  const test::TempDir directory;
  const auto path = "'" + (directory / "there") + "'";
  const mk::Shell service{"trap 'rm " + path + "; exit' TERM; : > " + path +
                          "; while :; do sleep 0.05; done"};
  CHECK(mk::laws::check_check(mk::ExecCheck{mk::Shell{"test -e " + path}}, service) ==
        mk::laws::Broken{});
}

TEST_CASE("ExecCheck: pg_isready tells of a server that is not there") {
  const test::Port port;
  mk::Executor service{"sleep 300",
                       mk::ExecCheck{{"pg_isready", "-h", "127.0.0.1", "-p", port.number()}},
                       mk::TimeoutBudget{.start = 2s}};
  const auto message = message_of<mk::ExecutorError>([&] { service.start(); });
  if (contains(message, "cannot run pg_isready")) {
    MESSAGE("skipped: pg_isready is not installed");
    return;
  }
  CHECK(contains(message,
                 "\n  last answer: exited with 2: 127.0.0.1:" + port.str() + " - no response"));
}

TEST_CASE("ExecCheck: redis-cli waits for Redis") {
  const test::Port port;
  const test::TempDir directory;
  mk::Executor redis{test::redis_server(port.str(), directory.path()),
                     mk::ExecCheck{{"redis-cli", "-e", "-p", port.number(), "ping"}},
                     mk::TimeoutBudget{.start = 20s}};
  if (!test::starts_if_installed(redis)) return;
  CHECK(test::connects("127.0.0.1", port.number()));
}
