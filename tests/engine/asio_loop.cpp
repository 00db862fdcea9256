// SPDX-License-Identifier: BSL-1.0
#include <sys/resource.h>
#include <unistd.h>
#include <chrono>
#include <stdexcept>
#include <string>
#include <utility>

#include <doctest/doctest.h>
#include <asio/awaitable.hpp>
#include <asio/io_context.hpp>
#include <asio/redirect_error.hpp>
#include <asio/steady_timer.hpp>
#include <asio/this_coro.hpp>
#include <asio/use_awaitable.hpp>

#include <mirakuru/engine/asio_loop.hpp>
#include <mirakuru/os/unique_fd.hpp>
#include <mirakuru/output/streams.hpp>

#include "child.hpp"

namespace mk = mirakuru;
using namespace std::chrono_literals;
using mk::detail::AsioLoop;
using mk::detail::Clock;
using mk::detail::CoroutineProbe;
using mk::detail::make_pipe;
using mk::detail::pause_after;
using mk::detail::Pipe;

namespace {

constexpr mk::TimePoint epoch{100h};
const mk::OutputStreams no_streams;

bool write_to(const Pipe& pipe) { return ::write(pipe.writing.get(), "x", 1) == 1; }

/// A loop whose handlers run when the test says so.
struct Driven {
  asio::io_context context = {};
  AsioLoop loop{context.get_executor()};

  /// Runs the handlers that are ready.
  void run() {
    context.restart();
    context.poll();
  }
};

/// A check that answers when the test opens its gate.
class Gated {
 public:
  explicit Gated(Driven& driven) : gate_{driven.context, mk::TimePoint::max()} {}

  mk::Readiness answer = true;
  bool throws = false;
  bool deaf = false;  // to a cancellation
  int calls = 0;

  void open() {
    open_ = true;
    gate_.cancel();
  }

  asio::awaitable<mk::Readiness> operator()(const mk::Process&) {
    ++calls;
    if (deaf) co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation{});
    open_ = false;
    asio::error_code ignored;
    co_await gate_.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    if (throws) throw std::runtime_error{open_ ? "the disk is full" : "cancelled"};
    co_return answer;
  }

 private:
  asio::steady_timer gate_;
  bool open_ = false;
};

struct GatedRemains : Gated {
  using Gated::Gated;
  static constexpr bool valid_after_exit = true;
};

/// The probe of a check, in a start that began at `epoch`.
template <class Check>
struct Probed {
  Driven driven = {};
  mk::Process process{1, no_streams, true, {.since = epoch, .loop = &driven.loop}};
  Check check{driven};
  CoroutineProbe<Check> probe{check, process};

  mk::Readiness poll(mk::TimePoint now) {
    auto answer = probe.poll(now);
    driven.run();
    return answer;
  }
  mk::TimePoint woken_at(mk::TimePoint now) const {
    mk::WaitSet waits;
    probe.wait(now, waits);
    return waits.deadline();
  }
};

}  // namespace

TEST_CASE("AsioLoop: a descriptor ends the wait") {
  auto idle = make_pipe(), pipe = make_pipe();
  mk::WaitSet waits;
  waits.add(idle.reading.get());
  waits.add(-1);
  waits.add(pipe.reading.get());
  SUBCASE("by input") { REQUIRE(write_to(pipe)); }
  SUBCASE("by its end") { pipe.writing.reset(); }
  AsioLoop{}.wait(waits);
  CHECK_FALSE(waits.ready(0));
  CHECK_FALSE(waits.ready(1));
  CHECK(waits.ready(2));
}

TEST_CASE("AsioLoop: a descriptor that can be written to ends the wait") {
  const auto pipe = make_pipe();
  mk::WaitSet waits;
  waits.add(pipe.writing.get(), POLLOUT);
  AsioLoop{}.wait(waits);
  CHECK(waits.ready(0));
}

TEST_CASE("AsioLoop: the moment ends the wait, and not before") {
  const auto pipe = make_pipe();
  AsioLoop loop;
  for (const auto span : {20ms, -1000ms}) {
    mk::WaitSet waits;
    waits.add(pipe.reading.get());
    const auto moment = Clock::now() + span;
    waits.until(moment);
    loop.wait(waits);
    CHECK(Clock::now() >= moment);
    CHECK_FALSE(waits.ready(0));
  }
  REQUIRE(write_to(pipe));  // the same loop waits again
  mk::WaitSet waits;
  waits.add(pipe.reading.get());
  loop.wait(waits);
  CHECK(waits.ready(0));
}

