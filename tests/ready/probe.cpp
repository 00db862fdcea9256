// SPDX-License-Identifier: BSL-1.0
#include <poll.h>
#include <chrono>
#include <memory>
#include <utility>

#include <doctest/doctest.h>

#include <mirakuru/engine/asio_loop.hpp>
#include <mirakuru/output/streams.hpp>
#include <mirakuru/ready/probe.hpp>

namespace mk = mirakuru;
using namespace std::chrono_literals;
using mk::detail::CoroutineProbe;
using mk::detail::make_probe;
using mk::detail::PredicateProbe;
using mk::detail::ProbeRun;

namespace {

constexpr mk::TimePoint epoch{100h};
const mk::OutputStreams no_streams;

/// Waits for two descriptors and for 10 ms.
class TwoDescriptors : public mk::Probe {
 public:
  struct Facts {
    bool ready = false, pending = false;
    int polls = 0, waits = 0;
    mk::TimePoint closed = {};
  };
  explicit TwoDescriptors(Facts& facts) : facts_{facts} {}

  mk::Readiness poll(mk::TimePoint) override {
    ++facts_.polls;
    return facts_.ready;
  }
  void wait(mk::TimePoint now, mk::WaitSet& waits) const override {
    ++facts_.waits;
    waits.add(101);
    waits.add(102, POLLOUT);
    waits.until(now + 10ms);
  }
  bool pending() const noexcept override { return facts_.pending; }
  void close(mk::TimePoint until) override { facts_.closed = until; }

 private:
  Facts& facts_;
};

struct Asked {
  int calls = 0;
  bool operator()(const mk::Process&) { return ++calls > 1; }
};

/// A check that could be asked in each of the three ways.
struct Everything {
  std::unique_ptr<mk::Probe> probe(const mk::Process&) const {
    return std::make_unique<TwoDescriptors>(*facts);
  }
  asio::awaitable<bool> operator()(const mk::Process&) const { co_return true; }
  TwoDescriptors::Facts* facts;
};

struct Awaitable {
  asio::awaitable<void> operator()(const mk::Process&) const { co_return; }
};

template <class Type>
bool is_a(const std::unique_ptr<mk::Probe>& probe) {
  return dynamic_cast<const Type*>(probe.get()) != nullptr;
}

}  // namespace

TEST_CASE("ProbeRun: without a probe nothing is due and nothing is waited for") {
  ProbeRun run;
  mk::WaitSet waits;
  run.wait(epoch, waits);
  CHECK(waits.size() == 0);
  CHECK(waits.deadline() == mk::TimePoint::max());
  CHECK_FALSE(run.due(mk::TimePoint::max(), waits));
  CHECK_FALSE(run.pending());
}

TEST_CASE("ProbeRun: due by one of its own descriptors") {
  TwoDescriptors::Facts facts;
  ProbeRun run;
  run.begin(std::make_unique<TwoDescriptors>(facts));
  mk::WaitSet waits;
  waits.add(100);
  run.wait(epoch, waits);
  waits.add(103);
  REQUIRE(waits.size() == 4);
  CHECK(waits.descriptors()[2].fd == 102);
  CHECK(waits.descriptors()[2].events == POLLOUT);
  const bool own[] = {false, true, true, false};
  for (std::size_t i = 0; i < 4; ++i) {
    CAPTURE(i);
    waits.descriptors()[i].revents = POLLIN;
    CHECK(run.due(epoch, waits) == own[i]);
    waits.descriptors()[i].revents = 0;
  }
}

TEST_CASE("ProbeRun: due at its own moment, not at an earlier one of the set") {
  TwoDescriptors::Facts facts;
  ProbeRun run;
  run.begin(std::make_unique<TwoDescriptors>(facts));
  mk::WaitSet waits;
  waits.until(epoch + 5ms);
  run.wait(epoch, waits);
  CHECK(waits.deadline() == epoch + 5ms);
  CHECK_FALSE(run.due(epoch + 5ms, waits));
  CHECK_FALSE(run.due(epoch + 10ms - 1ns, waits));
  CHECK(run.due(epoch + 10ms, waits));
}

