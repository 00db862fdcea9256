// SPDX-License-Identifier: BSL-1.0
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <exception>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <asio/bind_executor.hpp>
#include <asio/io_context.hpp>

#include <mirakuru.hpp>
#include <mirakuru/async.hpp>
#include <mirakuru/laws.hpp>

#include "errors.hpp"
#include "files.hpp"
#include "process.hpp"
#include "time.hpp"
#include "words.hpp"

namespace mk = mirakuru;
using namespace std::chrono_literals;
using test::contains;
using test::in_time;
using test::message_of;
using test::refusal;

namespace {

/// The pipes that a process has open, by their descriptors' targets.
std::vector<std::string> pipes_of(pid_t pid) {
  std::vector<std::string> pipes;
  const auto directory = "/proc/" + std::to_string(pid) + "/fd";
  test::each_number_in(directory.c_str(), [&](int number, int) {
    char target[64] = {};
    const auto link = directory + '/' + std::to_string(number);
    if (::readlink(link.c_str(), target, sizeof target - 1) > 0 && contains(target, "pipe:"))
      pipes.emplace_back(target);
  });
  return pipes;
}

std::string target_of(pid_t pid, int number) {
  char target[64] = {};
  const auto link = "/proc/" + std::to_string(pid) + "/fd/" + std::to_string(number);
  return ::readlink(link.c_str(), target, sizeof target - 1) > 0 ? target : "";
}

/// A probe with its check, and the end that the command would have.
struct Story {
  explicit Story(bool running = true) : process{1, streams, running} {
    check.prepare(request);
    probe = check.probe(process);
  }
  void write(const std::string& text) const {
    CHECK(::write(request.descriptors.at(3)->get(), text.data(), text.size()) ==
          static_cast<ssize_t>(text.size()));
  }
  [[nodiscard]] mk::Readiness poll(std::chrono::milliseconds at) const {
    return probe->poll(epoch + at);
  }
  /// The moment that it waits for, in milliseconds.
  [[nodiscard]] long waits_until(std::chrono::milliseconds at) const {
    mk::WaitSet waits;
    probe->wait(epoch + at, waits);
    if (waits.deadline() == mk::TimePoint::max()) return -1;
    return std::chrono::duration_cast<std::chrono::milliseconds>(waits.deadline() - epoch).count();
  }

  static constexpr mk::TimePoint epoch{100h};
  mk::FdCheck check{.fd = 3};
  mk::LaunchRequest request = {};
  mk::OutputStreams streams = {};
  mk::Process process;
  std::unique_ptr<mk::Probe> probe = {};
};

}  // namespace

// The probe --------------------------------------------------------------------------------------

TEST_CASE("FdCheck: a line is ready, and the bytes before its end are the reason") {
  const Story story;
  CHECK_FALSE(story.poll(0ms));
  CHECK(story.poll(1ms).reason().empty());
  CHECK(story.waits_until(1ms) == -1);
  story.write("bind\x01");
  CHECK_FALSE(story.poll(2ms));
  CHECK(story.poll(3ms).reason() == "'bind\\x01', without a newline");
  story.write("s\nmore");
  CHECK(story.poll(4ms));
  CHECK(story.poll(5ms));
  CHECK(story.check.probe(story.process)->poll(Story::epoch));  // a fresh one
}

TEST_CASE("FdCheck: an empty line is one, and a long text is cut in messages") {
  const Story empty;
  empty.write("\n");
  CHECK(empty.poll(0ms));
  const Story story;
  for (int i = 0; i < 12; ++i) {
    story.write(std::string(4096, 'x'));
    CHECK_FALSE(story.poll(0ms));
  }
  const auto reason = story.poll(0ms).reason();
  CHECK(reason.size() < 400);
  CHECK(reason.ends_with("xxx [...]', without a newline"));
  CHECK(story.check.run.get()->text.size() <= 4096);
  story.write("\n");
  CHECK(story.poll(1ms));
}

TEST_CASE("FdCheck: the end without a newline fails, unless the process ends in a moment, too") {
  Story story;
  story.write("half");
  story.request.descriptors.clear();
  CHECK_FALSE(story.poll(0ms));
  CHECK(story.waits_until(0ms) == 50);
  CHECK(story.poll(49ms).reason() == "'half', without a newline");
  CHECK(message_of<mk::CannotHold>([&] { (void)story.poll(50ms); }) ==
        "the service has closed descriptor 3 without a newline: 'half', without a newline");

  Story ended{false};
  ended.request.descriptors.clear();
  CHECK(ended.poll(0ms).reason() == "the service has closed descriptor 3 without a newline");
  CHECK_FALSE(ended.poll(100ms));

  Story late;
  late.request.descriptors.clear();
  CHECK_FALSE(late.poll(0ms));
  late.probe->close(Story::epoch + 20ms);
  CHECK(late.probe->pending());
  CHECK_THROWS_AS((void)late.poll(10ms), mk::CannotHold);
}