TEST_CASE("AsioLoop: where no wait is wanted there is none") {
  mk::WaitSet waits;
  waits.again();
  AsioLoop{}.wait(waits);
  CHECK(waits.wants_no_wait());
}

TEST_CASE("AsioLoop: a descriptor may be closed by its owner during a wait") {
  Driven driven;
  auto pipe = make_pipe();
  const int number = pipe.reading.get();
  mk::WaitSet waits;
  waits.add(number);
  driven.loop.begin(waits);
  driven.run();

  pipe.reading.reset();
  auto other = make_pipe();
  REQUIRE(other.reading.get() == number);
  REQUIRE(write_to(other));
  driven.run();
  CHECK_FALSE(driven.loop.is_over());
  REQUIRE(write_to(pipe));  // the loop holds the other end
  driven.run();
  CHECK(driven.loop.is_over());
  CHECK(waits.ready(0));

  waits.clear();
  waits.add(number);
  driven.loop.begin(waits);
  CHECK_FALSE(driven.loop.is_over());
  driven.run();
  CHECK(driven.loop.is_over());
  CHECK(waits.ready(0));
}

TEST_CASE("AsioLoop: without a descriptor to duplicate it looks once in a while") {
  CHECK(test::in_child([] {
          const auto pipe = make_pipe();
          AsioLoop loop;
          const rlimit none{0, 0};
          if (::setrlimit(RLIMIT_NOFILE, &none) != 0) return false;
          mk::WaitSet waits;
          waits.add(pipe.reading.get());
          const auto begin = Clock::now();
          loop.wait(waits);
          return waits.ready(0) && Clock::now() >= begin + 500us;
        }) == 0);
}

TEST_CASE("AsioLoop: wake() ends the wait, and nothing is ready") {
  Driven driven;
  const auto pipe = make_pipe();
  mk::WaitSet waits;
  waits.add(pipe.reading.get());
  waits.until(Clock::now() + 1h);
  driven.loop.begin(waits);
  bool over = false;
  driven.loop.async_over([&](asio::error_code) { over = true; });
  driven.run();
  CHECK_FALSE(over);
  driven.loop.wake();
  driven.loop.wake();
  CHECK_FALSE(driven.loop.is_over());  // its handlers are still to come
  driven.run();
  CHECK(driven.loop.is_over());
  CHECK(over);
  CHECK_FALSE(waits.ready(0));
}

TEST_CASE("AsioLoop: wake() ends a wait for nothing") {
  Driven driven;
  mk::WaitSet waits;
  driven.loop.begin(waits);
  driven.run();
  CHECK_FALSE(driven.loop.is_over());
  bool over = false;
  driven.loop.async_over([&](asio::error_code) { over = true; });
  driven.loop.wake();
  CHECK(driven.loop.is_over());
  driven.run();
  CHECK(over);
}

TEST_CASE("CoroutineProbe: an attempt lasts until it answers, then a pause begins") {
  Probed<Gated> one;
  mk::WaitSet waits;
  one.driven.loop.begin(waits);
  CHECK_FALSE(one.probe.pending());
  CHECK_FALSE(one.poll(epoch));
  CHECK(one.probe.pending());
  CHECK(one.check.calls == 1);
  CHECK_FALSE(one.poll(epoch + 1h));
  CHECK(one.probe.pending());
  CHECK(one.check.calls == 1);
  CHECK(one.woken_at(epoch + 1h) == mk::TimePoint::max());
  CHECK_FALSE(one.driven.loop.is_over());

  one.check.answer = mk::not_ready("cold");
  one.check.open();
  one.driven.run();
  CHECK(one.driven.loop.is_over());
  CHECK(one.probe.pending());
  CHECK(one.poll(epoch + 2h).reason() == "cold");
  CHECK_FALSE(one.probe.pending());
  CHECK(one.check.calls == 1);
  CHECK(one.woken_at(epoch + 9s) == epoch + 9s + pause_after(9s, 45));

  one.check.answer = true;
  CHECK_FALSE(one.poll(epoch + 3h));
  CHECK(one.check.calls == 2);
  one.check.open();
  one.driven.run();
  CHECK(one.poll(epoch + 3h));
}

TEST_CASE("CoroutineProbe: an event is ready when it has come, a bool is the answer") {
  Driven driven;
  const mk::Process process{1, no_streams, true, {.loop = &driven.loop}};
  const auto answer = [&](auto check) {
    CoroutineProbe<decltype(check)> probe{check, process};
    CHECK_FALSE(probe.poll(epoch));
    driven.run();
    return static_cast<bool>(probe.poll(epoch));
  };
  CHECK(answer([](const mk::Process&) -> asio::awaitable<void> { co_return; }));
  CHECK(answer([](const mk::Process&) -> asio::awaitable<bool> { co_return true; }));
  CHECK_FALSE(answer([](const mk::Process&) -> asio::awaitable<bool> { co_return false; }));
}

