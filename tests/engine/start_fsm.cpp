// SPDX-License-Identifier: BSL-1.0
// Stories of starts, told with made-up moments: there is neither a process nor a clock.
#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include <mirakuru/engine/start_fsm.hpp>

namespace mk = mirakuru;
using namespace std::chrono_literals;
using mk::detail::StartFSM;
using Action = StartFSM::Action;

namespace {

constexpr mk::TimePoint epoch{100h};

/// The facts about a check. Moments count from the begin of the start.
struct Check {
  bool already_true = false;                    // before the spawn
  std::chrono::milliseconds precheck = -1ms;    // how long a probe takes to tell; negative: at once
  std::chrono::milliseconds ready_at = 24h;     // an attempt from then on is ready
  std::chrono::milliseconds takes = 0ms;        // an attempt; zero: it is answered at once
  std::chrono::milliseconds pause = 100ms;      // between attempts
  std::chrono::milliseconds close_takes = 0ms;  // an attempt that is called off
  bool valid_after_exit = false;
  bool last_look = false;                     // the answer of the last look
  std::chrono::milliseconds throws_at = 24h;  // an attempt from then on throws
  std::string reason = {};                    // of an answer that is not ready
};

/// The facts about a process, and about the start.
struct Facts {
  std::vector<Check> checks = {};
  std::chrono::nanoseconds budget = 1s;
  std::chrono::milliseconds exits_at = 24h;
  int exit_code = 0;
  bool descendants_live = false;
  bool has_event = true;  // of the process's end
  std::chrono::milliseconds cancelled_at = 24h;
};

/// Drives an FSM through a story, and writes down each action; behind an `@`, the milliseconds.
class Story {
 public:
  explicit Story(Facts facts)
      : facts_{std::move(facts)}, valid_{std::make_unique<bool[]>(facts_.checks.size())} {
    std::transform(facts_.checks.begin(), facts_.checks.end(), valid_.get(),
                   [](const Check& check) { return check.valid_after_exit; });
    StartFSM fsm{std::span{valid_.get(), facts_.checks.size()}, timeline};
    for (int rounds = 0; rounds < 200; ++rounds) {
      const bool due = std::exchange(rests_, false) && (attempt_ends_ || now_ >= resume_at_);
      fsm.resume(epoch + now_, has_news(), due);
      if (now_ >= facts_.cancelled_at && !failed_) fail(fsm, "cancelled");
      if (!carry_out(fsm)) {
        reason = fsm.reason();
        return;
      }
    }
    note("without end");
  }

  std::string text;
  std::string reason;  // the last one
  mk::Timeline timeline;

 private:
  using Moment = std::chrono::milliseconds;

  void note(const std::string& action) {
    text += (text.empty() ? "" : ", ") + action;
    if (std::exchange(noted_, now_) != now_) text += '@' + std::to_string(now_.count());
  }

  bool has_news() {
    if (!facts_.has_event) return spawned_;
    return now_ >= facts_.exits_at && !std::exchange(saw_exit_, true);
  }

  void fail(StartFSM& fsm, const std::string& how) {
    note(how);
    failed_ = true;
    fsm.failed();
  }

  /// Carries actions out until the next wait; false at the end.
  bool carry_out(StartFSM& fsm) {
    for (;;) {
      const auto action = fsm.next();
      const auto number = ' ' + std::to_string(fsm.check() + 1);
      auto* const check = fsm.all_passed() ? nullptr : &facts_.checks[fsm.check()];
      switch (action) {
        case Action::begin:
          fsm.begun();
          break;
        case Action::precheck:
          note("precheck" + number);
          check->precheck < 0ms ? fsm.prechecked(check->already_true) : begin_probe(fsm);
          break;
        case Action::spawn:
          note("spawn");
          spawned_ = true;
          fsm.spawned(facts_.budget);
          return true;
        case Action::observe:
          fsm.observed(now_ < facts_.exits_at || facts_.descendants_live,
                       now_ < facts_.exits_at ? std::nullopt : std::optional{facts_.exit_code});
          if (fsm.exited()) note("exited");
          break;
        case Action::probe:
          note("probe" + number);
          begin_probe(fsm);
          break;
        case Action::poll:
          poll(fsm, *check);
          return true;
        case Action::close:
          note("close");
          closed_ = true;
          if (attempt_ends_) attempt_ends_ = now_ + check->close_takes;
          fsm.closed(attempt_ends_.has_value());
          break;
        case Action::wait:
          wait(fsm);
          return true;
        case Action::refuse:
          fail(fsm, "refuse" + number);
          break;
        case Action::exit:
          fail(fsm, "fail: exit " + std::to_string(fsm.exit_code()));
          break;
        case Action::time_out:
          fail(fsm, "fail: time out");
          break;
        case Action::done:
          note("done");
          return false;
        case Action::end:
          note("end");
          return false;
      }
    }
  }

