// SPDX-License-Identifier: BSL-1.0
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include <algorithm>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <string>
#include <system_error>
#include <vector>

#include <doctest/doctest.h>

#include <mirakuru.hpp>
#include <mirakuru/net/endpoint.hpp>
#include <mirakuru/net/rendezvous.hpp>

#include "child.hpp"
#include "errors.hpp"
#include "files.hpp"
#include "net.hpp"
#include "process.hpp"
#include "programs.hpp"
#include "time.hpp"
#include "words.hpp"

namespace mk = mirakuru;
using namespace std::chrono_literals;
using test::Program;
using test::Wire;
using Strings = std::vector<std::string>;

namespace {

/// A service that says "ready" after `delay`, and its programs.
struct Service {
  std::string mark = test::mark();
  std::string port = test::Port{}.str();
  std::chrono::milliseconds linger = 300ms;
  std::string name = "test " + mark;

  Strings words(const std::string& delay = "0") const {
    return test::helper("listen", "127.0.0.1", port, "say=ready\\n", "delay=" + delay, mark);
  }
  mk::Shared shared() const { return {.name = name, .linger = linger}; }
  auto executor(const std::string& delay = "0") const {
    return mk::Executor{words(delay), mk::TCPCheck{"127.0.0.1", std::stoi(port)}, shared()};
  }
  int count() const { return test::commands_matching(mark); }
  bool all_gone(std::chrono::milliseconds limit = 5s) const {
    return test::eventually([&] { return test::processes_matching(mark) == 0; }, limit);
  }
  /// A program that joins or starts it, says the leader, waits for a word, and stops.
  Program program(const std::string& delay = "0") const {
    return Program{[=, *this](const Wire& wire) {
      auto service = executor(delay);
      service.start();
      wire.say(std::to_string(service.pid()));
      wire.hear();
      service.stop();
    }};
  }
};

pid_t guardian_of(pid_t leader) { return test::parent_of(leader); }

}  // namespace

TEST_CASE("Shared: one program starts the service, the others join it") {
  const Service service;
  auto first = service.program();
  const auto leader = first.hear();
  REQUIRE(std::atoi(leader.c_str()) > 0);
  auto second = service.program(), third = service.program();
  CHECK(second.hear() == leader);
  CHECK(third.hear() == leader);
  CHECK(service.count() == 1);
  CHECK(first.end() == 0);
  CHECK(third.end() == 0);
  CHECK(test::alive(std::atoi(leader.c_str())));
  CHECK(second.end() == 0);
  CHECK(service.all_gone());
}

TEST_CASE("Shared: programs that begin at once share one start") {
  const Service service;
  std::vector<Program> programs;
  for (int i = 0; i < 8; ++i) programs.push_back(service.program("200"));
  const auto leader = programs.front().hear();
  CHECK(std::atoi(leader.c_str()) > 0);
  for (std::size_t i = 1; i < programs.size(); ++i) CHECK(programs[i].hear() == leader);
  CHECK(service.count() == 1);
  for (auto& program : programs) CHECK(program.end() == 0);
  CHECK(service.all_gone());
}

TEST_CASE("Shared: the service outlives its starter, and lives on for the linger time") {
  bool listens = false;
  std::chrono::nanoseconds late = 1h;
  // A busy machine may be late itself.
  for (auto linger = 400ms; linger < 5s && !(listens && late < 1s); linger *= 2) {
    Service service;
    service.linger = linger;
    auto first = service.program();
    const auto leader = first.hear();
    auto second = service.program();
    CHECK(second.hear() == leader);
    first.kill();
    auto third = service.program();
    CHECK(third.hear() == leader);
    third.kill();
    const test::Elapsed since;
    CHECK(second.end() == 0);
    listens = test::connects("127.0.0.1", std::stoi(service.port));
    CHECK(service.all_gone(linger + 5s));
    CHECK(since >= linger);
    late = since.time() - linger;
  }
  CHECK(listens);
  CHECK(late < 1s);
}

TEST_CASE("Shared: a newcomer within the linger time keeps the service") {
  bool kept = false;
  // A newcomer may be late on a busy machine.
  for (auto linger = 500ms; linger < 5s && !kept; linger *= 2) {
    Service service;
    service.linger = linger;
    auto first = service.program();
    const auto leader = first.hear();
    CHECK(first.end() == 0);
    auto second = service.program();
    kept = second.hear() == leader;
    CHECK_FALSE(test::eventually([&] { return service.count() == 0; }, linger + 200ms));
    CHECK(second.end() == 0);
    CHECK(service.all_gone(linger + 5s));
  }
  CHECK(kept);
}

