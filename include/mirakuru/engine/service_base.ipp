// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <algorithm>
#include <fstream>
#include <sstream>

#include <mirakuru/engine/loop.hpp>
#include <mirakuru/engine/service_base.hpp>
#include <mirakuru/os/ascii.hpp>
#include <mirakuru/os/file_name.hpp>
#include <mirakuru/os/proc.hpp>
#include <mirakuru/os/signals_blocked.hpp>
#include <mirakuru/report/advice.hpp>
#include <mirakuru/spawn/guardian/lease_message.hpp>
#include <mirakuru/spawn/wrap.hpp>
#include <mirakuru/text/cut.hpp>
#include <mirakuru/text/phrases.hpp>

namespace mirakuru::detail {

MIRAKURU_DECL void not_negative(std::chrono::nanoseconds span, const char* name) {
  if (span < std::chrono::nanoseconds::zero())
    throw std::invalid_argument{std::string{name} + " is negative"};
}

MIRAKURU_DECL bool leaves_core(int exit_code) noexcept {
  constexpr int signals[] = {SIGQUIT, SIGILL,  SIGTRAP, SIGABRT, SIGBUS,
                             SIGFPE,  SIGSEGV, SIGXCPU, SIGXFSZ, SIGSYS};
  const int signal = exit_code < 0 ? -exit_code : exit_code - 128;
  return std::ranges::find(signals, signal) != std::end(signals);
}

MIRAKURU_DECL void check_signals(std::span<const SignalStep> steps) {
  for (const auto& step : steps) {
    if (step.signal < 1 || step.signal > SIGRTMAX)
      throw std::invalid_argument{"not a signal: " + std::to_string(step.signal)};
    not_negative(step.wait, "the wait after a signal");
  }
}

MIRAKURU_DECL void check_shared(const Shared& shared) {
  if (shared.name.str().empty())
    throw std::invalid_argument{"the name of a shared service is empty"};
  not_negative(shared.linger, "the linger time");
  std::size_t size = 0;
  for (const auto& [name, value] : shared.publish) size += name.size() + value.str().size() + 24;
  if (size + 24 > LeaseHead::most)
    throw std::invalid_argument{"a shared service publishes more than 60 KB"};
}

MIRAKURU_DECL bool is_accepted(int exit_code, const std::vector<int>& accept,
                               const std::vector<int>& signals) {
  return exit_code == 0 || std::count(accept.begin(), accept.end(), exit_code) > 0 ||
         std::ranges::any_of(signals, [exit_code](int signal) {
           return exit_code == -signal || exit_code == 128 + signal;
         });
}

MIRAKURU_DECL bool ServiceBase::has_ended_badly(std::span<const SignalStep> steps,
                                                const std::vector<int>& accept) const {
  std::vector<int> numbers;
  for (const auto& step : steps) numbers.push_back(step.signal);
  return exit_code && (!is_accepted(*exit_code, accept, numbers) || has_trouble());
}

/// The first line of a post-mortem's reports that is no headline; empty for none.
[[gnu::cold]] inline std::string first_report(const std::string& reports) {
  std::istringstream lines{reports};
  std::string line;
  while (std::getline(lines >> std::ws, line) && line.ends_with(':')) {
  }
  return line;
}

[[gnu::cold]] MIRAKURU_DECL Event ServiceBase::bad_end(bool by_itself) const {
  return EndedBadly{command.text(), exit_code.value_or(0), by_itself, trouble, last_line(streams),
                    waited_for,     first_report(reports)};
}

MIRAKURU_DECL std::array<SignalStep, 1> single_step(int signal) {
  const std::array<SignalStep, 1> steps{{{signal, std::chrono::nanoseconds::max()}}};
  check_signals(steps);
  return steps;
}

MIRAKURU_DECL ServiceBase::ServiceBase(ResolvedCommand resolved, const ServiceCalls* of_type)
    : calls{of_type}, command{std::move(resolved)}, wrap{wrap_words(command.words().at(0))} {}
MIRAKURU_DECL ServiceBase::ServiceBase(ServiceBase&&) noexcept = default;
MIRAKURU_DECL ServiceBase::~ServiceBase() = default;

MIRAKURU_DECL void ServiceBase::clear() {
  calls->process->clear(*this);
  close();
}

MIRAKURU_DECL ProbeContext ServiceBase::context_of_process() const {
  ProbeContext context{.guardian = guardian(), .far = far(), .event = event()};
  if (calls->add_place != nullptr) calls->add_place(*this, context);
  return context;
}

MIRAKURU_DECL void ServiceBase::report(const Event& event) noexcept {
  if (::getpid() != owner) return;
  try {
    calls->report(*this, event);
  } catch (...) {  // it must not change the course of things
  }
}

MIRAKURU_DECL bool ServiceBase::reports_steps() const noexcept try {
  return calls->wants_steps == nullptr || calls->wants_steps(*this);
} catch (...) {  // it must not change the course of things
  return true;
}

[[gnu::cold]] MIRAKURU_DECL void ServiceBase::report_end(bool by_itself) {
  if (std::exchange(told, true)) return;
  // In a failed test it would say the same twice.
  const bool is_told = tell_observer(by_itself);
  if (!is_told || !calls->default_reporter) report(bad_end(by_itself));
}

[[gnu::cold]] MIRAKURU_DECL void ServiceBase::report_failed_stop() noexcept try {
  throw;
} catch (const std::exception& error) {
  const std::string text = error.what();
  report(StopFailed{command.text(), text.substr(0, text.find('\n'))});
} catch (...) {  // there is nothing to tell
}

MIRAKURU_DECL std::array<SignalStep, 1> ServiceBase::kill_steps() const {
  return single_step(terms().kill);
}

MIRAKURU_DECL ExitPolicy ServiceBase::kill_policy() {
  return !alive() || exit_code ? ExitPolicy::report : ExitPolicy::ignore;
}

MIRAKURU_DECL Fate ServiceBase::fate_of(Observed& service) {
  auto& self = static_cast<ServiceBase&>(service);
  if (!self.has_process() || self.told) return Fate::stopped;
  const bool lives = self.alive();
  if (!self.ended_badly())
    return !lives ? Fate::ended : self.exit_code ? Fate::headless : Fate::running;
  self.report_end(true);
  return Fate::ended_badly;
}

MIRAKURU_DECL void ServiceBase::begin_start() {
  if (has_process() && ended_badly()) report_end(true);
  clear();
  reset_last_run();
}

MIRAKURU_DECL void ServiceBase::take_streams(OutputStreams its_streams) {
  streams = std::move(its_streams);
  be_observed(&fate_of);
}

[[gnu::cold]] MIRAKURU_DECL void ServiceBase::add_terms(LaunchRequest& request,
                                                        std::span<const SignalStep> steps) {
  const auto its = terms();
  request.steps.assign(steps.begin(), steps.end());
  request.stop_budget = its.stop;
  request.start_budget = its.start;
  request.head_start = its.head_start;
  request.still_waits = [this](std::chrono::nanoseconds waited) { report_not_executed(waited); };
}

[[gnu::cold]] MIRAKURU_DECL void ServiceBase::report_not_executed(std::chrono::nanoseconds waited) {
  report(StillWaiting{command.text(), "its execution", {}, waited, terms().start, {}});
}

MIRAKURU_DECL void ServiceBase::begin_run() {
  last_pid = pid();
  if (observer() != nullptr) observer()->started(*this, last_pid);
  streams.close_terminal();
}

MIRAKURU_DECL void ServiceBase::check_terms(std::span<const SignalStep> steps) const {
  const auto its = terms();
  not_negative(its.start, "the start budget");
  not_negative(its.stop, "the stop budget");
  check_signals(steps);
  not_negative(its.head_start, "the wait before the first signal");
  (void)single_step(its.kill);
}

MIRAKURU_DECL std::chrono::nanoseconds ServiceBase::slowed(
    std::chrono::nanoseconds start_budget) const {
  if (wrap.empty()) return start_budget;
  constexpr auto longest = std::chrono::nanoseconds::max();
  return start_budget < longest / 20 ? start_budget * 20 : longest;
}

MIRAKURU_DECL void ServiceBase::reset_last_run() {
  owner = ::getpid();
  streams = {};
  timeline = {};
  exit_code.reset();
  stragglers.clear();
  trouble.clear();
  port = 0;
  refused = examined = paused = joined = false;
  input_ends_line = true;
  stop_note.clear();
  backtrace.clear();
  reports.clear();
  post_mortem_note.clear();
  told = waited_for = false;
}

[[gnu::cold]] MIRAKURU_DECL std::string ServiceBase::label() const {
  const auto& text = command.text();  // its first word, or "sh" for the line of a shell
  const auto first = text.substr(0, text.find(' '));
  const bool is_name = std::ranges::all_of(
      first, [](char c) { return is_word(c) || c == '-' || c == '.' || c == '/' || c == '+'; });
  constexpr std::size_t longest = 100;
  return (is_name ? shortened(first.substr(first.rfind('/') + 1), longest) : "sh");
}

/// The files of a command that runs as another user become its own.
[[gnu::cold]] MIRAKURU_DECL void ServiceBase::give_to_user(const LaunchRequest& request) const {
  const auto user = identity_of(request.user);
  if (!user) return;
  if (!request.scratch.empty()) (void)!::lchown(request.scratch.c_str(), user->user, user->group);
  for (const int fd : {request.in, request.out, request.err}) give_to(*user, fd);
  for (const int fd : {input ? request.in : -1, streams.terminal().get()})  // ours, too
    (void)!::fchown(fd, user->user, static_cast<gid_t>(-1));
}

/// The guardian copies the output: to the test, or from a terminal.
[[gnu::cold]] MIRAKURU_DECL void ServiceBase::add_relays(LaunchRequest& request,
                                                         bool input_is_terminal) {
  if (const auto& target = streams.copy_to())
    for (const int from : {request.out, request.err})
      request.relays.push_back({.from = from, .to = target.get(), .label = label() + ": "});
  if (const auto& terminal = streams.terminal()) {
    request.relays.clear();
    request.relays.push_back(
        {.from = streams.controlling().get(), .to = request.out, .from_terminal = true});
    request.out = request.err = terminal.get();
    request.terminal = true;
    if (input_is_terminal) {
      request.in = terminal.get();
      input = checked_fd(::fcntl(streams.controlling().get(), F_DUPFD_CLOEXEC, 3),
                         "fcntl F_DUPFD_CLOEXEC");
    }
  }
}

[[gnu::cold]] MIRAKURU_DECL LaunchRequest ServiceBase::prepare(InputStream& from,
                                                               bool input_is_terminal) {
  if (command.words().empty()) throw std::logic_error{"this executor has been moved from"};
  auto request = ask_for(command);
  request.words.insert(request.words.begin(), wrap.begin(), wrap.end());
  input = std::move(from.writing);
  request.in = from.reading.get();
  request.out = streams.out().fd();
  request.err = streams.err().fd();
  request.limits = limits;
  if (!command.scratch().empty()) {
    request.scratch = absolute_path(command.scratch());
  }
  if (!request.user.empty()) give_to_user(request);
  if (streams.copy_to() || streams.terminal()) add_relays(request, input_is_terminal);
  return request;
}

MIRAKURU_DECL void ServiceBase::write(std::string_view text, std::chrono::nanoseconds timeout) {
  const auto begin = Clock::now();
  const auto deadline = after(begin, timeout);
  const auto fail = [&](const std::string& reason) {
    return error_context(Clock::now()).message("cannot write to its standard input: " + reason);
  };
  if (joined) throw ExecutorError{fail("another program has started it, and has its input")};
  if (!input) throw ExecutorError{fail("it is closed")};
  const int flags = ::fcntl(input.get(), F_GETFL);
  if ((flags & O_NONBLOCK) == 0) ::fcntl(input.get(), F_SETFL, flags | O_NONBLOCK);
  const PipeSignalBlocked blocked;
  for (std::size_t done = 0; done < text.size();) {
    const auto size = ::write(input.get(), text.data() + done, text.size() - done);
    if (size >= 0) {
      done += static_cast<std::size_t>(size);
      input_ends_line = done > 0 && text[done - 1] == '\n';
    } else if (errno == EAGAIN) {
      const auto now = Clock::now();
      if (now >= deadline)
        throw TimeoutExpired{
            fail("it has not read " + std::to_string(text.size() - done) + " of " +
                 std::to_string(text.size()) + " bytes within " + to_text(timeout)),
            timeout};
      WaitSet waits;
      waits.add(input.get(), POLLOUT);
      waits.until(deadline);
      PollLoop{}.wait(waits);
    } else if (errno != EINTR) {
      throw ExecutorError{fail(reason_text({errno, std::generic_category()}))};
    }
  }
}

MIRAKURU_DECL void ServiceBase::close_input(std::chrono::nanoseconds timeout) {
  // VEOF of termios(3) hands an unfinished line over; only behind that it is the end.
  if (input && streams.controlling()) write(input_ends_line ? "\4" : "\4\4", timeout);
  input.reset();
}

[[gnu::cold]] MIRAKURU_DECL std::string ServiceBase::keep_output() const noexcept try {
  if (keep_dir.empty() || !has_started()) return {};
  make_directories(keep_dir);
  const auto& program = command.words().at(0);
  const auto place =
      keep_dir + '/' + program.substr(program.rfind('/') + 1) + '-' + std::to_string(last_pid);
  std::string note;
  for (const auto& [file, ending] : {std::pair{&streams.out(), ".out"}, {&streams.err(), ".err"}}) {
    if (file->size() == 0) continue;
    std::ofstream copy{place + ending, std::ios::binary};
    std::string block(64 * 1024, '\0');
    for (long long at = 0; const auto size = file->read(at, block); at += std::ssize(block))
      copy.write(block.data(), static_cast<std::streamsize>(size));
    note += (note.empty() ? "its output is kept in " : " and ") + place + ending;
    if (!copy.flush()) note += " (incomplete)";
  }
  return note;
} catch (const std::exception& error) {
  return std::string{"its output cannot be kept: "} + error.what();
}

MIRAKURU_DECL std::vector<ListeningSocket> ServiceBase::listening(pid_t leader,
                                                                  pid_t guardian) const {
  if (leader == 0) throw_not_running();
  bool complete = false;
  auto sockets = listening_sockets(leader, guardian, complete);
  if (sockets.empty() && !complete)
    throw ExecutorError{
        error_context(Clock::now())
            .message("its ports are unknown: /proc hides the descriptors of its processes")};
  return sockets;
}

MIRAKURU_DECL std::uint16_t ServiceBase::only_port(pid_t leader, pid_t guardian) const {
  if (port != 0) return port;
  const auto sockets = listening(leader, guardian);
  const auto is_other = [&](const auto& socket) { return socket.port != sockets.front().port; };
  if (!sockets.empty() && std::ranges::none_of(sockets, is_other)) return sockets.front().port;
  throw ExecutorError{error_context(Clock::now())
                          .message(sockets.empty()
                                       ? "it listens on no TCP port"
                                       : "it listens on several TCP ports: " + text_of(sockets))};
}

[[gnu::cold]] MIRAKURU_DECL bool ServiceBase::tell_observer(bool by_itself) noexcept try {
  if (observer() == nullptr || ::getpid() != owner) return false;
  auto context = error_context(Clock::now());
  context.output.clear();  // the observer has it
  context.err_output.clear();
  const auto* const when = by_itself ? " while the test ran" : " when it was stopped";
  return observer()->ended_badly(*this,
                                 context.message(exit_headline(exit_code.value_or(0)) + when));
} catch (...) {  // no memory for a text
  return false;
}

MIRAKURU_DECL void ServiceBase::close() {
  if (observer() != nullptr) observer()->cleared(*this);
  input.reset();
  streams.close_others();
  changes.close();
  paused = false;
}

[[gnu::cold]] MIRAKURU_DECL void ServiceBase::throw_not_started() const {
  const auto headline = !has_started() ? "it has not been started"
                        : exit_code    ? "it has been stopped; it " + exit_headline(*exit_code)
                                       : "it has been stopped";
  throw ExecutorError{error_context(Clock::now()).message(headline)};
}

[[gnu::cold]] MIRAKURU_DECL void ServiceBase::throw_not_running() const {
  throw ExecutorError{error_context(Clock::now()).message("it does not run")};
}

[[gnu::cold]] MIRAKURU_DECL void ServiceBase::throw_not_paused() const {
  throw ExecutorError{error_context(Clock::now()).message("its processes cannot be paused")};
}

[[gnu::cold]] MIRAKURU_DECL void ServiceBase::throw_ended(TimePoint now) {
  told = true;
  error_context(now).throw_exited(exit_code.value_or(0), " while the test needed it");
}

[[gnu::cold]] MIRAKURU_DECL void ServiceBase::throw_still_running(
    std::chrono::nanoseconds waited, std::chrono::nanoseconds limit) const {
  auto context = error_context(Clock::now(), "its end");
  context.waited = waited;
  context.throw_timed_out(limit);
}

[[gnu::cold]] MIRAKURU_DECL void ServiceBase::throw_not_prepared(const std::string& check) const {
  error_context(Clock::now(), check).throw_check_failed();
}

[[gnu::cold]] MIRAKURU_DECL void ServiceBase::throw_spawn_error() {
  input.reset();
  const auto context = error_context(Clock::now());
  try {
    throw;
  } catch (const SpawnFailure& failure) {
    if (failure.code() == std::errc::timed_out)
      throw TimeoutExpired{context.message(failure.what()), terms().start};
    throw SpawnError{context.message(failure.what()), failure.code()};
  } catch (const std::system_error& error) {
    throw SpawnError{context.message(std::string{"cannot start: "} + error.what()), error.code()};
  }
}

MIRAKURU_DECL std::string ServiceBase::describe(pid_t pid) const {
  std::string state = exit_code                                     ? exit_headline(*exit_code)
                      : pid == 0                                    ? "not started"
                      : proc_is_own() && !process_stat(pid).lives() ? "ended"
                                                                    : "running";
  if (pid != 0) state = "pid " + std::to_string(pid) + ", " + state;
  return command.text() + " (" + state + ')';
}

MIRAKURU_DECL const std::string& ServiceBase::published(
    const std::map<std::string, std::string>& values, const std::string& name) const {
  if (const auto at = values.find(name); at != values.end()) return at->second;
  std::string known;
  for (const auto& value : values) known += (known.empty() ? "" : ", ") + value.first;
  throw ExecutorError{error_context(Clock::now())
                          .message("it publishes no '" + name + "'; it publishes " +
                                   (known.empty() ? "nothing" : known))};
}

[[gnu::cold]] MIRAKURU_DECL SharedFacts ServiceBase::facts_of_command() const {
  SharedFacts facts{{"command", quote_words(command.words())},
                    {"directory", command.cwd()},
                    {"user", command.user()},
                    {"environment", command.clean_env() ? "clean" : "inherited"}};
  for (const auto& [name, value] : command.env())
    facts.emplace_back("variable " + name, value.text() ? '=' + *value.text() : "unset");
  return facts;
}

[[gnu::cold]] MIRAKURU_DECL ErrorContext ServiceBase::error_context(TimePoint now,
                                                                    std::string awaited,
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
  if (const auto* const state = far()) {
    context.place = state->command.place;
    // The node of a job is known when it is executed there.
    if (!state->host.empty() && !context.place.ends_with(state->host))
      context.place += ", on " + state->host;
  }
  if (!wrap.empty())
    context.note("MIRAKURU_WRAP runs it by '" + quote_words(wrap) +
                 "', with 20 times the start budget");
  context.note(stop_note);
  context.note(limits_advice(limits, exit_code));
  context.note(post_mortem_note);
  context.note(keep_output());
  context.note(shell_advice(command.words()));
  context.note(disk_advice(streams));
  return context;
}

}  // namespace mirakuru::detail