  void begin_probe(StartFSM& fsm) {
    attempt_ends_.reset();
    closed_ = false;
    fsm.probed();
  }

  void poll(StartFSM& fsm, const Check& check) {
    if (now_ >= check.throws_at && !failed_) return fail(fsm, "throws");
    const auto takes = spawned_ ? check.takes : check.precheck;
    if (!attempt_ends_ && !closed_ && takes > 0ms) attempt_ends_ = now_ + takes;
    if (attempt_ends_ && now_ < *attempt_ends_) {
      note("try");
      return fsm.polled({}, true);
    }
    attempt_ends_.reset();
    resume_at_ = now_ + check.pause;
    const bool ready = closed_    ? check.last_look
                       : spawned_ ? now_ >= check.ready_at
                                  : check.already_true;
    note(ready ? "ready" : "not ready");
    fsm.polled(ready ? mk::Readiness{true} : mk::not_ready(check.reason), false);
  }

  /// Goes on at the first moment that ends the wait.
  void wait(const StartFSM& fsm) {
    mk::WaitSet waits;
    fsm.wait(waits, facts_.has_event);
    auto next = attempt_ends_.value_or(closed_ ? Moment{24h} : resume_at_);
    if (waits.deadline() != mk::TimePoint::max())
      next = std::min(next, std::chrono::ceil<Moment>(waits.deadline() - epoch));
    if (spawned_ && facts_.has_event && !saw_exit_) next = std::min(next, facts_.exits_at);
    if (!failed_) next = std::min(next, facts_.cancelled_at);
    now_ = std::max(now_, next);
    rests_ = true;
  }

  Facts facts_;
  std::unique_ptr<bool[]> valid_;
  Moment now_{0}, noted_{0}, resume_at_{0};
  std::optional<Moment> attempt_ends_;  // of an attempt under way
  bool spawned_ = false, rests_ = false, closed_ = false, failed_ = false, saw_exit_ = false;
};

std::string told(Facts facts) { return Story{std::move(facts)}.text; }

}  // namespace

TEST_CASE("StartFSM: an executor without checks is ready with the spawn") {
  CHECK(told({}) == "spawn, done");
}

TEST_CASE("StartFSM: a check that is ready at once is polled once") {
  CHECK(told({.checks = {{.ready_at = 0ms}}}) == "precheck 1, spawn, probe 1, ready, done");
}

TEST_CASE("StartFSM: the checks follow one another") {
  CHECK(told({.checks = {{.ready_at = 150ms}, {.ready_at = 0ms}}}) ==
        "precheck 1, precheck 2, spawn, probe 1, not ready, not ready@100, ready@200, probe 2, "
        "ready, done");
}

TEST_CASE("StartFSM: an attempt that takes time is continued when it is due") {
  CHECK(told({.checks = {{.ready_at = 0ms, .takes = 30ms}}}) ==
        "precheck 1, spawn, probe 1, try, ready@30, done");
}

// Before the spawn.

TEST_CASE("StartFSM: a check that is true already refuses the start before the spawn") {
  CHECK(told({.checks = {{.already_true = true}}}) == "precheck 1, refuse 1, end");
}

TEST_CASE("StartFSM: a precheck by a probe refuses the start when it has an answer") {
  CHECK(told({.checks = {{}, {.already_true = true, .precheck = 20ms}}}) ==
        "precheck 1, precheck 2, try, ready@20, refuse 2, close, end");
}

TEST_CASE("StartFSM: a precheck is asked once, and the check has a fresh probe after the spawn") {
  CHECK(told({.checks = {{.precheck = 20ms, .ready_at = 0ms}}}) ==
        "precheck 1, try, not ready@20, spawn, probe 1, ready, done");
}

