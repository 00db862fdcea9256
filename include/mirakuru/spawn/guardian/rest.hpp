// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <poll.h>
#include <sys/types.h>
#include <cstdint>
#include <ctime>
#include <functional>
#include <map>
#include <string>

#include <mirakuru/os/config.hpp>

namespace mirakuru::detail {

/// The processes of a tree whose guardian has been killed. Each program that knows the tree's marks
/// can kill them.
class TreeRest {
 public:
  enum class State {
    gone,
    lives,
    unknown  ///< without a /proc of its own, and without a mark of the kernel
  };
  /// Called with a process before the signal, and again with `refused` if that may not be sent.
  using Visit = std::function<void(pid_t, bool refused)>;

  TreeRest() = default;
  /// `mark`: the soft limit of its `RlimitTag`, 0 for none. `id`: the value of the variable
  /// `mirakuru_uuid` in its environment, empty for none.
  TreeRest(std::uint64_t mark, const std::string& id);

  [[nodiscard]] std::uint64_t mark() const noexcept { return mark_; }
  /// Kills its processes, but not the caller. `first`: its ids are later ones. Rests on prlimit(2)
  /// and /proc.
  [[nodiscard]] State kill(pid_t first, const Visit& visit);

 private:
  [[nodiscard]] bool is_marked(pid_t pid, bool by_proc) const;

  std::uint64_t mark_ = 0;
  std::string variable_;                   // an entry of the environment
  std::map<pid_t, std::uint64_t> killed_;  // with their start times
};

/// Calls `lives()` until it is false, for a second at most. A process that has got SIGKILL takes a
/// moment to end.
template <class Lives>
[[nodiscard]] bool still_after_a_second(Lives lives) {
  constexpr timespec pause{.tv_sec = 0, .tv_nsec = 1'000'000};
  for (int tries = 0; lives(); ++tries) {
    if (tries == 1000) return true;
    ::ppoll(nullptr, 0, &pause, nullptr);
  }
  return false;
}

}  // namespace mirakuru::detail

#if !defined(MIRAKURU_SEPARATE_COMPILATION)
#include <mirakuru/spawn/guardian/rest.ipp>
#endif
