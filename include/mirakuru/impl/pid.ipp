// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/stat.h>
#include <cerrno>
#include <charconv>
#include <fstream>
#include <system_error>

#include <mirakuru/detail/proc.hpp>
#include <mirakuru/detail/watch.hpp>
#include <mirakuru/error.hpp>
#include <mirakuru/ready/pid.hpp>

namespace mirakuru {

namespace detail {

/// The number in a pid file; 0 when there is none.
inline pid_t pid_in(const std::string& path) {
  std::ifstream file{path};
  std::string word;
  pid_t pid = 0;
  if (file >> word) {
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), pid);
    if (error != std::errc{} || *end != '\0' || pid < 0) pid = 0;
  }
  return pid;
}

inline Readiness look_at_pid_file(const std::string& path, bool alive) {
  struct stat status{};
  if (::stat(path.c_str(), &status) != 0)
    return not_ready(reason_text({errno, std::generic_category()}));
  if (!S_ISREG(status.st_mode)) return not_ready("it is no file");
  if (!alive) return true;
  const auto pid = pid_in(path);
  if (pid == 0) return not_ready("it holds no process id");
  if (!process_stat(pid).lives()) return not_ready("there is no process " + std::to_string(pid));
  return true;
}

class PidFileWatch : public PathWatch {
 public:
  explicit PidFileWatch(const PidCheck& check) : PathWatch{check.path.str()}, check_{check} {}

 private:
  Readiness ask() override { return look_at_pid_file(check_.path.str(), check_.alive); }

  const PidCheck& check_;
};

}  // namespace detail

MIRAKURU_DECL std::unique_ptr<detail::Watch> PidCheck::watch(const Process&) const {
  return std::make_unique<detail::PidFileWatch>(*this);
}

MIRAKURU_DECL std::string PidCheck::describe() const {
  return "the pid file " + path.str() + (alive ? " of a living process" : "");
}

MIRAKURU_DECL bool PidCheck::held() const {
  return static_cast<bool>(detail::look_at_pid_file(path.str(), false));
}

MIRAKURU_DECL std::string PidCheck::describe_holder() const {
  const auto pid = detail::pid_in(path.str());
  std::string text = "the pid file " + path.str() + " is there, ";
  if (pid == 0) return text + "with no process id in it";
  if (detail::process_stat(pid).lives()) return text + "of " + detail::describe_process(pid);
  return text + "of process " + std::to_string(pid) + ", which is not alive";
}

}  // namespace mirakuru
