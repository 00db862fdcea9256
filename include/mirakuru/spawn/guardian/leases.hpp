// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <optional>

#include <mirakuru/os/syscalls.hpp>
#include <mirakuru/spawn/child.hpp>
#include <mirakuru/spawn/guardian/lease_message.hpp>
#include <mirakuru/spawn/guardian/lease_state.hpp>
#include <mirakuru/spawn/launch.hpp>

// The connections of the programs that use a tree.

namespace mirakuru::detail {

/// The guardian's part of a shared tree: accepts newcomers, greets them, and notices their end. It
/// uses system calls and the guardian's own memory alone.
class [[gnu::visibility("hidden")]] Leases {
 public:
  using Verdict = LeaseState::Verdict;

  [[nodiscard]] static std::size_t extra_size(const std::optional<Leasing>& given) {
    if (!given) return 0;
    return given->greeting.size() + LeaseHead::most + LeaseState::most * sizeof(int) + 64;
  }
  Leases(const std::optional<Leasing>& given, StringArena& arena)
      : state_{given ? std::chrono::nanoseconds{given->linger}.count() : 0} {
    if (!given) return;
    listener_ = given->listener;
    starter_ = given->starter;
    input_ = given->input;
    files_[0] = given->out;
    files_[1] = given->err;
    greeting_size_ = given->greeting.size();
    greeting_ = arena.string(given->greeting);
    values_ = arena.array<char>(LeaseHead::most);
    leases_ = arena.array<int>(LeaseState::most);
  }

  /// False for a tree that is the owner's alone; nothing else is called then.
  [[nodiscard]] bool shared() const noexcept { return listener_ >= 0; }
  /// Calls `visit` with each descriptor that it needs.
  template <class Visit>
  void each_descriptor(Visit visit) const {
    for (const int fd : {listener_, starter_, input_, files_[0], files_[1], events_}) visit(fd);
  }
  static constexpr std::size_t descriptors = 6;

  /// False with `errno` if it cannot begin.
  [[nodiscard]] bool begin() {
    if (!shared()) return true;
    events_ = static_cast<int>(syscalls::call(SYS_epoll_create1, EPOLL_CLOEXEC));
    if (events_ < 0 || !watch(starter_)) return false;
    leases_[count_++] = starter_;
    return true;
  }
  /// The command runs: it has the limits that the guardian had until now. `mark`: the tree's own.
  void spawned(pid_t leader, pid_t guardian, std::uint64_t mark) {
    leader_ = leader;
    guardian_ = guardian;
    mark_ = mark;
    if (!shared()) return;
    std::uint64_t limits[2];
    syscalls::call(SYS_prlimit64, 0, RLIMIT_NOFILE, nullptr, limits);
    limits[0] = limits[1];
    syscalls::call(SYS_prlimit64, 0, RLIMIT_NOFILE, limits, nullptr);
  }

  /// Readable when there is something to look at; -1 without leases.
  [[nodiscard]] int event() const noexcept { return events_; }
  /// The longest wait in nanoseconds.
  [[nodiscard]] std::int64_t pause(std::int64_t now) const {
    return shared() ? state_.pause(now) : INT64_MAX;
  }
  /// Takes what has come, and says how the tree goes on. A newcomer that came within the linger
  /// time counts, so it looks before it decides.
  [[nodiscard]] Verdict look() {
    epoll_event news[32];
    long size;
    do {
      size = syscalls::call(SYS_epoll_pwait, events_, news, 32, 0, nullptr, 0);
      for (long i = 0; i < size; ++i)
        if (news[i].data.fd == listener_)
          accept();
        else
          receive(news[i].data.fd);
    } while (size == 32);
    const auto verdict = state_.judge(syscalls::now());
    listen(state_.accepts() && !full_);
    if (verdict != Verdict::live) close(input_);  // a service may end by the end of its input
    return verdict;
  }
  /// The starter's process has ended, though a fork of it may hold its lease.
  void starter_ended() {
    if (starter_ >= 0) receive(starter_);  // it may have said that the service is ready
    if (starter_ >= 0) drop(starter_);
  }
  /// Tells all that the leader has ended, and if it was the `last` process.
  void leader_ended(int exit_code, bool last) {
    if (!shared()) return;
    state_.leader_ended(exit_code);
    leader_ended_ = true;
    exit_code_ = exit_code;
    for (int i = 0; i < count_; ++i) tell_end(leases_[i], last);
  }
  /// Nobody can join any more, also if a fork of the starter holds the listener. Those in the queue
  /// are turned away, unless the starter is about to tell them its error.
  void end() const {
    if (!shared()) return;
    syscalls::call(SYS_shutdown, listener_, SHUT_RDWR);
    if (starter_ >= 0 && values_size_ == 0) return;
    for (int fd; (fd = accept_one()) >= 0;) close(fd);
  }

