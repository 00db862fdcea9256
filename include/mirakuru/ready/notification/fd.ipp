// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <fcntl.h>
#include <unistd.h>
#include <algorithm>
#include <cerrno>
#include <stdexcept>

#include <mirakuru/error.hpp>
#include <mirakuru/os/printable.hpp>
#include <mirakuru/ready/notification/fd.hpp>
#include <mirakuru/text/cut.hpp>

namespace mirakuru {

MIRAKURU_DECL FdNumber::FdNumber(int number) : number_{number} {
  if (number < 3 || number > most)
    throw std::invalid_argument{"the number of a descriptor for a service is 3 to " +
                                std::to_string(most) + ", not " + std::to_string(number)};
}

namespace detail {

MIRAKURU_DECL void FdRun::take(std::string_view bytes) {
  constexpr std::size_t longest = 4096;
  const auto line = bytes.substr(0, bytes.find('\n'));
  ready |= line.size() < bytes.size();
  text += line.substr(0, longest - std::min(text.size(), longest));
}

MIRAKURU_DECL std::string FdRun::reason() const {
  constexpr std::size_t longest = 300;
  return text.empty() ? "" : "'" + shortened(one_line(text), longest) + "', without a newline";
}

class FdProbe final : public Probe {
 public:
  FdProbe(FdRun& run, const Process& process, int number)
      : run_{run}, process_{process}, number_{number} {}

  Readiness poll(TimePoint now) override {
    constexpr std::chrono::milliseconds longest_look{1};
    const auto until = Clock::now() + longest_look;
    do more_ = receive(now);
    while (more_ && Clock::now() < until);
    if (now >= over_at_) more_ = false;
    if (run_.ready) return true;
    const auto reason = run_.reason();
    if (!is_closed()) return not_ready(reason);
    const auto failure =
        "the service has closed descriptor " + std::to_string(number_) + " without a newline";
    const bool decided = now >= judged_at() || over_at_ != TimePoint::max();
    if (process_.running() && decided)
      throw CannotHold{failure + (reason.empty() ? "" : ": " + reason)};
    return not_ready(reason.empty() ? failure : reason);
  }
  void wait(TimePoint now, WaitSet& waits) const override {
    if (more_) return waits.until(now);
    if (is_closed()) return waits.until(judged_at());
    waits.add(run_.reading.get());
  }
  [[nodiscard]] bool pending() const noexcept override { return more_; }
  void close(TimePoint until) override {
    more_ = over_at_ == TimePoint::max() || more_;  // the last words are the reason
    over_at_ = until;
  }

 private:
  /// False if nothing more can be read now, or if nothing more counts.
  bool receive(TimePoint now) {
    if (run_.ready || is_closed()) return false;
    char block[4096];
    const auto size = ::read(run_.reading.get(), block, sizeof block);
    if (size < 0) return errno == EINTR;
    if (size == 0) run_.closed_at = now;
    run_.take({block, static_cast<std::size_t>(size)});
    return size > 0 && !run_.ready;
  }
  [[nodiscard]] bool is_closed() const { return run_.closed_at != TimePoint::max(); }
  /// A process that ends closes its descriptors a moment earlier, and its exit code tells more.
  [[nodiscard]] TimePoint judged_at() const {
    return after(run_.closed_at, std::chrono::milliseconds{50});
  }

  FdRun& run_;
  const Process& process_;
  int number_;
  bool more_ = false;
  TimePoint over_at_ = TimePoint::max();
};

}  // namespace detail

MIRAKURU_DECL std::string FdCheck::describe() const {
  return "a line on descriptor " + std::to_string(fd.get());
}

MIRAKURU_DECL std::string FdCheck::hint(const Process&) const {
  if (run.get() == nullptr || !run.get()->text.empty()) return {};
  return "nothing was written to descriptor " + std::to_string(fd.get()) +
         "; the service must be told its number";
}

MIRAKURU_DECL void FdCheck::prepare(LaunchRequest& request) const {
  auto [reading, writing] = detail::make_pipe();
  if (::fcntl(reading.get(), F_SETFL, O_NONBLOCK) != 0) detail::throw_errno("fcntl F_SETFL");
  const auto end = std::make_shared<const detail::UniqueFd>(std::move(writing));
  if (!request.descriptors.emplace(fd.get(), end).second)
    throw std::invalid_argument{"descriptor " + std::to_string(fd.get()) +
                                " has another use already, such as a second FdCheck"};
  run.emplace().reading = std::move(reading);
}

MIRAKURU_DECL std::unique_ptr<Probe> FdCheck::probe(const Process& process) const {
  if (run.get() == nullptr) throw std::logic_error{"prepare() comes before probe()"};
  return std::make_unique<detail::FdProbe>(*run.get(), process, fd.get());
}

}  // namespace mirakuru
