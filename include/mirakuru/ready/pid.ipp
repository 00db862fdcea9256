// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <string_view>
#include <system_error>
#include <utility>

#include <mirakuru/error.hpp>
#include <mirakuru/os/proc.hpp>
#include <mirakuru/os/unique_fd.hpp>
#include <mirakuru/ready/pid.hpp>
#include <mirakuru/ready/watch.hpp>

namespace mirakuru {

namespace detail {

/// What a pid file begins with.
struct PidFile {
  pid_t pid = 0;         // 0: no process id
  bool finished = true;  // something stands behind it
};

inline PidFile read_pid_file(const std::string& path) {
  constexpr std::string_view blanks{" \t\n\v\f\r\0", 7};
  const UniqueFd file{::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC)};
  char text[4096];
  const auto size = ::read(file.get(), text, sizeof text);
  std::string_view word{text, size > 0 ? static_cast<std::size_t>(size) : 0};
  word.remove_prefix(std::min(word.find_first_not_of(blanks), word.size()));
  const auto length = word.find_first_of(blanks);
  word = word.substr(0, length);
  PidFile result{.finished = length != std::string_view::npos};
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), result.pid);
  if (error != std::errc{} || end != word.data() + word.size() || result.pid < 0) result.pid = 0;
  return result;
}

/// True for what this process has started, by way of others too.
inline bool descends_from_this(pid_t pid) {
  const pid_t self = ::getpid();
  for (int generations = 0; pid > 1 && generations < 100; ++generations)
    if ((pid = process_stat(pid).parent) == self) return true;
  return false;
}

/// That the file is there, whatever is in it.
inline Readiness look_at_pid_file(const std::string& path) {
  struct stat status{};
  if (::stat(path.c_str(), &status) != 0)
    return not_ready(reason_text({errno, std::generic_category()}));
  if (!S_ISREG(status.st_mode)) return not_ready("it is no file");
  return true;
}

class PidFileWatch : public PathWatch {
 public:
  explicit PidFileWatch(const PidCheck& check) : PathWatch{check.path.str()}, check_{check} {}

  [[nodiscard]] std::chrono::nanoseconds pause(std::chrono::nanoseconds waited) const override {
    const auto usual = PathWatch::pause(waited);
    return unfinished_ == 0 ? usual
                            : std::clamp<std::chrono::nanoseconds>(
                                  settled_at_ - Clock::now(), std::chrono::nanoseconds{}, usual);
  }

 private:
  Readiness ask() override {
    auto readiness = look_at_pid_file(check_.path.str());
    if (!readiness || !check_.alive) return readiness;
    const auto [pid, finished] = read_pid_file(check_.path.str());
    const auto before = std::exchange(unfinished_, 0);
    if (pid == 0) return not_ready("it holds no process id");
    if (!process_stat(pid).lives()) return not_ready("there is no process " + std::to_string(pid));
    if (finished) return true;
    // More digits may follow. That these alone are the id of a process of this start's would be a
    // coincidence; that they are anybody's is none.
    using namespace std::chrono_literals;
    const auto now = Clock::now();
    unfinished_ = pid;
    if (pid != before) settled_at_ = now + (descends_from_this(pid) ? 10ms : 1s);
    if (now >= settled_at_) return true;
    return not_ready("nothing stands behind the process id " + std::to_string(pid) + " yet");
  }

  const PidCheck& check_;
  pid_t unfinished_ = 0;  // the id that nothing stands behind
  Clock::time_point settled_at_ = {};
};

}  // namespace detail

MIRAKURU_DECL std::unique_ptr<detail::Watch> PidCheck::watch(const Process&) const {
  return std::make_unique<detail::PidFileWatch>(*this);
}

MIRAKURU_DECL std::string PidCheck::describe() const {
  return "the pid file " + path.str() + (alive ? " of a living process" : "");
}

MIRAKURU_DECL bool PidCheck::already_true() const {
  return static_cast<bool>(detail::look_at_pid_file(path.str()));
}

MIRAKURU_DECL std::string PidCheck::describe_conflict() const {
  const auto pid = detail::read_pid_file(path.str()).pid;
  std::string text = "the pid file " + path.str() + " is there, ";
  if (pid == 0) return text + "with no process id in it";
  if (detail::process_stat(pid).lives()) return text + "of " + detail::describe_process(pid);
  return text + "of process " + std::to_string(pid) + ", which is not alive";
}

}  // namespace mirakuru
