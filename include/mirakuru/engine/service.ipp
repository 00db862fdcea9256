// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <algorithm>

#include <mirakuru/engine/advice.hpp>
#include <mirakuru/engine/service.hpp>
#include <mirakuru/os/proc.hpp>
#include <mirakuru/spawn/wrap.hpp>

namespace mirakuru::detail {

inline void not_negative(std::chrono::nanoseconds span, const char* what) {
  if (span < std::chrono::nanoseconds::zero())
    throw std::invalid_argument{std::string{what} + " is negative"};
}

MIRAKURU_DECL bool leaves_core(int exit_code) noexcept {
  constexpr int signals[] = {SIGQUIT, SIGILL,  SIGTRAP, SIGABRT, SIGBUS,
                             SIGFPE,  SIGSEGV, SIGXCPU, SIGXFSZ, SIGSYS};
  return std::ranges::find(signals, -exit_code) != std::end(signals);
}

MIRAKURU_DECL void check_signals(std::span<const SignalStep> steps) {
  for (const auto& step : steps) {
    if (step.signal < 1 || step.signal > SIGRTMAX)
      throw std::invalid_argument{"not a signal: " + std::to_string(step.signal)};
    not_negative(step.wait, "the wait after a signal");
  }
}

MIRAKURU_DECL void check_budget(std::chrono::nanoseconds start, std::chrono::nanoseconds stop) {
  not_negative(start, "the start budget");
  not_negative(stop, "the stop budget");
}

MIRAKURU_DECL bool is_accepted(int exit_code, const std::vector<int>& accept,
                               const std::vector<int>& signals) {
  return exit_code == 0 || std::count(accept.begin(), accept.end(), exit_code) > 0 ||
         std::any_of(signals.begin(), signals.end(), [exit_code](int signal) {
           return exit_code == -signal || exit_code == 128 + signal;
         });
}

MIRAKURU_DECL bool ServiceBase::has_ended_badly(std::span<const SignalStep> steps,
                                                const std::vector<int>& accept) const {
  std::vector<int> numbers;
  for (const auto& step : steps) numbers.push_back(step.signal);
  return exit_code && (!is_accepted(*exit_code, accept, numbers) || has_trouble());
}

MIRAKURU_DECL Event ServiceBase::bad_end(bool by_itself) const {
  return EndedBadly{command.text(), exit_code.value_or(0), by_itself, trouble, last_line(streams)};
}

MIRAKURU_DECL Event ServiceBase::failed_stop(const std::exception& error) const {
  const std::string text = error.what();
  return StopFailed{command.text(), text.substr(0, text.find('\n'))};
}

MIRAKURU_DECL std::array<SignalStep, 1> single_step(int signal) {
  const std::array<SignalStep, 1> steps{{{signal, std::chrono::nanoseconds::max()}}};
  check_signals(steps);
  return steps;
}

MIRAKURU_DECL ServiceBase::ServiceBase(ResolvedCommand resolved)
    : command{std::move(resolved)}, wrap{wrap_words(command.words().at(0))} {}
MIRAKURU_DECL ServiceBase::ServiceBase(ServiceBase&&) noexcept = default;
MIRAKURU_DECL ServiceBase::~ServiceBase() = default;

MIRAKURU_DECL void ServiceBase::reset_last_run() {
  streams = {};
  timeline = {};
  exit_code.reset();
  stragglers.clear();
  trouble.clear();
  refused = examined = false;
  backtrace.clear();
  reports.clear();
  told = false;
}

MIRAKURU_DECL LaunchRequest ServiceBase::prepare(UniqueFd& child_input,
                                                 std::span<const SignalStep> steps,
                                                 std::chrono::nanoseconds stop_budget,
                                                 std::chrono::nanoseconds start_budget) {
  if (command.words().empty()) throw std::logic_error{"this executor has been moved from"};
  auto pipe = make_pipe();
  child_input = std::move(pipe.reading);
  input = std::move(pipe.writing);
  auto words = wrap;
  words.insert(words.end(), command.words().begin(), command.words().end());
  return {.words = std::move(words),
          .cwd = command.cwd(),
          .env = command.env(),
          .id = command.id(),
          .in = child_input.get(),
          .out = streams.out().fd(),
          .err = streams.err().fd(),
          .steps = {steps.begin(), steps.end()},
          .stop_budget = stop_budget,
          .start_budget = start_budget};
}

MIRAKURU_DECL void ServiceBase::close() {
  input.reset();
  changes.close();
}

MIRAKURU_DECL void ServiceBase::throw_not_started() const {
  throw ExecutorError{
      error_context(Clock::now())
          .message(has_started() ? "it has been stopped" : "it has not been started")};
}

MIRAKURU_DECL void ServiceBase::throw_ended(TimePoint now) {
  told = true;
  error_context(now).throw_exited(exit_code.value_or(0), " while the test needed it");
}

MIRAKURU_DECL void ServiceBase::throw_spawn_error(std::chrono::nanoseconds start_budget) {
  input.reset();
  const auto context = error_context(Clock::now());
  try {
    throw;
  } catch (const SpawnFailure& failure) {
    if (failure.code() == std::errc::timed_out)
      throw TimeoutExpired{context.message(failure.what()), start_budget};
    throw SpawnError{context.message(failure.what()), failure.code()};
  } catch (const std::system_error& error) {
    throw SpawnError{context.message(std::string{"cannot start: "} + error.what()), error.code()};
  }
}

MIRAKURU_DECL std::string ServiceBase::describe(pid_t pid) const {
  std::string state = exit_code                   ? exit_headline(*exit_code)
                      : pid == 0                  ? "not started"
                      : process_stat(pid).lives() ? "running"
                                                  : "ended";
  if (pid != 0) state = "pid " + std::to_string(pid) + ", " + state;
  return command.text() + " (" + state + ')';
}

MIRAKURU_DECL void ServiceBase::record(const std::vector<Straggler>& news) { stragglers = news; }
MIRAKURU_DECL void ServiceBase::record(const std::string& news) { trouble = news; }

MIRAKURU_DECL ErrorContext ServiceBase::error_context(TimePoint now, std::string awaited,
                                                      std::string reason) const {
  ErrorContext context{
      .command = command.text(),
      .awaited = std::move(awaited),
      .waited = timeline.spawned == TimePoint{} ? Clock::duration{} : now - timeline.spawned,
      .reason = std::move(reason),
      .trouble = trouble,
      .backtrace = backtrace,
      .reports = reports,
      .output = streams.out().excerpt(),
      .err_output = streams.err().excerpt()};
  if (where.line() != 0)
    context.started_at = std::string{where.file_name()} + ':' + std::to_string(where.line());
  if (!wrap.empty())
    context.note("MIRAKURU_WRAP runs it by '" + quote_words(wrap) +
                 "', with 20 times the start budget");
  context.note(shell_advice(command.words()));
  context.note(disk_advice(streams));
  return context;
}

}  // namespace mirakuru::detail
