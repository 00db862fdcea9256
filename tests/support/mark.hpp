// SPDX-License-Identifier: BSL-1.0
// A mark in the environment of all processes of one test, on any machine that is this one.

#pragma once

#include <unistd.h>
#include <chrono>
#include <string>

#include <mirakuru/command.hpp>

#include "files.hpp"
#include "process.hpp"
#include "time.hpp"

namespace test {

/// The number of live processes whose environment has the variable "NAME=value".
inline int processes_with(const std::string& variable) {
  int found = 0;
  each_number_in("/proc", [&](pid_t pid, int) {
    const auto variables = '\0' + slurp("/proc/" + std::to_string(pid) + "/environ");
    found += variables.find('\0' + variable + '\0') != variables.npos && alive(pid);
  });
  return found;
}

class Mark {
 public:
  Mark() : text_{std::to_string(::getpid()) + '-' + std::to_string(++count_)} {}

  /// A shell's line whose processes have it.
  [[nodiscard]] mirakuru::Command line(const std::string& line) const {
    return {.argv = line, .env = {{"TEST_MARK", text_}}, .shell = true};
  }
  /// The value of TEST_MARK.
  [[nodiscard]] const std::string& text() const { return text_; }
  [[nodiscard]] int count_processes() const { return processes_with("TEST_MARK=" + text_); }
  /// True when no process has it, within a time.
  [[nodiscard]] bool all_gone(std::chrono::milliseconds limit = std::chrono::seconds{3}) const {
    return eventually([&] { return count_processes() == 0; }, limit);
  }

 private:
  static inline int count_ = 0;
  std::string text_;
};

}  // namespace test
