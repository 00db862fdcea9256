// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/stat.h>
#include <charconv>
#include <string_view>

#include <mirakuru/error.hpp>
#include <mirakuru/os/proc.hpp>
#include <mirakuru/os/unique_fd.hpp>
#include <mirakuru/ready/file_probe.hpp>
#include <mirakuru/ready/pid.hpp>

namespace mirakuru {

namespace detail {

/// The begin of a pid file.
struct PidFile {
  pid_t pid = 0;         // 0: no process id
  bool finished = true;  // something follows the id
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

/// True for a descendant of this process.
inline bool descends_from_this(pid_t pid) {
  const pid_t self = ::getpid();
  for (int generations = 0; pid > 1 && generations < 100; ++generations)
    if ((pid = process_stat(pid).parent) == self) return true;
  return false;
}

/// Ready when the file is there, with any content.
inline Readiness look_at_pid_file(const std::string& path) {
  struct stat status{};
  if (::stat(path.c_str(), &status) != 0)
    return not_ready(reason_text({errno, std::generic_category()}));
  if (!S_ISREG(status.st_mode)) return not_ready("it is no file");
  return true;
}

/// Looks at the pid file.
class PidProbe final : public FileProbe {
 public:
  PidProbe(const PidCheck& check, const Process& process)
      : FileProbe{process, check.path.str()}, alive_{check.alive} {}

  void wait(TimePoint now, WaitSet& waits) const override {
    FileProbe::wait(now, waits);
    if (unfinished_ != 0) waits.until(settled_at_);
  }

 private:
  Readiness look(TimePoint now) override {
    using namespace std::chrono_literals;
    auto readiness = look_at_pid_file(path());
    if (!readiness || !alive_) return readiness;
    const auto [pid, finished] = read_pid_file(path());
    const auto before = std::exchange(unfinished_, 0);
    if (pid == 0) return not_ready("it holds no process id");
    if (!process_stat(pid).lives()) return not_ready("there is no process " + std::to_string(pid));
    if (finished) return true;
    // More digits may follow. An unfinished number is hardly the id of a descendant by chance, but
    // may well be the id of any process.
    unfinished_ = pid;
    if (pid != before) settled_at_ = now + (descends_from_this(pid) ? 10ms : 1s);
    if (now >= settled_at_) return true;
    return not_ready("the process id " + std::to_string(pid) + " has no line end behind it yet");
  }

  bool alive_;
  pid_t unfinished_ = 0;  // an id that has no line end behind it
  TimePoint settled_at_ = {};
};

}  // namespace detail

MIRAKURU_DECL std::unique_ptr<Probe> PidCheck::probe(const Process& process) const {
  return std::make_unique<detail::PidProbe>(*this, process);
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