TEST_CASE("FdCheck: the number is 3 to 1000") {
  for (const int number : {-1, 0, 2, 1001})
    CHECK(refusal([&] { (void)mk::FdCheck{.fd = number}; }) ==
          "the number of a descriptor for a service is 3 to 1000, not " + std::to_string(number));
  CHECK(mk::FdCheck{.fd = 1000}.describe() == "a line on descriptor 1000");
  CHECK(mk::FdCheck{}.fd.get() == 3);
}

// The check --------------------------------------------------------------------------------------

TEST_CASE("FdCheck: a line of the command, by each spawner and at each number") {
  const auto starts = [](int number, auto... policies) {
    const auto to = "/proc/self/fd/" + std::to_string(number);
    mk::Executor service{mk::Shell{"echo anything > " + to + "; exec sleep 300"},
                         mk::FdCheck{.fd = number}, in_time, policies...};
    CHECK(service.start().running());
    CHECK(service.stop().start().running());
    CHECK(contains(target_of(service.pid(), number), "pipe:"));
  };
  for (const int number : {3, 4, 12, 1000}) {
    CAPTURE(number);
    starts(number);
    starts(number, mk::DirectSpawner{});
    try {
      starts(number, mk::CgroupSpawner{});
    } catch (const mk::SpawnError& error) {
      MESSAGE("no cgroup to test with: ", error.what());
    }
  }
}

TEST_CASE("FdCheck: it keeps the laws of a check") {
  const mk::Command ready{.argv = {"sh", "-c", "echo >&3; exec sleep 300"}};
  CHECK(mk::laws::check_check(mk::FdCheck{.fd = 3}, ready) == mk::laws::Broken{});
}

TEST_CASE("FdCheck: all that the tree has closed is the end, though the guardian lives") {
  const auto fails = [](const std::string& line, auto... policies) {
    mk::Executor service{mk::Shell{line}, mk::FdCheck{.fd = 3}, in_time, policies...};
    const test::Elapsed elapsed;
    const auto text = message_of<mk::ExecutorError>([&] { service.start(); });
    CHECK(elapsed < 5s);
    return text.substr(0, text.find('\n'));
  };
  const std::string failure =
      "it cannot become ready: the service has closed descriptor 3 without a newline";
  CHECK(fails("exec 3>&-; exec sleep 300") == failure);
  CHECK(fails("exec 3>&-; exec sleep 300", mk::DirectSpawner{}) == failure);
  CHECK(fails("printf busy >&3; exec 3>&-; exec sleep 300") ==
        failure + ": 'busy', without a newline");
  // A descendant holds it open for a while.
  const test::Elapsed elapsed;
  CHECK(fails("sleep 0.3 & exec 3>&-; exec sleep 300") == failure);
  CHECK(elapsed >= 300ms);
}

TEST_CASE("FdCheck: a service that ends first is an error with its exit code") {
  for (const auto* const line :
       {"exit 3", "printf why >&3; sleep 0.2; exit 3", "exec 3>&-; exit 3"}) {
    mk::Executor service{mk::Shell{line}, mk::FdCheck{.fd = 3}, in_time};
    const auto text = message_of<mk::ProcessExitedWithError>([&] { service.start(); });
    CAPTURE(line);
    CHECK(contains(text, "exited with a non-zero code: 3 before it was ready"));
    CHECK(contains(text, "'why', without a newline") == contains(line, "why"));
  }
  mk::Executor silent{"true", mk::FdCheck{.fd = 3}, in_time};
  test::check_ends_before_ready(silent);
}

TEST_CASE("FdCheck: a time-out tells the bytes so far, or that there are none") {
  const auto times_out = [](const std::string& line, const std::string& part) {
    const auto start = [&](std::chrono::milliseconds budget) {
      mk::Executor{mk::Shell{line}, mk::FdCheck{.fd = 5}, mk::TimeoutBudget{.start = budget}}
          .start();
    };
    return test::message_of_timeout(100ms, start, part);
  };
  const auto nothing = times_out(
      "exec sleep 300", "\n  note: nothing was written to descriptor 5; the service must ");
  CHECK(contains(nothing, "\n  waited for: a line on descriptor 5, for "));
  const auto half =
      times_out("printf half >&5; exec sleep 300", "\n  last answer: 'half', without a newline\n");
  CHECK_FALSE(contains(half, "nothing was written"));
}

