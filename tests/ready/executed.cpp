// SPDX-License-Identifier: BSL-1.0
#include <doctest/doctest.h>
#include <chrono>
#include <memory>
#include <string>

#include <mirakuru/output/streams.hpp>
#include <mirakuru/ready/executed.hpp>

namespace mk = mirakuru;
using namespace std::chrono_literals;

namespace {

/// A process whose command is on another machine.
struct Elsewhere {
  mk::OutputStreams streams = {};
  mk::FarState far = {};

  [[nodiscard]] mk::Process process(int event = -1) const {
    return {1, streams, true, {.far = &far, .event = event}};
  }
};

struct Queue final : mk::Probe {
  mk::Readiness poll(mk::TimePoint) override { return mk::not_ready("PENDING: Resources"); }
  void wait(mk::TimePoint now, mk::WaitSet& waits) const override { waits.until(now + 10ms); }
};

constexpr mk::TimePoint now{1h};

}  // namespace

TEST_CASE("ExecutedCheck: a command that runs here is executed") {
  const mk::OutputStreams streams;
  const mk::Process process{1, streams};
  CHECK(mk::detail::ExecutedCheck{}.probe(process)->poll(now));
}

TEST_CASE("ExecutedCheck: a command elsewhere is ready with the news of its execution") {
  Elsewhere there;
  const auto process = there.process();
  const auto probe = mk::detail::ExecutedCheck{}.probe(process);
  CHECK_FALSE(probe->poll(now));
  CHECK(probe->poll(now).reason().empty());
  there.far.executed = true;
  CHECK(probe->poll(now));
}

TEST_CASE("ExecutedCheck: it waits for the news of the process") {
  const Elsewhere there;
  const auto process = there.process(7);
  mk::WaitSet waits;
  mk::detail::ExecutedCheck{}.probe(process)->wait(now, waits);
  CHECK(waits.size() == 1);
  CHECK(waits.deadline() == now + 100ms);
}

TEST_CASE("ExecutedCheck: the reason of the queue is its own, and its waits") {
  Elsewhere there;
  there.far.command.why_not_yet = [](const mk::Process&) { return std::make_shared<Queue>(); };
  const auto process = there.process();
  const auto probe = mk::detail::ExecutedCheck{}.probe(process);
  CHECK(probe->poll(now).reason() == "PENDING: Resources");
  mk::WaitSet waits;
  probe->wait(now, waits);
  CHECK(waits.deadline() == now + 10ms);
}
