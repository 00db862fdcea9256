// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <fcntl.h>
#include <cstddef>

#include <mirakuru/os/syscalls.hpp>
#include <mirakuru/spawn/child.hpp>
#include <mirakuru/spawn/guardian/places.hpp>

namespace mirakuru::detail {

/// The guardian's part of a control group. Without a group it does nothing. Calls no library.
/// Source: Linux, Documentation/admin-guide/cgroup-v2.rst.
class [[gnu::visibility("hidden")]] ControlGroup {
 public:
  [[nodiscard]] static std::size_t extra_size(const Cgroup& group) { return group.path.size() + 1; }
  ControlGroup(const Cgroup& group, StringArena& arena)
      : directory_{group.directory.get()},
        kill_{group.kill.get()},
        path_{arena.string(group.path)},
        name_{path_ + (group.path.rfind('/') + 1)} {}  // npos + 1 is 0

  [[nodiscard]] bool exists() const noexcept { return directory_ >= 0; }
  /// The descriptor of its directory; -1 without a group.
  [[nodiscard]] int directory() const noexcept { return directory_; }
  template <class Visit>
  void each_descriptor(Visit visit) const {
    visit(directory_);
    visit(kill_);
  }

  /// True if the caller is in it. A system may accept the group of the clone and ignore it.
  [[nodiscard]] bool holds_caller() const {
    syscalls::File groups{"/proc/self/cgroup"};
    std::size_t same = 0;
    for (char c; (c = groups.get()) != '\0' && name_[same] != '\0';)
      same = c == name_[same] ? same + 1 : c == name_[0] ? 1 : 0;
    return name_[same] == '\0';
  }

  /// Kills all processes in it.
  void kill() const {
    if (kill_ >= 0) syscalls::call(SYS_write, kill_, "1", 1);
  }
  /// Freezes it, or lets it go on. False if it has no freezer, or takes longer than a tenth of a
  /// second.
  bool freeze(bool stop) const {
    const auto file = syscalls::call(SYS_openat, directory_, "cgroup.freeze", O_WRONLY | O_CLOEXEC);
    if (file < 0) return false;
    syscalls::call(SYS_write, file, stop ? "1" : "0", 1);
    syscalls::call(SYS_close, file);
    for (int tries = 0; stop && tries < 200; ++tries) {
      const auto events =
          syscalls::call(SYS_openat, directory_, "cgroup.events", O_RDONLY | O_CLOEXEC);
      char text[64] = {};
      syscalls::call(SYS_read, events, text, sizeof text - 1);
      syscalls::call(SYS_close, events);
      for (const char* at = text; *at != '\0'; ++at)
        if (at[0] == 'n' && at[1] == ' ' && at[2] == '1') return true;  // "frozen 1"
      syscalls::nap(500'000);
    }
    return !stop;
  }
  /// Removes it, and those below it. Its processes have ended.
  void remove() const {
    if (exists()) syscalls::remove_directories(AT_FDCWD, path_);
  }

 private:
  int directory_, kill_;
  char* path_;
  char* name_;  // the path's last part
};

}  // namespace mirakuru::detail