 private:
  bool watch(int fd) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.fd = fd;
    return syscalls::call(SYS_epoll_ctl, events_, EPOLL_CTL_ADD, fd, &event) == 0;
  }
  void unwatch(int fd) {
    epoll_event event{};
    syscalls::call(SYS_epoll_ctl, events_, EPOLL_CTL_DEL, fd, &event);
  }
  static void close(int& fd) {
    if (fd >= 0) syscalls::call(SYS_close, fd);
    fd = -1;
  }
  void listen(bool wanted) {
    if (wanted == listens_) return;
    listens_ = wanted;
    wanted ? static_cast<void>(watch(listener_)) : unwatch(listener_);
  }

  [[nodiscard]] int accept_one() const {
    return static_cast<int>(
        syscalls::call(SYS_accept4, listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
  }
  /// Those for whom there is no room wait in the queue.
  void accept() {
    while (state_.accepts()) {
      int fd = accept_one();
      if (fd < 0) {
        full_ = errno == EMFILE || errno == ENFILE;
        return;
      }
      if (!is_mine(fd) || !greet(fd) || !watch(fd)) {
        close(fd);
        continue;
      }
      leases_[count_++] = fd;
      state_.joined();
    }
  }
  [[nodiscard]] static bool is_mine(int fd) {
    std::uint32_t peer[3] = {};  // struct ucred: pid, uid, gid
    std::uint32_t size = sizeof peer;
    return syscalls::call(SYS_getsockopt, fd, SOL_SOCKET, SO_PEERCRED, peer, &size) == 0 &&
           peer[1] == static_cast<std::uint32_t>(syscalls::call(SYS_geteuid));
  }
  bool greet(int fd) {
    LeaseHead head;
    head.kind = LeaseHead::hello;
    head.leader = leader_;
    head.guardian = guardian_;
    head.mark = mark_;
    head.greeting_size = static_cast<std::uint32_t>(greeting_size_);
    iovec parts[3] = {{&head, sizeof head}, {greeting_, greeting_size_}, {values_, values_size_}};
    msghdr message = {};
    message.msg_iov = parts;
    message.msg_iovlen = 3;
    alignas(cmsghdr) char space[CMSG_SPACE(sizeof files_)] = {};
    if (files_[0] >= 0 && files_[1] >= 0) {
      auto* const control = reinterpret_cast<cmsghdr*>(space);
      control->cmsg_level = SOL_SOCKET;
      control->cmsg_type = SCM_RIGHTS;
      control->cmsg_len = CMSG_LEN(sizeof files_);
      auto* const files = reinterpret_cast<int*>(CMSG_DATA(control));
      files[0] = files_[0];
      files[1] = files_[1];
      message.msg_control = space;
      message.msg_controllen = sizeof space;
    }
    if (syscalls::call(SYS_sendmsg, fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT) <= 0) return false;
    return !leader_ended_ || tell_end(fd, false);
  }
  bool tell_end(int fd, bool last) const {
    LeaseHead head;
    head.kind = LeaseHead::ended;
    head.exit_code = exit_code_;
    head.last = last ? 1 : 0;
    return syscalls::call(SYS_sendto, fd, &head, sizeof head, MSG_NOSIGNAL | MSG_DONTWAIT, nullptr,
                          0) > 0;
  }

  void receive(int fd) {
    for (;;) {
      LeaseHead head;
      iovec parts[2] = {{&head, sizeof head}, {values_, LeaseHead::most}};
      msghdr message = {};
      message.msg_iov = parts;
      message.msg_iovlen = fd == starter_ && values_size_ == 0 ? 2 : 1;
      const auto size = syscalls::call(SYS_recvmsg, fd, &message, MSG_DONTWAIT);
      if (size < 0 && errno == EAGAIN) return;
      if (size <= 0) return drop(fd);
      if (fd == starter_ && size > static_cast<long>(sizeof head) &&
          head.kind == LeaseHead::ready && values_size_ == 0) {
        values_size_ = static_cast<std::size_t>(size) - sizeof head;
        state_.ready();
      }
    }
  }
  void drop(int fd) {
    for (int i = 0; i < count_; ++i) {
      if (leases_[i] != fd) continue;
      leases_[i] = leases_[--count_];
      state_.left(fd == starter_, syscalls::now());
      unwatch(fd);
      if (fd == starter_) starter_ = -1;
      close(fd);
      full_ = false;
      return;
    }
  }

  LeaseState state_;
  int listener_ = -1, starter_ = -1, input_ = -1, events_ = -1;
  int files_[2] = {-1, -1};
  pid_t leader_ = 0, guardian_ = 0;
  std::uint64_t mark_ = 0;
  bool leader_ended_ = false;
  int exit_code_ = 0;  // of the leader
  bool listens_ = false;
  bool full_ = false;  // no descriptor is left for a newcomer
  char *greeting_ = nullptr, *values_ = nullptr;
  std::size_t greeting_size_ = 0, values_size_ = 0;
  int* leases_ = nullptr;
  int count_ = 0;
};

}  // namespace mirakuru::detail
