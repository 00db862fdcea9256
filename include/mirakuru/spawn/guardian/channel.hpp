// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <cerrno>
#include <cstddef>

#include <mirakuru/os/syscalls.hpp>
#include <mirakuru/spawn/guardian/report.hpp>

namespace mirakuru::detail {

/// The guardian's end of the channel to its owner: reports go out, signals come in. Calls no
/// library.
class [[gnu::visibility("hidden")]] Channel {
 public:
  explicit Channel(int fd) : fd_{fd} {}

  [[nodiscard]] int fd() const noexcept { return fd_; }
  /// Gives it a number of `least` or more. False with `errno`.
  [[nodiscard]] bool move_above(int least) {
    const auto moved = syscalls::call(SYS_fcntl, fd_, F_DUPFD_CLOEXEC, least);
    if (moved >= 0) fd_ = static_cast<int>(moved);
    return moved >= 0;
  }

  /// Returns false if the owner cannot get it. Tries for a tenth of a second, as the owner would
  /// wait for it; a straggler's may be lost.
  bool report(Report::Kind kind, pid_t pid, int value, const char* text = "", bool last = false) {
    report_.kind = kind;
    report_.pid = pid;
    report_.value = value;
    report_.last = last;
    std::size_t size = 0;
    for (; text[size] != '\0' && size + 1 < sizeof report_.text; ++size)
      report_.text[size] = text[size];
    report_.text[size] = '\0';
    for (int tries = kind == Report::straggler ? 1 : 100; tries > 0; --tries) {
      if (syscalls::call(SYS_sendto, fd_, &report_, sizeof report_, MSG_NOSIGNAL | MSG_DONTWAIT,
                         nullptr, 0) >= 0)
        return true;
      if (errno == EPIPE || errno == ECONNRESET) return false;
      syscalls::nap(1'000'000);
    }
    return false;
  }

  /// Reports a process with its command line. False for one beyond the limit of reports, too.
  bool report_process(Report::Kind kind, pid_t pid, int value) {
    // A limited number, as the channel must hold all for an owner that does not read.
    if (reports_ == max_reports) return false;
    ++reports_;
    char text[sizeof report_.text];
    long size = syscalls::read_file(syscalls::Path{} << "/proc/" << pid << "/cmdline", text);
    while (size > 0 && text[size - 1] == '\0') --size;
    for (long i = 0; i < size; ++i)
      if (text[i] == '\0') text[i] = ' ';
    if (size == 0) {
      size = syscalls::read_file(syscalls::Path{} << "/proc/" << pid << "/comm", text);
      if (size > 0) text[size - 1] = '\0';
    }
    return report(kind, pid, value, text);
  }

  /// Takes the next message. False if there is none.
  [[nodiscard]] bool receive(unsigned char (&message)[2]) const {
    return syscalls::call(SYS_recvfrom, fd_, message, sizeof message, MSG_DONTWAIT, nullptr,
                          nullptr) > 0;
  }

 private:
  static constexpr int max_reports = 100;

  int fd_;
  int reports_ = 0;
  Report report_ = {};
};

}  // namespace mirakuru::detail
