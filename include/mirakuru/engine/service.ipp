// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <algorithm>
#include <fstream>
#include <sstream>

#include <mirakuru/engine/advice.hpp>
#include <mirakuru/engine/loop.hpp>
#include <mirakuru/engine/service.hpp>
#include <mirakuru/os/ascii.hpp>
#include <mirakuru/os/file_name.hpp>
#include <mirakuru/os/pipe_signal_blocked.hpp>
#include <mirakuru/os/proc.hpp>
#include <mirakuru/spawn/guardian/lease_message.hpp>
#include <mirakuru/spawn/wrap.hpp>
#include <mirakuru/text/cut.hpp>

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

MIRAKURU_DECL void check_budget(std::chrono::nanoseconds start, std::chrono::nanoseconds stop) {
  not_negative(start, "the start budget");
  not_negative(stop, "the stop budget");
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

/// The first line of a post-mortem's reports that is no headline; empty for none.
inline std::string first_report(const std::string& reports) {
  std::istringstream lines{reports};
  std::string line;
  while (std::getline(lines >> std::ws, line) && line.ends_with(':')) {
  }
  return line;
}

MIRAKURU_DECL Event ServiceBase::bad_end(bool by_itself) const {
  return EndedBadly{command.text(), exit_code.value_or(0), by_itself, trouble, last_line(streams),
                    waited_for,     first_report(reports)};
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

MIRAKURU_DECL std::string ServiceBase::label() const {
  const auto& text = command.text();  // its first word, or "sh" for the line of a shell
  const auto first = text.substr(0, text.find(' '));
  const bool is_name = std::all_of(first.begin(), first.end(), [](char c) {
    return is_word(c) || c == '-' || c == '.' || c == '/' || c == '+';
  });
  constexpr std::size_t longest = 100;
  return (is_name ? shortened(first.substr(first.rfind('/') + 1), longest) : "sh");
}

MIRAKURU_DECL LaunchRequest ServiceBase::prepare(InputStream& from, bool input_is_terminal) {
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
  if (const auto user = identity_of(request.user)) {
    if (!request.scratch.empty()) (void)!::lchown(request.scratch.c_str(), user->user, user->group);
    for (const int fd : {request.in, request.out, request.err}) give_to(*user, fd);
    for (const int fd : {input ? request.in : -1, streams.terminal().get()})  // ours, too
      (void)!::fchown(fd, user->user, static_cast<gid_t>(-1));
  }
  if (const auto& target = streams.copy_to())
    request.relays = {{.from = request.out, .to = target.get(), .label = label() + ": "},
                      {.from = request.err, .to = target.get(), .label = label() + ": "}};
  if (const auto& terminal = streams.terminal()) {
    request.relays = {
        {.from = streams.controlling().get(), .to = request.out, .from_terminal = true}};
    request.out = request.err = terminal.get();
    request.terminal = true;
    if (input_is_terminal) {
      request.in = terminal.get();
      input = checked_fd(::fcntl(streams.controlling().get(), F_DUPFD_CLOEXEC, 3),
                         "fcntl F_DUPFD_CLOEXEC");
    }
  }
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

MIRAKURU_DECL std::string ServiceBase::keep_output() const noexcept try {
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

MIRAKURU_DECL bool ServiceBase::tell_observer(bool by_itself) noexcept try {
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

MIRAKURU_DECL void ServiceBase::throw_not_started() const {
  const auto headline = !has_started() ? "it has not been started"
                        : exit_code    ? "it has been stopped; it " + exit_headline(*exit_code)
                                       : "it has been stopped";
  throw ExecutorError{error_context(Clock::now()).message(headline)};
}

MIRAKURU_DECL void ServiceBase::throw_not_running() const {
  throw ExecutorError{error_context(Clock::now()).message("it does not run")};
}

MIRAKURU_DECL void ServiceBase::throw_not_paused() const {
  throw ExecutorError{error_context(Clock::now()).message("its processes cannot be paused")};
}

MIRAKURU_DECL void ServiceBase::throw_ended(TimePoint now) {
  told = true;
  error_context(now).throw_exited(exit_code.value_or(0), " while the test needed it");
}

MIRAKURU_DECL void ServiceBase::throw_still_running(std::chrono::nanoseconds waited,
                                                    std::chrono::nanoseconds limit) const {
  auto context = error_context(Clock::now(), "its end");
  context.waited = waited;
  context.throw_timed_out(limit);
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
  std::string state = exit_code                                     ? exit_headline(*exit_code)
                      : pid == 0                                    ? "not started"
                      : proc_is_own() && !process_stat(pid).lives() ? "ended"
                                                                    : "running";
  if (pid != 0) state = "pid " + std::to_string(pid) + ", " + state;
  return command.text() + " (" + state + ')';
}

MIRAKURU_DECL void ServiceBase::record(const std::vector<Straggler>& news) { stragglers = news; }
MIRAKURU_DECL void ServiceBase::record(const std::string& news) { trouble = news; }

MIRAKURU_DECL const std::string& ServiceBase::published(
    const std::map<std::string, std::string>& values, const std::string& name) const {
  if (const auto at = values.find(name); at != values.end()) return at->second;
  std::string known;
  for (const auto& value : values) known += (known.empty() ? "" : ", ") + value.first;
  throw ExecutorError{error_context(Clock::now())
                          .message("it publishes no '" + name + "'; it publishes " +
                                   (known.empty() ? "nothing" : known))};
}

MIRAKURU_DECL SharedFacts ServiceBase::facts_of_command() const {
  SharedFacts facts{{"command", quote_words(command.words())},
                    {"directory", command.cwd()},
                    {"user", command.user()},
                    {"environment", command.clean_env() ? "clean" : "inherited"}};
  for (const auto& [name, value] : command.env())
    facts.emplace_back("variable " + name, value.text() ? '=' + *value.text() : "unset");
  return facts;
}

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
  context.note(stop_note);
  context.note(limits_advice(limits, exit_code));
  context.note(post_mortem_note);
  context.note(keep_output());
  context.note(shell_advice(command.words()));
  context.note(disk_advice(streams));
  return context;
}

}  // namespace mirakuru::detail
