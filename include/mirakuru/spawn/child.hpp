// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/types.h>
#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include <mirakuru/os/config.hpp>
#include <mirakuru/spawn/launch.hpp>

namespace mirakuru::detail {

/// Places strings one behind another in memory that is large enough.
class StringArena {
 public:
  explicit StringArena(char* at) : at_{at} {}

  template <class T>
  T* array(std::size_t count) {
    at_ += -reinterpret_cast<std::uintptr_t>(at_) % alignof(T);
    return reinterpret_cast<T*>(std::exchange(at_, at_ + count * sizeof(T)));
  }
  char* string(const std::string& text) {
    auto* const copy = array<char>(text.size() + 1);
    std::memcpy(copy, text.c_str(), text.size() + 1);
    return copy;
  }
  char** strings(const std::vector<std::string>& list) {
    auto* const copies = array<char*>(list.size() + 1);
    for (std::size_t i = 0; i < list.size(); ++i) copies[i] = string(list[i]);
    copies[list.size()] = nullptr;
    return copies;
  }

 private:
  char* at_;
};

/// The time until a command has to be executed: its start budget, or a second if that is longer.
[[nodiscard]] inline std::chrono::nanoseconds time_to_execute(const LaunchRequest& request) {
  return std::max<std::chrono::nanoseconds>(request.start_budget, std::chrono::seconds{1});
}

/// The call that fails when the program cannot be executed.
[[gnu::visibility("hidden")]] inline constexpr char exec_call[] = "execve";

/// The steps of a new process up to `execve`. They are system calls alone, as the process shares
/// its memory with the one that has made it, or is a fork of a process with other threads.
class [[gnu::visibility("hidden")]] Child {
 public:
  /// The number of bytes that it needs in the arena.
  [[nodiscard]] static std::size_t extra_size(const LaunchRequest& request, const LocalExec& exec);
  Child(const LaunchRequest& request, const LocalExec& exec, StringArena& arena);

  /// Executes the command, in a session of its own. It dies with `parent`, unless that is zero.
  /// Returns the call that has failed, with `errno`.
  [[nodiscard]] const char* execute(pid_t parent);

  /// Calls `visit` with each descriptor of the parent's that it needs.
  template <class Visit>
  void each_descriptor(Visit visit) const {
    for (const int fd : streams_) visit(fd);
    for (std::size_t i = 0; i < given_count_; ++i) visit(given_[i].from);
  }
  /// Beyond all numbers that the command gets a descriptor at.
  [[nodiscard]] int first_free() const noexcept {
    return given_count_ == 0 ? 3 : given_[given_count_ - 1].number + 1;
  }

 private:
  struct Given {
    int number;  // in the command
    int from;
  };

  [[nodiscard]] bool place_descriptors(bool close_on_exec);

  char* program_;
  char** argv_;
  char** environment_;
  char* cwd_;
  int streams_[3];
  Given* given_;  // by number
  std::size_t given_count_;
  std::int64_t patience_;  // nanoseconds, with a program that somebody writes
  bool terminal_;
  bool changes_user_;
  Identity::Number user_ = 0, group_ = 0;
  Identity::Number* groups_ = nullptr;
  std::size_t group_count_ = 0;
  ResourceLimit* limits_;
  std::size_t limit_count_;
};

/// Makes a process that runs `main(argument)`, with the descriptor of its `cgroup`; -1 for none.
/// Returns when that process has executed a program or has ended, with its id; -1 with `errno`. The
/// process shares the memory of the caller, except in a cgroup and under a sanitizer. All signals
/// have to be blocked.
[[nodiscard]] pid_t clone_child(int (*main)(void*), void* argument, int cgroup);

}  // namespace mirakuru::detail

#if !defined(MIRAKURU_SEPARATE_COMPILATION)
#include <mirakuru/spawn/child.ipp>
#endif
