// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/types.h>
#include <cstddef>
#include <cstdint>

// Reads /proc/PID/stat without a library's function, and hidden: the guardian uses it, too.

namespace mirakuru::detail {

/// Addresses from `begin` up to `end`.
struct Range {
  std::uintptr_t begin = 0, end = 0;

  [[nodiscard]] bool holds(std::uintptr_t address) const noexcept {
    return begin <= address && address < end;
  }
};

/// The fields of /proc/PID/stat that this library uses. Source: proc_pid_stat(5).
struct [[gnu::visibility("hidden")]] ProcessStat {
  char state = 0;  // 0: the process is gone; '?': unknown
  pid_t parent = 0, group = 0, session = 0, threads = 0;
  std::uint64_t flags = 0;    // PF_ in the kernel's include/linux/sched.h
  std::uint64_t started = 0;  // clock ticks since the system's start
  Range arguments = {}, environment = {};

  /// A process whose first thread has ended is a zombie, and lives on in its other threads.
  [[nodiscard]] constexpr bool lives() const noexcept {
    return state != 0 && ((state != 'Z' && state != 'X') || threads > 1);
  }
  /// Its end has begun: it lives on for the time of its clean-up, in which its peers hear of it.
  [[nodiscard]] constexpr bool is_ending() const noexcept {
    constexpr std::uint64_t exiting = 0x4, dumping = 0x200;  // PF_EXITING, PF_DUMPCORE
    return !lives() || (flags & (exiting | dumping)) != 0;
  }
};

/// Reads a decimal number and moves behind it.
[[gnu::visibility("hidden")]] inline std::uint64_t number_at(const char*& text) {
  std::uint64_t number = 0;
  for (; *text >= '0' && *text <= '9'; ++text)
    number = number * 10 + static_cast<std::uint64_t>(*text - '0');
  return number;
}

/// Parses the file's text, which may be cut. Field 2, the name, may hold anything: the last bracket
/// ends it.
[[gnu::visibility("hidden")]] inline ProcessStat stat_fields(const char* text) {
  ProcessStat stat;
  const char* at = nullptr;
  for (; *text != '\0'; ++text)
    if (*text == ')') at = text;
  if (at == nullptr) return stat;
  if (at[1] == ' ') stat.state = at[2];
  std::uint64_t fields[52] = {};
  for (std::size_t field = 3; *at != '\0' && field < 52;)
    if (*at++ == ' ') fields[field++] = number_at(at);
  stat.parent = static_cast<pid_t>(fields[4]);
  stat.group = static_cast<pid_t>(fields[5]);
  stat.session = static_cast<pid_t>(fields[6]);
  stat.flags = fields[9];
  stat.threads = static_cast<pid_t>(fields[20]);
  stat.started = fields[22];
  stat.arguments = {fields[48], fields[49]};
  stat.environment = {fields[50], fields[51]};
  return stat;
}

}  // namespace mirakuru::detail