TEST_CASE("FdCheck: no other process gets the descriptor, and none is left here") {
  const auto before = test::open_fds();
  {
    mk::Executor service{mk::Shell{"echo >&7; exec sleep 300"}, mk::FdCheck{.fd = 7}, in_time};
    service.start();
    const auto pipe = target_of(service.pid(), 7);
    const auto has = [&pipe](pid_t pid) {
      const auto pipes = pipes_of(pid);
      return std::count(pipes.begin(), pipes.end(), pipe);
    };
    CHECK(test::eventually([&] { return has(service.pid()) == 1; }));  // it may still copy it
    CHECK(has(test::parent_of(service.pid())) == 0);                   // the guardian
    CHECK(has(::getpid()) == 1);                                       // the reading end
    mk::Executor other{"sleep 300", in_time};
    mk::Executor direct{"sleep 300", mk::DirectSpawner{}, in_time};
    CHECK(has(other.start().pid()) == 0);
    CHECK(has(test::parent_of(other.pid())) == 0);
    CHECK(has(direct.start().pid()) == 0);
  }
  CHECK(test::open_fds() == before);
}

TEST_CASE("FdCheck: two numbers, and two checks with the same one") {
  mk::Executor two{mk::Shell{"echo >&3; sleep 0.05; echo >&4; exec sleep 300"},
                   mk::FdCheck{.fd = 3}, mk::FdCheck{.fd = 4}, in_time};
  const test::Elapsed elapsed;
  CHECK(two.start().running());
  CHECK(elapsed >= 50ms);
  mk::Executor same{"sleep 300", mk::FdCheck{.fd = 4}, mk::AnyOf{mk::FdCheck{.fd = 4}}};
  CHECK(contains(message_of<mk::ExecutorError>([&] { same.start(); }),
                 "descriptor 4 has another use already"));
  CHECK(same.pid() == 0);
}

TEST_CASE("FdCheck: the service may go on writing, also after another check has passed") {
  const std::string more = "for i in 1 2 3; do echo >&3; done; echo done; exec sleep 300";
  mk::Executor service{mk::Shell{more}, mk::FdCheck{.fd = 3}, in_time};
  service.start().wait_for([&] { return contains(service.output(), "done\n"); });
  CHECK(service.running());
}

TEST_CASE("FdCheck: inside the composed checks, and asynchronous") {
  const std::string line = "sleep 0.05; echo >&3; exec sleep 300";
  const auto never = [](const mk::Process&) { return false; };
  mk::Executor any{mk::Shell{line}, mk::AnyOf{never, mk::FdCheck{.fd = 3}}, in_time};
  CHECK(any.start().running());
  mk::Executor all{
      mk::Shell{line},
      mk::AllOf{mk::FdCheck{.fd = 4}, mk::Within{20s, mk::StableFor{40ms, mk::FdCheck{.fd = 3}}}},
      mk::TimeoutBudget{.start = 300ms}};
  CHECK(contains(message_of<mk::TimeoutExpired>([&] { all.start(); }), "a line on descriptor 4"));
  mk::Executor stable{mk::Shell{line}, mk::StableFor{40ms, mk::FdCheck{.fd = 3}}, in_time};
  CHECK(stable.start().running());
  mk::Executor out{mk::Shell{"exec 3>&-; echo ready; exec sleep 300"},
                   mk::AnyOf{mk::FdCheck{.fd = 3}, mk::BannerCheck{"ready"}}, in_time};
  CHECK(out.start().running());

  asio::io_context context;
  mk::Executor service{mk::Shell{line}, mk::FdCheck{.fd = 3}, in_time};
  mk::Executor closes{mk::Shell{"exec 3>&-; exec sleep 300"}, mk::FdCheck{.fd = 3}, in_time};
  std::exception_ptr good = std::make_exception_ptr(0), bad;
  service.async_start(asio::bind_executor(context, [&](std::exception_ptr e) { good = e; }));
  closes.async_start(asio::bind_executor(context, [&](std::exception_ptr e) { bad = e; }));
  context.run();
  CHECK_FALSE(good);
  CHECK(service.running());
  REQUIRE(bad);
  CHECK_THROWS_AS(std::rethrow_exception(bad), mk::ExecutorError);
}

TEST_CASE("FdCheck: in FailsOn, a line fails the start, and so does the end without one") {
  mk::Executor writes{mk::Shell{"echo >&4; exec sleep 300"}, mk::FailsOn{mk::FdCheck{.fd = 4}},
                      mk::FdCheck{.fd = 3}, in_time};
  CHECK(contains(message_of<mk::ExecutorError>([&] { writes.start(); }),
                 "it fails on a line on descriptor 4"));
  mk::Executor closes{mk::Shell{"exec 4>&-; exec sleep 300"}, mk::FailsOn{mk::FdCheck{.fd = 4}},
                      mk::FdCheck{.fd = 3}, in_time};
  CHECK(contains(message_of<mk::ExecutorError>([&] { closes.start(); }),
                 "closed descriptor 4 without a newline"));
}