// The deadline.

TEST_CASE("StartFSM: the deadline ends the start after a last look") {
  CHECK(told({.checks = {{}}, .budget = 250ms}) ==
        "precheck 1, spawn, probe 1, not ready, not ready@100, not ready@200, close@250, not "
        "ready, fail: time out, close, end");
}

TEST_CASE("StartFSM: the deadline comes between attempts that take time") {
  CHECK(told({.checks = {{.takes = 30ms}}, .budget = 250ms}) ==
        "precheck 1, spawn, probe 1, try, not ready@30, try@130, not ready@160, close@250, not "
        "ready, fail: time out, close, end");
}

TEST_CASE("StartFSM: the deadline calls an attempt off and waits for its end") {
  CHECK(told({.checks = {{.takes = 10s, .close_takes = 40ms}}, .budget = 250ms}) ==
        "precheck 1, spawn, probe 1, try, try@250, close, try, not ready@290, fail: time out, "
        "close, end");
}

TEST_CASE("StartFSM: the last look at the deadline may be ready") {
  CHECK(told({.checks = {{.last_look = true}}, .budget = 250ms}) ==
        "precheck 1, spawn, probe 1, not ready, not ready@100, not ready@200, close@250, ready, "
        "done");
}

TEST_CASE("StartFSM: a check after the deadline is tried once") {
  CHECK(told({.checks = {{.last_look = true}, {.ready_at = 0ms}}, .budget = 250ms}) ==
        "precheck 1, precheck 2, spawn, probe 1, not ready, not ready@100, not ready@200, "
        "close@250, ready, probe 2, ready, done");
}

TEST_CASE("StartFSM: a check after the deadline that is not ready fails the start") {
  CHECK(told({.checks = {{.last_look = true}, {}}, .budget = 250ms}) ==
        "precheck 1, precheck 2, spawn, probe 1, not ready, not ready@100, not ready@200, "
        "close@250, ready, probe 2, not ready, close, not ready, fail: time out, close, end");
}

TEST_CASE("StartFSM: with a budget of zero each check is tried once") {
  CHECK(told({.checks = {{.ready_at = 0ms}, {.ready_at = 0ms}}, .budget = 0ms}) ==
        "precheck 1, precheck 2, spawn, probe 1, ready, probe 2, ready, done");
}

TEST_CASE("StartFSM: a budget of zero ends the start with the first answer") {
  CHECK(told({.checks = {{}}, .budget = 0ms}) ==
        "precheck 1, spawn, probe 1, not ready, close, not ready, fail: time out, close, end");
}

TEST_CASE("StartFSM: a pause that is longer than the budget ends with it") {
  CHECK(told({.checks = {{.pause = 10s}}, .budget = 3s}) ==
        "precheck 1, spawn, probe 1, not ready, close@3000, not ready, fail: time out, close, end");
}

// The process's end.

TEST_CASE("StartFSM: an exit with an error fails the start at once") {
  CHECK(told({.checks = {{}}, .exits_at = 150ms, .exit_code = 3}) ==
        "precheck 1, spawn, probe 1, not ready, not ready@100, exited@150, close, fail: exit 3, "
        "close, end");
}

TEST_CASE("StartFSM: an exit with 0 that leaves no process fails the start at once") {
  CHECK(told({.checks = {{}}, .exits_at = 150ms}) ==
        "precheck 1, spawn, probe 1, not ready, not ready@100, exited@150, close, fail: exit 0, "
        "close, end");
}

TEST_CASE("StartFSM: an exit with 0 is waited on while descendants live") {
  CHECK(told({.checks = {{.ready_at = 250ms}}, .exits_at = 150ms, .descendants_live = true}) ==
        "precheck 1, spawn, probe 1, not ready, not ready@100, not ready@200, ready@300, done");
}

TEST_CASE("StartFSM: an exit with an error counts although descendants live") {
  CHECK(told({.checks = {{}}, .exits_at = 150ms, .exit_code = 3, .descendants_live = true}) ==
        "precheck 1, spawn, probe 1, not ready, not ready@100, exited@150, close, fail: exit 3, "
        "close, end");
}