TEST_CASE("Shared: a newcomer during the end waits for it, and starts the service anew") {
  Service service;
  service.linger = 0ms;
  const test::TempDir directory;
  const auto ends = directory / "ends";
  const Strings words{"sh", "-c",
                      "trap 'touch " + ends + "; sleep 0.5; exit 0' TERM; echo ready; " +
                          "while :; do sleep 0.01; done # " + service.mark};
  const auto program = [&] {
    return Program{[&](const Wire& wire) {
      mk::Executor shared{words, mk::BannerCheck{"ready"}, service.shared()};
      shared.start();
      wire.say(std::to_string(shared.pid()));
      wire.hear();
    }};
  };
  auto first = program();
  const auto leader = std::atoi(first.hear().c_str());
  first.kill();
  REQUIRE(test::eventually([&] { return test::exists(ends); }));
  auto second = program();
  const auto next = std::atoi(second.hear().c_str());
  CHECK(next > 0);
  CHECK(next != leader);
  CHECK_FALSE(test::alive(leader));
  CHECK(test::eventually([&] { return service.count() == 1; }));  // /proc tells it a moment later
  second.kill();
  CHECK(service.all_gone());
}

TEST_CASE("Shared: a starter that is killed during the start is followed by another one") {
  const Service service;
  auto first = service.program("1500");
  REQUIRE(test::eventually([&] { return service.count() == 1; }));
  auto second = service.program("1500"), third = service.program("1500");
  CHECK_FALSE(test::eventually([&] { return service.count() > 1; }, 200ms));
  first.kill();
  const auto leader = second.hear();
  CHECK(std::atoi(leader.c_str()) > 0);
  CHECK(third.hear() == leader);
  CHECK(service.count() == 1);
  CHECK(second.end() == 0);
  CHECK(third.end() == 0);
  CHECK(service.all_gone());
}

TEST_CASE("Shared: a fork of the dead starter does not hold up those that wait") {
  const Service service;
  auto first = Program{[&](const Wire& wire) {
    const auto fork_and_wait = [&](const mk::Process&) {
      const pid_t child = ::fork();
      if (child == 0) ::alarm(60);
      if (child != 0) wire.say(std::to_string(child));
      while (::pause() != 0) {
      }
      return true;
    };
    mk::Executor{service.words(), fork_and_wait, service.shared()}.start();
  }};
  const auto child = std::atoi(first.hear().c_str());
  REQUIRE(child > 0);
  auto second = Program{[&](const Wire& wire) {
    mk::Executor shared{service.words(), service.shared()};
    shared.start();
    wire.say(std::to_string(shared.pid()));
    wire.hear();
  }};
  CHECK_FALSE(test::eventually([&] { return service.count() > 1; }, 200ms));
  first.kill();
  CHECK(std::atoi(second.hear().c_str()) > 0);
  CHECK(second.end() == 0);
  ::kill(child, SIGKILL);
  CHECK(service.all_gone());
}

TEST_CASE("Shared: the starter's failure is the error of all that wait, with its whole message") {
  const std::string note = "\n  note: another program has tried to start the shared service '";
  std::string second_hears;
  // Those that come after the failure start it themselves: a busy machine may need more time.
  for (int after = 700; after < 10'000 && !test::contains(second_hears, note); after *= 3) {
    const Service service;
    const auto words = test::helper("exit", "3", "after=" + std::to_string(after),
                                    "err=no luck today\\n", service.mark);
    const auto program = [&] {
      return Program{[&](const Wire& wire) {
        mk::Executor shared{words, mk::BannerCheck{"never"}, service.shared()};
        try {
          shared.start();
        } catch (const mk::ProcessExitedWithError& error) {
          wire.say(std::to_string(error.exit_code()) + ' ' + error.what());
        }
      }};
    };
    auto first = program();
    REQUIRE(test::eventually([&] { return service.count() == 1; }));
    auto second = program(), third = program();
    const auto own = first.hear();
    CHECK(own.starts_with("3 exited with a non-zero code: 3 before it was ready"));
    CHECK(test::contains(own, "no luck today"));
    const auto expected = own + note + service.name + '\'';
    second_hears = second.hear();
    const auto third_hears = third.hear();
    if (test::contains(second_hears, note) && test::contains(third_hears, note)) {
      CHECK(second_hears == expected);
      CHECK(third_hears == expected);
    } else {
      second_hears.clear();
    }
    CHECK(service.all_gone());
  }
  CHECK(test::contains(second_hears, note));
}

