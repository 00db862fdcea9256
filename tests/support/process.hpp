// SPDX-License-Identifier: BSL-1.0
// Processes as /proc shows them: tests look there without the library under test.

#pragma once

#include <dirent.h>
#include <sys/types.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "files.hpp"

// A sanitizer has memory, descriptors and an allocator of its own.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define MIRAKURU_TEST_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define MIRAKURU_TEST_SANITIZED 1
#endif
#endif

namespace test {

#if defined(MIRAKURU_TEST_SANITIZED)
inline constexpr bool sanitized = true;
#else
inline constexpr bool sanitized = false;
#endif

/// Calls visit(number, descriptor of the directory) for each entry that is a number.
template <class Visit>
void each_number_in(const char* directory, Visit visit) {
  DIR* dir = opendir(directory);
  if (dir == nullptr) return;
  while (const dirent* entry = readdir(dir)) {
    const char first = entry->d_name[0];
    if (first >= '0' && first <= '9') visit(std::atoi(entry->d_name), dirfd(dir));
  }
  closedir(dir);
}

struct Stat {
  char state = 0;  // 0: there is no such process
  pid_t parent = 0;
};

inline Stat stat_of(pid_t pid) {
  Stat found;
  const std::string text = slurp("/proc/" + std::to_string(pid) + "/stat");
  const std::size_t name_end = text.rfind(')');  // the name may hold anything, brackets too
  if (name_end != text.npos)
    std::sscanf(text.c_str() + name_end + 1, " %c %d", &found.state, &found.parent);
  return found;
}

/// True if the process exists and is no zombie.
inline bool alive(pid_t pid) {
  const char state = stat_of(pid).state;
  return state != 0 && state != 'Z' && state != 'X';
}

inline pid_t parent_of(pid_t pid) { return stat_of(pid).parent; }

/// Direct children, zombies too.
inline std::vector<pid_t> children_of(pid_t parent) {
  std::vector<pid_t> children;
  each_number_in("/proc", [&](pid_t pid, int) {
    if (parent_of(pid) == parent) children.push_back(pid);
  });
  return children;
}

/// The number of live processes, without this one, that have the marker in their command line. A
/// guardian has its command's in its title.
inline int processes_matching(const std::string& marker, bool guardians = true) {
  int count = 0;
  each_number_in("/proc", [&](pid_t pid, int) {
    std::string line = slurp("/proc/" + std::to_string(pid) + "/cmdline");
    std::replace(line.begin(), line.end(), '\0', ' ');
    if (pid != getpid() && line.find(marker) != line.npos && alive(pid) &&
        (guardians || !line.starts_with("mirakuru: guards ")))
      ++count;
  });
  return count;
}
inline int commands_matching(const std::string& marker) {
  return processes_matching(marker, false);
}

/// A number that the status file of a process has for a name, as it is written there (kilobytes for
/// sizes); -1 if there is none.
inline long status_of(pid_t pid, const std::string& name) {
  const auto text = slurp("/proc/" + std::to_string(pid) + "/status");
  const auto at = text.find("\n" + name + ":");
  return at == std::string::npos ? -1 : std::atol(text.c_str() + at + name.size() + 2);
}

/// The memory that this process has at the moment, in bytes.
inline long resident_bytes() {
  const auto statm = slurp("/proc/self/statm");
  return std::stol(statm.substr(statm.find(' '))) * sysconf(_SC_PAGESIZE);
}

/// This process's open descriptors, in order.
inline std::vector<int> open_fds() {
  std::vector<int> fds;
  each_number_in("/proc/self/fd", [&](int fd, int own) {
    if (fd != own) fds.push_back(fd);
  });
  std::sort(fds.begin(), fds.end());
  return fds;
}

}  // namespace test