TEST_CASE("ProbeRun: any end of the wait makes an attempt under way due") {
  TwoDescriptors::Facts facts{.pending = true, .closed = {}};
  ProbeRun run;
  run.begin(std::make_unique<TwoDescriptors>(facts));
  CHECK(run.pending());
  mk::WaitSet waits;
  CHECK_FALSE(run.due(epoch, waits));
  run.wait(epoch, waits);
  CHECK(run.due(epoch, waits));
}

TEST_CASE("ProbeRun: a pause is asked for once, and keeps its end when others end the wait") {
  TwoDescriptors::Facts facts;
  ProbeRun run;
  run.begin(std::make_unique<TwoDescriptors>(facts));
  mk::WaitSet waits;
  run.wait(epoch, waits);
  for (int others = 1; others < 4; ++others) {
    CAPTURE(others);
    waits.clear();
    for (int i = 0; i < others; ++i) waits.add(i);
    run.wait(epoch + others * 1ms, waits);
    CHECK(facts.waits == 1);
    CHECK(waits.deadline() == epoch + 10ms);
    waits.descriptors()[0].revents = POLLIN;
    CHECK_FALSE(run.due(epoch + 4ms, waits));
    waits.descriptors().back().revents = POLLIN;
    CHECK(run.due(epoch + 4ms, waits));
  }
}

TEST_CASE("ProbeRun: each poll, close and probe begins a pause of its own") {
  TwoDescriptors::Facts facts{.ready = true, .closed = {}};
  ProbeRun run;
  run.begin(std::make_unique<TwoDescriptors>(facts));
  const auto new_pause_at = [&](mk::TimePoint now) {
    const int before = facts.waits;
    mk::WaitSet waits;
    CHECK_FALSE(run.due(mk::TimePoint::max(), waits));
    run.wait(now, waits);
    CHECK(waits.deadline() == now + 10ms);
    return facts.waits == before + 1;
  };
  CHECK(new_pause_at(epoch));
  CHECK(run.poll(epoch + 10ms));
  CHECK(facts.polls == 1);
  CHECK(new_pause_at(epoch + 11ms));
  run.close(epoch + 50ms);
  CHECK(facts.closed == epoch + 50ms);
  CHECK(new_pause_at(epoch + 12ms));
  run.begin(std::make_unique<TwoDescriptors>(facts));
  CHECK(new_pause_at(epoch + 13ms));
}

TEST_CASE("PredicateProbe: it is asked at each poll, after pauses that adapt") {
  const mk::Process process{1, no_streams, true, {.since = epoch}};
  Asked check;
  PredicateProbe<Asked> probe{check, process};
  CHECK_FALSE(probe.poll(epoch));
  CHECK_FALSE(probe.pending());
  const auto pause = [&](mk::TimePoint now) {
    mk::WaitSet waits;
    probe.wait(now, waits);
    CHECK(waits.size() == 0);
    return waits.deadline() - now;
  };
  CHECK(pause(epoch) == 500us);
  CHECK(pause(epoch + 6400ms) == 100ms);
  CHECK(pause(epoch + 1h) == 250ms);
  CHECK(probe.poll(epoch + 1h));
  CHECK(check.calls == 2);
}

TEST_CASE("PredicateProbe: after close() it is asked only if the process has ended") {
  mk::Process process{1, no_streams};
  Asked check{.calls = 10};
  PredicateProbe<Asked> probe{check, process};
  probe.close(epoch);
  CHECK_FALSE(probe.poll(epoch));
  CHECK(check.calls == 10);
  process.set_ended();
  CHECK(probe.poll(epoch));
  CHECK(check.calls == 11);
}

TEST_CASE("make_probe: a check's own probe goes before an awaitable, and that before a predicate") {
  mk::detail::AsioLoop loop;
  const mk::Process process{1, no_streams, true, {.loop = &loop}};
  TwoDescriptors::Facts facts;
  Everything everything{&facts};
  CHECK(is_a<TwoDescriptors>(make_probe(everything, process)));
  Awaitable awaitable;
  CHECK(is_a<CoroutineProbe<Awaitable>>(make_probe(awaitable, process)));
  Asked asked;
  const auto probe = make_probe(asked, process);
  CHECK(is_a<PredicateProbe<Asked>>(probe));
  CHECK_FALSE(probe->poll(epoch));
  CHECK(probe->poll(epoch));
}