TEST_CASE("Shared: errors before the spawn reach those that wait, with their types") {
  const Service service;
  const auto program = [&](auto check, auto words) {
    return Program{[=, &service](const Wire& wire) {
      mk::Executor shared{words, check, service.shared()};
      try {
        shared.start();
      } catch (const mk::SpawnError& error) {
        wire.say("spawn " + std::to_string(error.code().value()));
      } catch (const mk::AlreadyRunning&) {
        wire.say("running");
      } catch (const mk::TimeoutExpired& error) {
        wire.say("timeout " + std::to_string(error.timeout() / 1s));
      }
    }};
  };
  // The check takes a while before the spawn, so that the second one waits.
  struct Slow {
    bool holds;
    bool already_true() const {
      test::eventually([] { return false; }, test::milliseconds{500});
      return holds;
    }
    bool operator()() const { return true; }
    bool operator()(const mk::Process&) const { return true; }
    std::string describe() const { return "slow"; }
  };
  for (const bool holds : {true, false}) {
    const Strings none{"/there/is/no/such/program"};
    auto first = program(Slow{holds}, none), second = program(Slow{holds}, none);
    const auto expected = holds ? "running" : "spawn 2";
    CHECK(first.hear() == expected);
    CHECK(second.hear() == expected);
  }
}

TEST_CASE("Shared: another command or policy under the same name is an error that says so") {
  const Service service;
  auto first = service.program();
  REQUIRE(std::atoi(first.hear().c_str()) > 0);
  const auto error_of = [&](auto&& executor) {
    return test::message_of<mk::ExecutorError>([&] { executor.start(); });
  };
  const mk::TCPCheck check{"127.0.0.1", std::stoi(service.port)};
  const auto called = "the shared service '" + service.name + "' ";
  const auto other = error_of(mk::Executor{test::helper("sleep", "1"), check, service.shared()});
  CHECK(other.starts_with(called + "runs another command: "));
  CHECK(test::contains(other, service.mark + "; this program wants "));
  CHECK(test::contains(other, "sleep 1"));
  CHECK(error_of(
            mk::Executor{service.words(), check, service.shared(), mk::TimeoutBudget{.stop = 7s}})
            .starts_with(called + "has another stop budget: 10 s; this program wants 7 s"));
  CHECK(error_of(mk::Executor{service.words(), service.shared()})
            .starts_with(called + "has another check: "));
  CHECK(error_of(mk::Executor{mk::Command{.argv = service.words(), .env = {{"A", "1"}}}, check,
                              service.shared()})
            .starts_with(called + "has another variable A: (none); this program wants =1"));
  CHECK(error_of(mk::Executor{service.words(), check, service.shared(), mk::Discard{}})
            .starts_with(called + "has another output: kept; this program wants not kept"));
  CHECK(error_of(mk::Executor{service.words(), check, service.shared(), mk::InputText{"a"}})
            .starts_with(called + "has another input: held open; this program wants a"));
  CHECK(error_of(mk::Executor{service.words(), check, service.shared(),
                              mk::FailsOn{mk::BannerCheck{"FATAL"}}})
            .starts_with(called + "has another failure: (none); this program wants "));
  const auto strategy = called + "has another signal strategy: 15 for ";
  CHECK(error_of(mk::Executor{service.words(), check, service.shared(), mk::StopByInput{}})
            .starts_with(strategy));
  CHECK(error_of(mk::Executor{service.words(), check, service.shared(),
                              mk::Signals{.scope = mk::Scope::leader}})
            .starts_with(strategy));
  CHECK(
      error_of(mk::Executor{service.words(), check, mk::Shared{.name = service.name, .linger = 7s}})
          .starts_with(called + "has another linger time: 300 ms; this program wants 7 s"));
  CHECK(first.end() == 0);
  CHECK(service.all_gone());
}

TEST_CASE("Shared: values that are published may differ, and the starter's are for all") {
  const Service service;
  const auto program = [&](const std::string& port, int number) {
    return Program{[=, &service](const Wire& wire) {
      mk::Executor shared{
          test::helper("listen", "127.0.0.1", port, service.mark),
          mk::TCPCheck{"127.0.0.1", std::stoi(port)},
          mk::Shared{
              .name = service.name, .linger = 0s, .publish = {{"port", port}, {"number", number}}}};
      CHECK_THROWS_AS((void)shared.published("port"), mk::ExecutorError);
      shared.start();
      wire.say(shared.published("port") + ' ' + shared.published("number") + ' ' +
               std::to_string(shared.port()));
      try {
        (void)shared.published("host");
      } catch (const mk::ExecutorError& error) {
        wire.say(error.what());
      }
      wire.hear();
    }};
  };
  auto first = program(service.port, 42);
  const auto expected = service.port + " 42 " + service.port;
  CHECK(first.hear() == expected);
  auto second = program(test::Port{}.str(), 10);  // so is the stop budget
  CHECK(second.hear() == expected);
  CHECK(second.hear().starts_with("it publishes no 'host'; it publishes number, port\n"));
  CHECK(first.end() == 0);
  CHECK(second.end() == 0);
  CHECK(service.all_gone());
}