TEST_CASE("StartFSM: an exit before the first attempt leaves nothing to try") {
  CHECK(told({.checks = {{.ready_at = 0ms}}, .exits_at = 0ms}) ==
        "precheck 1, spawn, exited, fail: exit 0, end");
}

TEST_CASE("StartFSM: an exit comes before an attempt that begins at the same moment") {
  CHECK(told({.checks = {{.ready_at = 100ms}}, .exits_at = 100ms, .exit_code = 3}) ==
        "precheck 1, spawn, probe 1, not ready, exited@100, close, fail: exit 3, close, end");
}

TEST_CASE("StartFSM: an exit calls an attempt off and waits for its end") {
  CHECK(
      told({.checks = {{.takes = 10s, .close_takes = 40ms}}, .exits_at = 150ms, .exit_code = 3}) ==
      "precheck 1, spawn, probe 1, try, try@150, exited, close, try, not ready@190, fail: exit 3, "
      "close, end");
}

TEST_CASE("StartFSM: without an event of its end a process is looked at with each wait") {
  CHECK(told({.checks = {{}}, .exits_at = 150ms, .exit_code = 3, .has_event = false}) ==
        "precheck 1, spawn, probe 1, not ready, not ready@100, exited@151, close, fail: exit 3, "
        "close, end");
}

// Checks of the remains of a process.

TEST_CASE("StartFSM: a check that is valid after the exit takes a last look") {
  CHECK(told({.checks = {{.valid_after_exit = true, .last_look = true}}, .exits_at = 150ms}) ==
        "precheck 1, spawn, probe 1, not ready, not ready@100, exited@150, close, ready, done");
}

TEST_CASE("StartFSM: a last look that is not ready fails the start") {
  CHECK(told({.checks = {{.valid_after_exit = true}}, .exits_at = 150ms}) ==
        "precheck 1, spawn, probe 1, not ready, not ready@100, exited@150, close, not ready, fail: "
        "exit 0, close, end");
}

TEST_CASE("StartFSM: a last look does not hide an exit with an error") {
  CHECK(told({.checks = {{.valid_after_exit = true, .last_look = true}},
              .exits_at = 150ms,
              .exit_code = 3}) ==
        "precheck 1, spawn, probe 1, not ready, not ready@100, exited@150, close, ready, fail: "
        "exit 3, end");
}

TEST_CASE("StartFSM: each check that is left takes a last look") {
  CHECK(told({.checks = {{.valid_after_exit = true, .last_look = true},
                         {.valid_after_exit = true, .last_look = true}},
              .exits_at = 150ms}) ==
        "precheck 1, precheck 2, spawn, probe 1, not ready, not ready@100, exited@150, close, "
        "ready, probe 2, close, ready, done");
}

TEST_CASE("StartFSM: a check that is not valid after the exit has no last look") {
  CHECK(told({.checks = {{.valid_after_exit = true, .last_look = true}, {.ready_at = 0ms}},
              .exits_at = 150ms}) ==
        "precheck 1, precheck 2, spawn, probe 1, not ready, not ready@100, exited@150, close, "
        "ready, fail: exit 0, end");
}

TEST_CASE("StartFSM: a check that was never tried takes its only look after the exit") {
  CHECK(told({.checks = {{.valid_after_exit = true}}, .exits_at = 0ms}) ==
        "precheck 1, spawn, exited, probe 1, close, not ready, fail: exit 0, close, end");
}

TEST_CASE("StartFSM: an answer of the same moment counts before the exit") {
  CHECK(told({.checks = {{.ready_at = 0ms, .takes = 150ms},
                         {.valid_after_exit = true, .last_look = true}},
              .exits_at = 150ms}) ==
        "precheck 1, precheck 2, spawn, probe 1, try, ready@150, exited, probe 2, close, ready, "
        "done");
}

TEST_CASE("StartFSM: an attempt that is called off leads to the last look") {
  CHECK(
      told({.checks =
                {{.takes = 10s, .close_takes = 40ms, .valid_after_exit = true, .last_look = true}},
            .exits_at = 150ms}) ==
      "precheck 1, spawn, probe 1, try, try@150, exited, close, try, ready@190, done");
}

// Cancellation and exceptions.

