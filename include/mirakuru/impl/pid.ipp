// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/stat.h>
#include <cerrno>
#include <charconv>
#include <fstream>
#include <system_error>

#include <mirakuru/detail/file_watch.hpp>
#include <mirakuru/detail/proc.hpp>
#include <mirakuru/detail/race_core.hpp>
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

struct TryPidFile {
  const PidCheck& check;

  Readiness operator()() const {
    struct stat status{};
    if (::stat(check.path.str().c_str(), &status) != 0)
      return not_ready(reason_text({errno, std::generic_category()}));
    if (!S_ISREG(status.st_mode)) return not_ready("it is no file");
    if (!check.alive) return true;
    const auto pid = pid_in(check.path.str());
    if (pid == 0) return not_ready("it holds no process id");
    if (!process_stat(pid).lives()) return not_ready("there is no process " + std::to_string(pid));
    return true;
  }
};

MIRAKURU_DECL Attempt enter(Race& race, const PidCheck* check, const Process&) {
  race.core().enter(await_file(check->path.str(), TryPidFile{*check}, race.core().spent));
  return Attempt::open_ended;
}

}  // namespace detail

MIRAKURU_DECL std::string PidCheck::describe() const {
  return "the pid file " + path.str() + (alive ? " of a living process" : "");
}

MIRAKURU_DECL bool PidCheck::held() const {
  const PidCheck there{.path = path};
  return static_cast<bool>(detail::TryPidFile{there}());
}

MIRAKURU_DECL std::string PidCheck::describe_holder() const {
  const auto pid = detail::pid_in(path.str());
  std::string text = "the pid file " + path.str() + " is there, ";
  if (pid == 0) return text + "with no process id in it";
  if (detail::process_stat(pid).lives()) return text + "of " + detail::describe_process(pid);
  return text + "of process " + std::to_string(pid) + ", which is not alive";
}

}  // namespace mirakuru