TEST_CASE("Shared: a joiner reads the same output, and sees the end and the exit code") {
  const Service service;
  const test::TempDir directory;
  const auto file = directory / "go";
  const auto script = "echo to err >&2; echo ready; until [ -e '" + file +
                      "' ]; do sleep 0.01; done; echo late; exit 7 # " + service.mark;
  const auto program = [&] {
    return Program{[&](const Wire& wire) {
      mk::Executor shared{mk::Shell{script}, mk::BannerCheck{"ready"}, service.shared()};
      shared.start();
      wire.say(shared.output() + shared.err_output());
      wire.say(shared.running() && !shared.exit_code() ? "runs" : "ended");
      wire.hear();
      shared.wait(10s);
      wire.say(std::to_string(shared.exit_code().value_or(0)) + ' ' + shared.output());
      wire.say(test::message_of<mk::ProcessExitedWithError>([&] { shared.check_alive(); }));
      shared.kill();
      wire.say(shared.running() ? "runs" : "gone");
    }};
  };
  auto first = program();
  CHECK(first.hear() == "ready\nto err\n");
  auto second = program();
  CHECK(second.hear() == "ready\nto err\n");
  for (auto* one : {&first, &second}) {
    CHECK(one->hear() == "runs");
    one->say("wait");
  }
  {
    const mk::detail::UniqueFd go{::open(file.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0644)};
  }
  for (auto* one : {&first, &second}) {
    CHECK(one->hear() == "7 ready\nlate\n");
    CHECK(one->hear().starts_with("exited with a non-zero code: 7 while the test needed it"));
    CHECK(one->hear() == "gone");
  }
  CHECK(service.all_gone());
}

TEST_CASE("Shared: one that joins after the leader's end knows the exit code") {
  const Service service;
  const auto program = [&] {
    return Program{[&](const Wire& wire) {
      mk::Executor shared{mk::Shell{"sleep 50000 & echo ready; exit 0 # " + service.mark},
                          mk::BannerCheck{"ready"}, service.shared()};
      shared.start();
      shared.wait(10s);
      wire.say(std::to_string(shared.exit_code().value_or(-1)) +
               (shared.running() ? " runs" : " has ended"));
      wire.hear();
    }};
  };
  auto first = program();
  CHECK(first.hear() == "0 runs");
  auto second = program();
  CHECK(second.hear() == "0 runs");
  CHECK(first.end() == 0);
  CHECK(second.end() == 0);
  CHECK(service.all_gone());
}

TEST_CASE("Shared: a stop that ends by input or command leaves, and the guardian ends it") {
  Service service;
  service.linger = 200ms;
  const auto program = [&] {
    return Program{[&](const Wire& wire) {
      mk::Executor shared{mk::Shell{"echo ready; cat; echo done # " + service.mark},
                          mk::BannerCheck{"ready"}, mk::StopByInput{.wait = 5s}, service.shared()};
      shared.start();
      wire.say(shared.output());
      wire.hear();
      shared.stop();
      wire.say("left");
    }};
  };
  auto first = program(), second = program();
  CHECK(first.hear() == "ready\n");
  CHECK(second.hear() == "ready\n");
  first.say("stop");
  CHECK(first.hear() == "left");
  CHECK(first.wait() == 0);
  CHECK_FALSE(test::eventually([&] { return service.count() == 0; }, 400ms));
  second.say("stop");
  CHECK(second.hear() == "left");
  CHECK(service.all_gone(3s));  // by the end of its input, not by the signal after 5 s
}

