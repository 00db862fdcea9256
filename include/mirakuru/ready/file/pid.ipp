// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/stat.h>
#include <charconv>
#include <chrono>
#include <string_view>

#include <mirakuru/os/proc.hpp>
#include <mirakuru/os/unique_fd.hpp>
#include <mirakuru/ready/file/file_probe.hpp>
#include <mirakuru/ready/file/pid.hpp>
#include <mirakuru/text/phrases.hpp>

namespace mirakuru {

namespace detail {

/// The begin of a pid file.
struct PidFile {
  pid_t pid = 0;                          // 0: no process id
  bool finished = true;                   // something follows the id
  int error = 0;                          // the reason why it cannot be read
  std::chrono::nanoseconds written = {};  // on the clock of file times

  /// True if the process in it lives, and has not got the id of one that is gone.
  [[nodiscard]] bool is_current() const {
    if (!process_lives(pid)) return false;
    constexpr std::chrono::seconds tolerance{2};  // of two clocks
    return !proc_is_own() || started_at(process_stat(pid)) <= written + tolerance;
  }
};

inline PidFile read_pid_file(const std::string& path) {
  constexpr std::string_view blanks{" \t\n\v\f\r\0", 7};
  const UniqueFd file{::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC)};
  struct stat status{};
  if (!file || ::fstat(file.get(), &status) != 0) return {.error = errno};
  char text[4096];
  const auto size = ::read(file.get(), text, sizeof text);
  if (size < 0) return {.error = errno};
  std::string_view word{text, static_cast<std::size_t>(size)};
  word.remove_prefix(std::min(word.find_first_not_of(blanks), word.size()));
  const auto length = word.find_first_of(blanks);
  word = word.substr(0, length);
  PidFile result{.finished = length != std::string_view::npos,
                 .written = std::chrono::seconds{status.st_mtim.tv_sec} +
                            std::chrono::nanoseconds{status.st_mtim.tv_nsec}};
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
    if (!readiness) return readiness;
    const auto file = read_pid_file(path());
    const auto pid = file.pid;
    const auto before = std::exchange(unfinished_, 0);
    const std::chrono::nanoseconds wall = std::chrono::system_clock::now().time_since_epoch();
    const auto spawned = wall - process_.waited(Clock::now());
    if (pid != 0 && file.written < spawned && !file.is_current()) {
      left_over_ = true;
      return not_ready(
          process_lives(pid)
              ? "it is left over from a process whose id " + describe_process(pid) + " has now"
              : "it is left over from process " + std::to_string(pid) + ", which is gone");
    }
    // One that is written over is empty for a moment.
    if (!alive_ && !left_over_) return readiness;
    if (file.error != 0) return not_ready(reason_text({file.error, std::generic_category()}));
    if (pid == 0) return not_ready("it holds no process id");
    if (!process_lives(pid)) return not_ready("there is no process " + std::to_string(pid));
    if (file.finished) return true;
    // More digits may follow. An unfinished number is hardly the id of a descendant by chance, but
    // may well be the id of any process.
    unfinished_ = pid;
    if (pid != before) settled_at_ = now + (descends_from_this(pid) ? 10ms : 1s);
    if (now >= settled_at_) return true;
    return not_ready("the process id " + std::to_string(pid) + " has no line end behind it yet");
  }

  bool alive_, left_over_ = false;
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
  if (!detail::look_at_pid_file(path.str())) return false;
  const auto file = detail::read_pid_file(path.str());
  return file.pid == 0 || file.is_current();
}

MIRAKURU_DECL std::string PidCheck::describe_conflict() const {
  const auto file = detail::read_pid_file(path.str());
  std::string text = "the pid file " + path.str() + " is there, ";
  if (file.error != 0)
    return text +
           "and nobody may read it: " + detail::reason_text({file.error, std::generic_category()});
  if (file.pid == 0) return text + "with no process id in it";
  return text + "of " + detail::describe_process(file.pid);
}

}  // namespace mirakuru
