// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <algorithm>
#include <cstdint>
#include <optional>

#include <mirakuru/error.hpp>
#include <mirakuru/os/nameless_file.hpp>
#include <mirakuru/os/printable.hpp>
#include <mirakuru/output/output_file.hpp>
#include <mirakuru/ready/exec.hpp>
#include <mirakuru/spawn/guarded.hpp>
#include <mirakuru/spawn/request.hpp>
#include <mirakuru/text/cut.hpp>
#include <mirakuru/text/phrases.hpp>

namespace mirakuru {

namespace detail {

/// The request for a run of a check's command: it has the surroundings of the service's command
/// where it leaves them out. `service` may be null.
inline LaunchRequest request_beside(const ResolvedCommand* service, const ResolvedCommand& command,
                                    int input, int output) {
  auto request = request_of(command, input, output);
  request.start_budget = std::chrono::seconds{1};
  // A run that prints for ever must not fill the disk.
  constexpr std::uint64_t most_output = 64 << 20;
  rlimit own{};
  ::getrlimit(RLIMIT_FSIZE, &own);
  request.limits.push_back(
      {RLIMIT_FSIZE, std::min<std::uint64_t>(most_output, own.rlim_cur), own.rlim_max});
  if (service == nullptr) return request;
  if (request.cwd.empty()) request.cwd = service->cwd();
  if (request.user.empty()) request.user = service->user();
  request.clean_env |= service->clean_env();
  for (const auto& [name, value] : service->env()) {
    // These two belong to one process tree.
    if (name == "mirakuru_uuid" || name == "NOTIFY_SOCKET" || command.env().contains(name))
      continue;
    if (value.text())
      request.env.emplace(name, *value.text());
    else
      request.unset.push_back(name);
  }
  return request;
}

/// Runs the command again and again, one run at a time.
class ExecProbe final : public Probe {
 public:
  ExecProbe(const ExecCheck& check, const Process& process) : check_{check}, process_{process} {}
  ~ExecProbe() override { end(); }

  Readiness poll(TimePoint now) override {
    if (!run_ && (closed_ || now < next_ || !process_.running())) return {};
    try {
      if (run_) return look(now);
      begin(now);
      return {};
    } catch (const SpawnFailure& error) {
      if (run_) end();  // a run elsewhere tells later that it cannot begin
      if (error.code() != std::errc::timed_out && error.code() != std::errc::not_connected)
        throw CannotHold{error.what()};
      return not_begun(now, error);
    } catch (const std::system_error& error) {  // such as too many processes or open files
      return not_begun(now, error);
    }
  }

  void wait(TimePoint now, WaitSet& waits) const override {
    if (!run_) return waits.until(next_);
    waits.add(run_->event());
    // Somebody may have stopped the guardian, which brings the news.
    waits.until(after(now, std::chrono::milliseconds{run_->event() < 0 ? 5 : killed_ ? 20 : 1000}));
    if (!killed_) waits.until(limit_);
    if (closed_) waits.until(until_);
  }

  [[nodiscard]] bool pending() const noexcept override { return run_ && !given_up_; }

  void close(TimePoint until) override {
    closed_ = true;
    until_ = until;
    if (!run_ || !run_->alive() || killed_) return;
    cut_ = !run_->exit_code();
    kill();
  }

 private:
  void begin(TimePoint now) {
    began_ = now;
    limit_ = check_.within == Duration{} ? TimePoint::max() : after(now, check_.within);
    killed_ = cut_ = false;
    output_ = OutputFile{nameless_file("a temporary file for the output of a check", O_APPEND)};
    output_.keep();
    const auto input = checked_fd(::open("/dev/null", O_RDONLY | O_CLOEXEC), "open /dev/null");
    const auto& context = process_.context();
    auto request = request_beside(context.command, check_.command, input.get(), output_.fd());
    if (context.beside != nullptr)
      request = context.beside(context.launcher, context.command->id(), std::move(request));
    if (const auto user = identity_of(request.user)) give_to(*user, output_.fd());
    run_.emplace(GuardedSpawner{}.spawn(request));
  }

  Readiness not_begun(TimePoint now, const std::exception& error) {
    end_attempt(now);
    return not_ready(one_line(error.what()));
  }

  Readiness look(TimePoint now) {
    if (run_->alive()) {
      // The rest of a run whose leader has ended goes, too.
      if (!killed_ && (run_->exit_code() || now >= limit_)) {
        cut_ = !run_->exit_code();
        kill();
      }
      given_up_ = closed_ && now >= until_;
      return {};
    }
    const auto code = run_->exit_code();
    const auto trouble = run_->trouble();
    const auto took = now - began_;
    run_.reset();
    end_attempt(now);
    if (code == 0) return true;
    const bool cut = cut_ && code == -SIGKILL;
    // A run that was cut short by the deadline does not replace an earlier reason.
    if (cut && closed_ && has_reason_ && took < process_.waited(now) / 2) return {};
    has_reason_ = true;
    const auto words = last_words();
    if (code == 127) throw CannotHold{"exited with 127" + words};
    if (cut) return not_ready("no exit within " + to_text(took) + words);
    if (!code) return not_ready(trouble + words);
    return not_ready((*code < 0 ? exit_headline(*code) : "exited with " + std::to_string(*code)) +
                     words);
  }

  void end_attempt(TimePoint now) {
    next_ = after(now, std::max(now - began_, pause_after(process_.waited(now), 45)));
  }

  /// ": " and the last line of its output that is not blank.
  [[nodiscard]] std::string last_words() const {
    constexpr std::size_t most = 200;
    auto text = output_.tail();
    text.erase(text.find_last_not_of(" \t\r\n") + 1);  // npos + 1 is 0
    const auto line = last_lines(text, 1);
    return line.empty() ? line : ": " + shortened(one_line(line), most);
  }

  void kill() {
    killed_ = true;
    run_->signal(SIGKILL);
  }

  /// Kills the run and waits until it is gone. One that cannot be killed is left to its guardian.
  void end() noexcept {
    using namespace std::chrono_literals;
    if (!run_) return;
    try {
      kill();
      const auto deadline = Clock::now() + 1s;
      while (run_->alive() && !run_->refused() && Clock::now() < deadline) {
        pollfd event{.fd = run_->event(), .events = POLLIN, .revents = 0};
        ::poll(&event, 1, event.fd < 0 ? 1 : 20);
      }
    } catch (...) {  // the guardian goes on
    }
    run_.reset();
  }

  const ExecCheck& check_;
  const Process& process_;
  bool closed_ = false, has_reason_ = false;
  TimePoint until_ = TimePoint::max();  // of close()
  TimePoint next_ = {};                 // when the next run may begin

  // The run under way.
  std::optional<GuardedProcess> run_;
  OutputFile output_;
  TimePoint began_ = {}, limit_ = {};
  bool killed_ = false, cut_ = false;  // cut: before its leader has ended
  bool given_up_ = false;              // it resists, and the time is up
};

}  // namespace detail

MIRAKURU_DECL std::string ExecCheck::describe() const {
  constexpr std::size_t most = 200;
  return "an exit with 0 of " + detail::shortened(command.text(), most);
}

MIRAKURU_DECL std::unique_ptr<Probe> ExecCheck::probe(const Process& process) const {
  return std::make_unique<detail::ExecProbe>(*this, process);
}

}  // namespace mirakuru