TEST_CASE("Shared: nothing of the programs stays open in the service and its guardian") {
  Service service;
  service.linger = 4s;  // all looks come within it
  auto runner = mk::detail::make_pipe();
  REQUIRE(::fcntl(runner.writing.get(), F_SETFD, 0) == 0);  // as a runner's pipe
  auto first = Program{[&](const Wire& wire) {
    ::dup2(runner.writing.get(), 1);
    ::dup2(runner.writing.get(), 2);
    auto shared = service.executor();
    shared.start();
    wire.say(std::to_string(shared.pid()));
    wire.hear();
  }};
  const auto leader = std::atoi(first.hear().c_str());
  REQUIRE(leader > 0);
  auto second = service.program();
  CHECK(std::atoi(second.hear().c_str()) == leader);
  CHECK(first.end() == 0);
  runner.writing.reset();
  CHECK(second.end() == 0);
  char byte;
  CHECK(::read(runner.reading.get(), &byte, 1) == 0);  // the pipe has no writer, and the tree lives
  CHECK(test::alive(leader));
  const auto guardian = guardian_of(leader);
  CHECK(std::filesystem::read_symlink("/proc/" + std::to_string(guardian) + "/cwd") == "/");
  const auto count = [&](const std::string& kind) {
    int found = 0;
    const auto directory = "/proc/" + std::to_string(guardian) + "/fd";
    std::error_code closed_since;
    for (const auto& entry : std::filesystem::directory_iterator{directory})
      found += std::filesystem::read_symlink(entry.path(), closed_since).string().starts_with(kind);
    return found;
  };
  // The listener, and the channel to the owner.
  CHECK(test::eventually([&] { return count("socket:") == 2; }));
  CHECK(count("/") == 2);      // the output
  CHECK(count("pipe:") == 1);  // the service's input
  ::kill(leader, SIGKILL);
  CHECK(service.all_gone());
}

TEST_CASE("Shared: a program may leave, and join again") {
  Service service;
  service.linger = 1s;
  auto shared = service.executor();
  shared.start();
  const auto leader = shared.pid();
  CHECK(shared.start().pid() == leader);
  shared.stop();
  CHECK_FALSE(shared.running());
  CHECK(shared.pid() == 0);
  CHECK_FALSE(shared.exit_code());
  shared.start();
  CHECK(shared.pid() == leader);
  shared.stop();
  CHECK(service.all_gone());
  shared.start();
  CHECK(shared.pid() != leader);
  shared.kill();
  CHECK(service.all_gone());
}

TEST_CASE("Shared: executors of one program share in start_all, and a fork does nothing") {
  const Service service;
  auto one = service.executor(), two = service.executor();
  mk::start_all(one, two);
  CHECK(one.pid() == two.pid());
  CHECK(test::in_child([&] {
          const bool none = !one.running() && !two.running();
          one.stop();
          two.stop();
          return none;
        }) == 0);
  CHECK_FALSE(test::eventually([&] { return service.count() == 0; }, 600ms));
  CHECK(one.running());
  CHECK(two.running());
  CHECK(test::message_of<mk::ExecutorError>([&] {
          one.pause();
        }).starts_with("its processes cannot be paused"));
  mk::stop_all(one, two);
  CHECK(service.all_gone());
}

TEST_CASE("Shared: a service whose leader is killed is ended, and the next start is a new one") {
  const Service service;
  auto first = service.program();
  const auto leader = std::atoi(first.hear().c_str());
  REQUIRE(leader > 0);
  auto joined = service.executor();
  joined.start();
  ::kill(leader, SIGKILL);
  CHECK(test::eventually([&] { return !joined.running(); }));
  CHECK(joined.exit_code() == -SIGKILL);
  CHECK_THROWS_AS(joined.stop(), mk::ProcessFinishedWithError);
  joined.start();
  CHECK(joined.pid() != leader);
  joined.stop();
  CHECK(first.end() == 1);  // its stop() tells the end, too
  CHECK(service.all_gone());
}

TEST_CASE("Shared: any program that has joined ends the tree of a killed guardian") {
  const Service service;
  // The kernel ends the leader along with the guardian, and nobody else.
  const auto program = [&](const std::string& way) {
    return Program{[&, way](const Wire& wire) {
      mk::Executor shared{
          test::helper("escape", service.mark, "daemon+ignore", "session", "daemon+clean", "stop"),
          mk::BannerCheck{"ready"}, mk::TimeoutBudget{.stop = 100ms}, service.shared()};
      shared.start();
      wire.say(std::to_string(shared.pid()));
      wire.hear();
      if (way == "ends") return;
      if (way == "looks") wire.say(shared.running() ? "lives" : "gone");
      if (way == "joins") wire.say(std::to_string(shared.start().pid()));
      wire.hear();
    }};
  };
  for (const std::string way : {"looks", "ends", "joins"}) {
    auto first = program(""), second = program(way);
    const auto leader = first.hear();
    REQUIRE(std::atoi(leader.c_str()) > 0);
    REQUIRE(second.hear() == leader);
    // All that the command starts is there.
    REQUIRE(test::eventually([&] { return service.count() >= 4; }));
    first.kill();
    ::kill(guardian_of(std::atoi(leader.c_str())), SIGKILL);
    CHECK_FALSE(test::eventually([&] { return service.count() == 0; }, 100ms));
    second.say("go on");
    if (way == "joins") {
      const auto next = second.hear();
      CHECK(std::atoi(next.c_str()) > 0);
      CHECK(next != leader);
      CHECK(second.end() == 0);
    } else if (way == "looks") {
      CHECK(second.hear() == "gone");
      CHECK(service.count() == 0);
    } else {
      CHECK(second.wait() == 0);
      CHECK(service.count() == 0);
    }
    CHECK(service.all_gone());
  }
}

