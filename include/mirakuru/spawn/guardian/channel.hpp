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
  /// `stragglers` has room for those of one message.
  Channel(int fd, Report (&stragglers)[Report::most_in_message])
      : fd_{fd}, stragglers_{stragglers} {}

  [[nodiscard]] int fd() const noexcept { return fd_; }
  /// Gives it a number of `least` or more. False with `errno`.
  [[nodiscard]] bool move_above(int least) {
    const auto moved = syscalls::call(SYS_fcntl, fd_, F_DUPFD_CLOEXEC, least);
    if (moved >= 0) fd_ = static_cast<int>(moved);
    return moved >= 0;
  }

  /// Returns false if the owner cannot get it. Tries for a tenth of a second, as the owner would
  /// wait for it.
  bool report(Report::Kind kind, pid_t pid, int value, const char* text = "", bool last = false) {
    fill(report_, kind, pid, value, text);
    report_.last = last;
    return send(&report_, 1, 100);
  }

  /// Keeps a process for the next message. That may be lost, and so is a process beyond the limit.
  void add_straggler(pid_t pid) {
    if (!may_report_process()) return;
    fill_process(stragglers_[straggler_count_++], Report::straggler, pid, 0);
    if (straggler_count_ == Report::most_in_message) send_stragglers();
  }
  void send_stragglers() {
    if (straggler_count_ > 0) send(stragglers_, straggler_count_, 1);
    straggler_count_ = 0;
  }

  /// Reports a process that may not be ended. False for one beyond the limit of reports, too.
  bool report_refusal(pid_t pid) {
    if (!may_report_process()) return false;
    fill_process(report_, Report::refused, pid, EPERM);
    return send(&report_, 1, 100);
  }

  /// Takes the next message. False if there is none.
  [[nodiscard]] bool receive(unsigned char (&message)[2]) const {
    return syscalls::call(SYS_recvfrom, fd_, message, sizeof message, MSG_DONTWAIT, nullptr,
                          nullptr) > 0;
  }

 private:
  static constexpr int max_reports = 100;

  static void fill(Report& report, Report::Kind kind, pid_t pid, int value, const char* text) {
    report.kind = kind;
    report.pid = pid;
    report.value = value;
    report.last = false;
    std::size_t size = 0;
    for (; text[size] != '\0' && size + 1 < sizeof report.text; ++size)
      report.text[size] = text[size];
    report.text[size] = '\0';
  }
  /// The text is the command line of the process.
  static void fill_process(Report& report, Report::Kind kind, pid_t pid, int value) {
    fill(report, kind, pid, value, "");
    auto& text = report.text;
    long size = syscalls::read_file(syscalls::Path{} << "/proc/" << pid << "/cmdline", text);
    while (size > 0 && text[size - 1] == '\0') --size;
    for (long i = 0; i < size; ++i)
      if (text[i] == '\0') text[i] = ' ';
    if (size > 0) return;
    size = syscalls::read_file(syscalls::Path{} << "/proc/" << pid << "/comm", text);
    if (size > 0) text[size - 1] = '\0';
  }

  bool send(const Report* reports, int count, int tries) {
    const auto size = static_cast<std::size_t>(count) * sizeof(Report);
    for (; tries > 0; --tries) {
      if (syscalls::call(SYS_sendto, fd_, reports, size, MSG_NOSIGNAL | MSG_DONTWAIT, nullptr, 0) >=
          0)
        return true;
      if (errno == EPIPE || errno == ECONNRESET) return false;
      syscalls::nap(1'000'000);
    }
    return false;
  }

  /// A limited number, as the channel must hold all for an owner that does not read.
  [[nodiscard]] bool may_report_process() { return reports_ < max_reports && ++reports_ != 0; }

  int fd_;
  int reports_ = 0, straggler_count_ = 0;
  Report* stragglers_;  // not here: they are large, and seldom written
  Report report_ = {};
};

}  // namespace mirakuru::detail