TEST_CASE("StartFSM: a start cancelled at its begin does nothing") {
  CHECK(told({.checks = {{}}, .cancelled_at = 0ms}) == "cancelled, end");
}

TEST_CASE("StartFSM: a cancellation calls a precheck off") {
  CHECK(told({.checks = {{.precheck = 100ms}}, .cancelled_at = 50ms}) ==
        "precheck 1, try, cancelled@50, close, not ready, end");
}

TEST_CASE("StartFSM: a cancellation comes between two attempts") {
  CHECK(told({.checks = {{}}, .cancelled_at = 50ms}) ==
        "precheck 1, spawn, probe 1, not ready, cancelled@50, close, end");
}

TEST_CASE("StartFSM: a cancellation calls an attempt off and waits for its end") {
  CHECK(told({.checks = {{.takes = 10s, .close_takes = 40ms}}, .cancelled_at = 50ms}) ==
        "precheck 1, spawn, probe 1, try, cancelled@50, close, try, not ready@90, end");
}

TEST_CASE("StartFSM: a cancellation after the deadline waits for the same attempt") {
  CHECK(told({.checks = {{.takes = 10s, .close_takes = 40ms}},
              .budget = 30ms,
              .cancelled_at = 50ms}) ==
        "precheck 1, spawn, probe 1, try, try@30, close, try, cancelled@50, close, try, not "
        "ready@90, end");
}

TEST_CASE("StartFSM: a cancellation after the exit waits for the same attempt") {
  CHECK(told({.checks = {{.takes = 10s, .close_takes = 400ms}},
              .exits_at = 30ms,
              .cancelled_at = 50ms}) ==
        "precheck 1, spawn, probe 1, try, try@30, exited, close, try, cancelled@50, close, try, "
        "not ready@450, end");
}

TEST_CASE("StartFSM: an exception of a check ends the start") {
  CHECK(told({.checks = {{.throws_at = 100ms}}}) ==
        "precheck 1, spawn, probe 1, not ready, throws@100, close, end");
}

TEST_CASE("StartFSM: the last reason of the check at hand is kept") {
  CHECK(Story{{.checks = {{.reason = "HTTP 503"}}, .budget = 250ms}}.reason == "HTTP 503");
  const Story second{{.checks = {{.ready_at = 100ms, .reason = "refused"}, {}}, .budget = 250ms}};
  CHECK(second.reason.empty());
}

TEST_CASE("StartFSM: the timeline has the moments and the attempts of each check") {
  const Story story{{.checks = {{.ready_at = 150ms}, {.ready_at = 250ms, .takes = 30ms}}}};
  const auto& [spawned, checks, ready] = story.timeline;
  CHECK(spawned == epoch);
  REQUIRE(checks.size() == 2);
  CHECK(checks[0].first_tried == epoch);
  CHECK(checks[0].passed == epoch + 200ms);
  CHECK(checks[0].attempts == 3);
  CHECK(checks[1].first_tried == epoch + 200ms);
  CHECK(checks[1].passed == epoch + 360ms);
  CHECK(checks[1].attempts == 2);
}

TEST_CASE("StartFSM: a process is looked at each second, or after half of it by the way") {
  mk::Timeline timeline;
  const bool valid[] = {false};
  StartFSM waiting{valid, timeline};
  waiting.resume(epoch, false, false);
  waiting.begun();
  waiting.prechecked(false);
  waiting.spawned(1h);
  REQUIRE(waiting.next() == Action::observe);
  waiting.observed(true, {});
  REQUIRE(waiting.next() == Action::probe);
  waiting.probed();
  waiting.polled({}, true);
  waiting.resume(epoch + 499ms, false, false);
  CHECK(waiting.next() == Action::wait);
  mk::WaitSet waits;
  waiting.wait(waits, true);
  CHECK(waits.deadline() == epoch + 1s);
  waiting.resume(epoch + 500ms, false, false);
  CHECK(waiting.next() == Action::observe);
}

TEST_CASE("StartFSM: a budget without end has no deadline") {
  CHECK(told({.checks = {{.ready_at = 60s, .pause = 30s}},
              .budget = std::chrono::nanoseconds::max()}) ==
        "precheck 1, spawn, probe 1, not ready, not ready@30000, ready@60000, done");
}