TEST_CASE(
    "Shared: a guardian that is killed after its starter has left leaves nothing to a start") {
  Service service;
  service.linger = 20s;
  const auto make = [&] {
    return mk::Executor{test::helper("escape", service.mark, "daemon+ignore", "daemon+clean"),
                        mk::BannerCheck{"ready"}, mk::TimeoutBudget{.stop = 100ms},
                        service.shared()};
  };
  auto shared = make();
  shared.start();
  const auto leader = shared.pid(), guardian = guardian_of(leader);
  REQUIRE(test::eventually([&] { return service.count() >= 3; }));
  shared.stop();
  ::kill(guardian, SIGKILL);
  CHECK(test::eventually([&] { return !test::alive(guardian); }));
  CHECK(service.count() > 0);
  mk::Executor other{test::helper("sleep", "50000"), mk::Shared{.name = "another " + service.mark}};
  other.start();
  CHECK(service.count() == 0);
  other.kill();
  shared.start();
  CHECK(shared.pid() != leader);
  ::kill(shared.pid(), SIGKILL);
  CHECK(service.all_gone());
}

TEST_CASE("Shared: a stop tells the leader's bad end, also while the rest of the tree lives") {
  const Service service;
  mk::Executor shared{
      mk::Shell{"(trap '' TERM; echo ready; while :; do sleep 0.05; done) & sleep 0.5; exit 3 # " +
                service.mark},
      mk::BannerCheck{"ready"}, mk::TimeoutBudget{.stop = 3s}, service.shared()};
  shared.start();
  shared.wait(10s);
  REQUIRE(shared.running());
  CHECK(test::message_of<mk::ProcessFinishedWithError>([&] {
          shared.stop();
        }).starts_with("exited with a non-zero code: 3"));
  CHECK(test::processes_matching(service.mark) > 0);  // it has not waited for it
  CHECK(service.all_gone());
}

// UBSan asks a pipe whether memory can be read, and there is no descriptor left for one.
TEST_CASE("Shared: a program without descriptors for the output cannot join, and says so" *
          doctest::skip(test::sanitized)) {
  const Service service;
  auto first = service.program();
  REQUIRE(std::atoi(first.hear().c_str()) > 0);
  auto second = Program{[&](const Wire& wire) {
    auto shared = service.executor();
    const rlimit few{64, 64};
    ::setrlimit(RLIMIT_NOFILE, &few);
    int last = 0, before = 0;
    for (int fd = 0; (fd = ::dup(0)) >= 0; last = fd) before = last;
    ::close(last);  // two are left: one for the connection
    ::close(before);
    const auto message = test::message_of<mk::ExecutorError>([&] { shared.start(); });
    wire.say(message.substr(0, message.find('\n')));
  }};
  CHECK(second.hear() ==
        "the shared service '" + service.name + "' cannot be found: recvmsg: Too many open files");
  CHECK(first.end() == 0);
  CHECK(service.all_gone());
}