TEST_CASE("CoroutineProbe: an exception of the check leaves the poll") {
  Probed<Gated> one;
  one.check.throws = true;
  CHECK_FALSE(one.poll(epoch));
  one.check.open();
  one.driven.run();
  CHECK_THROWS_WITH_AS((void)one.poll(epoch), "the disk is full", std::runtime_error);
  CHECK_FALSE(one.probe.pending());
}

TEST_CASE("CoroutineProbe: close() cancels the attempt, and a late \"ready\" does not count") {
  Probed<Gated> one;
  std::string reason;
  SUBCASE("it throws") { one.check.throws = true; }
  SUBCASE("it says that it is ready") {}
  SUBCASE("it says why it is not ready") {
    reason = "cold";
    one.check.answer = mk::not_ready(reason);
  }
  CHECK_FALSE(one.poll(epoch));
  one.probe.close(epoch + 1s);
  CHECK(one.probe.pending());
  one.driven.run();
  const auto answer = one.poll(epoch + 500ms);
  CHECK_FALSE(answer);
  CHECK(answer.reason() == reason);
  CHECK_FALSE(one.probe.pending());
  CHECK_FALSE(one.poll(epoch + 600ms));
  CHECK(one.check.calls == 1);
}

TEST_CASE("CoroutineProbe: a check that does not listen to a cancellation is waited for") {
  Probed<Gated> one;
  one.check.deaf = true;
  CHECK_FALSE(one.poll(epoch));
  one.probe.close(epoch + 1s);
  one.driven.run();
  CHECK_FALSE(one.poll(epoch + 1h));
  CHECK(one.probe.pending());
  CHECK(one.woken_at(epoch + 1h) == mk::TimePoint::max());
  one.check.open();
  one.driven.run();
  CHECK_FALSE(one.poll(epoch + 2h));
  CHECK_FALSE(one.probe.pending());
}

TEST_CASE("CoroutineProbe: after close() a check is not asked") {
  Probed<Gated> one;
  one.probe.close(epoch + 1s);
  CHECK_FALSE(one.poll(epoch));
  one.process.set_ended();
  CHECK_FALSE(one.poll(epoch));
  CHECK_FALSE(one.probe.pending());
  CHECK(one.check.calls == 0);
}

TEST_CASE("CoroutineProbe: a check of the remains is asked once more after the end") {
  for (const bool under_way : {false, true}) {
    CAPTURE(under_way);
    Probed<GatedRemains> one;
    one.check.throws = true;
    if (under_way) CHECK_FALSE(one.poll(epoch));
    one.process.set_ended();
    one.probe.close(epoch + 1s);
    one.driven.run();
    CHECK_FALSE(one.poll(epoch));
    one.check.throws = false;
    CHECK(one.probe.pending());
    one.check.open();
    one.driven.run();
    CHECK(one.poll(epoch + 1s));
    CHECK_FALSE(one.probe.pending());
    CHECK_FALSE(one.poll(epoch + 2s));
    CHECK(one.check.calls == (under_way ? 2 : 1));
  }
}

TEST_CASE("CoroutineProbe: the last attempt ends at the moment that close() names") {
  Probed<GatedRemains> one;
  one.process.set_ended();
  one.probe.close(epoch + 1s);
  CHECK_FALSE(one.poll(epoch));
  CHECK(one.woken_at(epoch) == epoch + 1s);
  CHECK_FALSE(one.poll(epoch + 999ms));
  CHECK_FALSE(one.poll(epoch + 999ms));
  CHECK(one.probe.pending());
  CHECK_FALSE(one.poll(epoch + 1s));
  CHECK_FALSE(one.poll(epoch + 1s));
  CHECK_FALSE(one.probe.pending());
  CHECK(one.check.calls == 1);
}

TEST_CASE("CoroutineProbe: a check that throws before it is a coroutine leaves no attempt") {
  Driven driven;
  const mk::Process process{1, no_streams, true, {.loop = &driven.loop}};
  auto check = [](const mk::Process&) -> asio::awaitable<bool> {
    throw std::runtime_error{"the disk is full"};
  };
  CoroutineProbe<decltype(check)> probe{check, process};
  CHECK_THROWS_WITH_AS((void)probe.poll(epoch), "the disk is full", std::runtime_error);
  CHECK_FALSE(probe.pending());
}