TEST_CASE("Shared: a wrong argument is refused") {
  const auto refusal = [](mk::Shared shared) {
    return test::refusal([&] { mk::Executor executor{"true", shared}; });
  };
  CHECK(refusal({.name = ""}) == "the name of a shared service is empty");
  CHECK(refusal({.name = "a", .linger = -1s}) == "the linger time is negative");
  CHECK(refusal({.name = "a", .publish = {{"b", std::string(70'000, 'c')}}}) ==
        "a shared service publishes more than 60 KB");
}

TEST_CASE("Shared: a scope of its own is a service of its own") {
  const Service service;
  auto one = service.executor();
  mk::Executor two{test::helper("sleep", "50000", service.mark),
                   mk::Shared{.name = service.name, .scope = "elsewhere", .linger = 0s}};
  one.start();
  two.start();
  CHECK(one.pid() != two.pid());
  one.stop();
  two.stop();
  CHECK(service.all_gone());
}

TEST_CASE("Shared: another user neither joins nor blocks" * doctest::skip(::geteuid() != 0)) {
  const Service service;
  auto first = service.program();
  const auto leader = first.hear();
  // The other user has a service of its own by the same name, and cannot connect to ours.
  const auto port = test::Port{}.str();
  auto other = Program{[&](const Wire& wire) {
    if (!test::become_nobody()) throw std::runtime_error{"cannot become another user"};
    mk::Executor shared{Strings{"sleep", "50"}, service.shared()};
    shared.start();
    wire.say(std::to_string(shared.pid()));
    wire.hear();
  }};
  const auto its = other.hear();
  CHECK(std::atoi(its.c_str()) > 0);
  CHECK(its != leader);
  // It connects to our address itself, and is turned away without a greeting.
  auto intruder = Program{[&](const Wire& wire) {
    mk::detail::Rendezvous place{service.name, ""};
    const auto address = place.address(0);
    if (!test::become_nobody()) throw std::runtime_error{"cannot become another user"};
    const auto target = mk::SocketPath{address}.endpoint();
    mk::detail::UniqueFd socket{::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0)};
    if (::connect(socket.get(), target.data(), target.size) != 0) return wire.say("refused");
    char byte;
    wire.say(::recv(socket.get(), &byte, 1, 0) <= 0 ? "turned away" : "greeted");
  }};
  CHECK(intruder.hear() == "turned away");
  CHECK(first.end() == 0);
  CHECK(other.end() == 0);
  CHECK(service.all_gone());
}

TEST_CASE("Shared: a squatter, also one with a full queue, is passed over" *
          doctest::skip(::geteuid() != 0)) {
  const Service service;
  mk::detail::Rendezvous place{service.name, ""};
  const std::vector<std::string> taken{place.address(0), place.address(1)};
  auto squatter = Program{[&](const Wire& wire) {
    if (!test::become_nobody()) throw std::runtime_error{"cannot become another user"};
    std::vector<mk::detail::UniqueFd> sockets;
    for (const auto& address : taken) {
      const auto target = mk::SocketPath{address}.endpoint();
      sockets.emplace_back(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
      if (::bind(sockets.back().get(), target.data(), target.size) != 0 ||
          ::listen(sockets.back().get(), 0) != 0)
        throw std::runtime_error{"cannot squat"};
    }
    const auto target = mk::SocketPath{taken[1]}.endpoint();
    sockets.emplace_back(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
    if (::connect(sockets.back().get(), target.data(), target.size) != 0)
      throw std::runtime_error{"cannot fill the queue"};
    wire.say("taken");
    wire.hear();
  }};
  REQUIRE(squatter.hear() == "taken");
  auto first = service.program(), second = service.program();
  const auto leader = first.hear();
  CHECK(std::atoi(leader.c_str()) > 0);
  CHECK(second.hear() == leader);
  CHECK(squatter.end() == 0);
  auto third = service.program();  // the first address is free again
  CHECK(third.hear() == leader);
  for (auto* one : {&first, &second, &third}) CHECK(one->end() == 0);
  CHECK(service.all_gone());
}

TEST_CASE("Shared: a user who holds all addresses is told of" * doctest::skip(::geteuid() != 0)) {
  for (const std::string way : {"listens", "is full", "is silent"}) {
    CAPTURE(way);
    const Service service;
    const mk::detail::Rendezvous place{service.name, ""};
    auto squatter = Program{[&](const Wire& wire) {
      if (!test::become_nobody()) throw std::runtime_error{"cannot become another user"};
      constexpr int type = SOCK_SEQPACKET | SOCK_CLOEXEC;
      std::vector<mk::detail::UniqueFd> sockets;
      for (int n = 0; n < mk::detail::Rendezvous::addresses; ++n) {
        const auto target = mk::SocketPath{place.address(n)}.endpoint();
        const auto& listener = sockets.emplace_back(::socket(AF_UNIX, type, 0));
        if (::bind(listener.get(), target.data(), target.size) != 0 ||
            (way != "is silent" && ::listen(listener.get(), way == "is full" ? 0 : 8) != 0))
          throw std::runtime_error{"cannot squat"};
        if (way != "is full") continue;
        const auto& client = sockets.emplace_back(::socket(AF_UNIX, type, 0));
        if (::connect(client.get(), target.data(), target.size) != 0)
          throw std::runtime_error{"cannot fill the queue"};
      }
      wire.say("taken");
      wire.hear();
    }};
    REQUIRE(squatter.hear() == "taken");
    auto shared = service.executor();
    const test::Elapsed elapsed;
    CHECK(test::message_of<mk::ExecutorError>([&] { shared.start(); })
              .starts_with("the shared service '" + service.name +
                           "' cannot be found: another user holds all of its addresses; take "
                           "another name or scope\n"));
    CHECK(elapsed < 8s);  // the start budget is longer
    CHECK(service.count() == 0);
    mk::Executor other{service.words(), mk::TCPCheck{"127.0.0.1", std::stoi(service.port)},
                       mk::Shared{.name = service.name, .scope = "another", .linger = 0s}};
    CHECK_NOTHROW(other.start().stop());
    CHECK(service.all_gone());
    CHECK(squatter.end() == 0);
    CHECK_NOTHROW(shared.start());  // the addresses are free again
    shared.stop();
    CHECK(service.all_gone());
  }
}

TEST_CASE("Shared: a squatter that comes and goes holds a start up for no longer than its budget" *
          doctest::skip(::geteuid() != 0)) {
  const Service service;
  const mk::detail::Rendezvous place{service.name, ""};
  // At each look the address is another user's, or nobody's, or does not listen yet.
  auto squatter = Program{[&](const Wire& wire) {
    if (!test::become_nobody()) throw std::runtime_error{"cannot become another user"};
    wire.say("begins");
    for (int round = 0;; ++round) {
      std::vector<mk::detail::UniqueFd> sockets;
      for (int n = 0; n < mk::detail::Rendezvous::addresses; ++n) {
        const auto target = mk::SocketPath{place.address(n)}.endpoint();
        sockets.emplace_back(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
        if (::bind(sockets.back().get(), target.data(), target.size) == 0 && round % 2 == 0)
          ::listen(sockets.back().get(), 0);
      }
      ::usleep(static_cast<useconds_t>(round % 5 * 10'000));
    }
  }};
  REQUIRE(squatter.hear() == "begins");
  mk::Executor shared{service.words(), mk::TCPCheck{"127.0.0.1", std::stoi(service.port)},
                      service.shared(), mk::TimeoutBudget{.start = 2s}};
  const test::Elapsed elapsed;
  for (int tries = 0; tries < 3; ++tries) {
    try {
      shared.start();
      shared.stop();
    } catch (const mk::ExecutorError&) {  // either may be
    }
  }
  CHECK(elapsed < 3 * (2s + 1s + 5s));
  squatter.kill();
  CHECK(service.all_gone());
  CHECK_NOTHROW(shared.start());
  shared.stop();
  CHECK(service.all_gone());
}

TEST_CASE("Shared: a program that waits too long says which one starts the service") {
  const Service service;
  auto first = service.program("5000");
  REQUIRE(test::eventually([&] { return service.count() == 1; }));
  const auto start = [&](std::chrono::milliseconds budget) {
    mk::Executor{service.words("5000"), mk::TCPCheck{"127.0.0.1", std::stoi(service.port)},
                 service.shared(), mk::TimeoutBudget{.start = budget}}
        .start();
  };
  const auto message = test::message_of_timeout(
      100ms, start, "note: pid " + std::to_string(first.pid()) + " starts it");
  CHECK(message.starts_with("the shared service '" + service.name + "' is not ready after "));
  first.kill();
  CHECK(service.all_gone());
}

TEST_CASE("Shared: a program that waits too long for the end of the service says so, too") {
  Service service;
  service.linger = 0ms;
  const auto make = [&](std::chrono::milliseconds budget) {
    return mk::Executor{test::helper("ignore", "TERM", service.mark), mk::BannerCheck{"ready"},
                        mk::TimeoutBudget{.start = budget}, service.shared()};
  };
  auto first = Program{[&](const Wire& wire) {
    auto shared = make(30s);
    shared.start();
    wire.say(std::to_string(shared.pid()));
    wire.hear();
  }};
  const auto leader = std::atoi(first.hear().c_str());
  REQUIRE(leader > 0);
  const auto pid = std::to_string(first.pid());
  first.kill();
  const auto note =
      "note: the guardian of pid " + pid + ", which has ended, starts it, keeps it, or ends it";
  const auto message = test::message_of<mk::TimeoutExpired>([&] { make(200ms).start(); });
  CAPTURE(message);
  CHECK(test::contains(message, note));
  ::kill(leader, SIGKILL);
  CHECK(service.all_gone());
}
