// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <poll.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <cerrno>
#include <ctime>

#include <mirakuru/os/syscalls.hpp>
#include <mirakuru/spawn/child.hpp>
#include <mirakuru/spawn/launch.hpp>

// The streams that a guardian copies: a terminal's output to a file, and a file to the test's
// standard error.

namespace mirakuru::detail {

/// Copies one stream. Never blocks: what the target does not take waits for the next pump().
class [[gnu::visibility("hidden")]] RelayRun {
 public:
  static constexpr std::size_t buffer_size = 16 * 1024;

  [[nodiscard]] static std::size_t extra_size(const Relay& relay) {
    return relay.label.size() + 2 * buffer_size + 64;
  }
  RelayRun() = default;
  RelayRun(const Relay& relay, StringArena& arena)
      : from_{relay.from},
        to_{relay.to},
        from_terminal_{relay.from_terminal},
        label_{arena.string(relay.label)},
        label_size_{relay.label.size()},
        in_{arena.array<char>(buffer_size)},
        out_{arena.array<char>(buffer_size)} {
    struct stat status{};
    if (!from_terminal_ && ::fstat(from_, &status) == 0) offset_ = status.st_size;
  }

  [[nodiscard]] int from() const noexcept { return from_; }
  [[nodiscard]] int to() const noexcept { return to_; }
  [[nodiscard]] bool from_terminal() const noexcept { return from_terminal_; }
  /// True if the target takes no more at present.
  [[nodiscard]] bool blocked() const noexcept { return blocked_; }
  /// True when a terminal has no user any more.
  [[nodiscard]] bool over() const noexcept { return over_; }

  /// Copies some of what is there; an unfinished line too if it is the `last` time. True if it has
  /// left something: a writer without end must not keep the guardian from its other work.
  bool pump(bool last) {
    for (int rounds = 0; write_out(); ++rounds) {
      if (rounds == 8) return true;
      const auto size = over_ ? 0
                        : from_terminal_
                            ? syscalls::call(SYS_read, from_, in_, buffer_size)
                            : syscalls::call(SYS_pread64, from_, in_, buffer_size, offset_);
      if (size <= 0) {
        over_ = over_ || (from_terminal_ && size < 0 && errno == EIO);
        if (last && !from_terminal_ && !at_begin_) put('\n');
        write_out();
        return false;
      }
      if (from_terminal_) {
        for (long i = 0; i < size; ++i) out_[filled_++] = in_[i];
        continue;
      }
      // Whole lines only, unless one is longer than the buffer.
      long whole = size;
      while (whole > 0 && in_[whole - 1] != '\n') --whole;
      if (whole == 0 && size < static_cast<long>(buffer_size) && !last) return false;
      if (whole == 0) whole = size;
      long used = 0;
      while (used < whole && filled_ + label_size_ + 1 < buffer_size) put(in_[used++]);
      offset_ += used;
    }
    return false;
  }

 private:
  void put(char c) {
    if (at_begin_)
      for (std::size_t i = 0; i < label_size_; ++i) out_[filled_++] = label_[i];
    out_[filled_++] = c;
    at_begin_ = c == '\n';
  }

  /// True if the buffer is empty then.
  bool write_out() {
    std::size_t done = 0;
    while (done < filled_) {
      // The target may block: a pipe that is ready takes this much at once.
      constexpr std::size_t most = 4096;
      pollfd ready{.fd = to_, .events = POLLOUT, .revents = 0};
      constexpr timespec at_once = {};
      blocked_ = syscalls::call(SYS_ppoll, &ready, 1, &at_once, nullptr, 0) == 0;
      if (blocked_) break;
      const auto left = filled_ - done < most ? filled_ - done : most;
      long size = is_socket_ ? syscalls::call(SYS_sendto, to_, out_ + done, left,
                                              MSG_DONTWAIT | MSG_NOSIGNAL, nullptr, 0)
                             : -1;
      if (!is_socket_ || (size < 0 && errno == ENOTSOCK)) {
        is_socket_ = false;
        size = syscalls::call(SYS_write, to_, out_ + done, left);
      }
      blocked_ = size < 0 && errno == EAGAIN;
      if (blocked_ || size == 0) break;
      done = size < 0 ? filled_ : done + static_cast<std::size_t>(size);  // nobody reads it
    }
    for (std::size_t i = done; i < filled_; ++i) out_[i - done] = out_[i];
    filled_ -= done;
    return filled_ == 0;
  }

  int from_ = -1, to_ = -1;
  bool from_terminal_ = false, is_socket_ = true, blocked_ = false, over_ = false;
  bool at_begin_ = true;  // of a line
  char* label_ = nullptr;
  std::size_t label_size_ = 0;
  char *in_ = nullptr, *out_ = nullptr;
  std::size_t filled_ = 0;  // of `out_`
  std::int64_t offset_ = 0;
};

/// All relays of a guardian. Most have none, and it costs them no system call.
class [[gnu::visibility("hidden")]] Relays {
 public:
  static constexpr std::size_t most = 2;

  [[nodiscard]] static std::size_t extra_size(const std::vector<Relay>& relays) {
    std::size_t size = 0;
    for (const auto& relay : relays) size += RelayRun::extra_size(relay);
    return size;
  }
  Relays(const std::vector<Relay>& relays, StringArena& arena) {
    for (const auto& relay : relays)
      if (count_ < most) runs_[count_++] = RelayRun{relay, arena};
  }

  [[nodiscard]] bool empty() const noexcept { return count_ == 0; }
  /// Calls `visit` with each descriptor that it needs.
  template <class Visit>
  void each_descriptor(Visit visit) const {
    for (std::size_t i = 0; i < count_; ++i) {
      visit(runs_[i].from());
      visit(runs_[i].to());
    }
    visit(changes_);
  }

  /// Begins to follow the files. Without inotify they are read every `pause()`.
  void begin() {
    for (std::size_t i = 0; i < count_; ++i) {
      if (runs_[i].from_terminal()) continue;
      if (changes_ < 0)
        changes_ = static_cast<int>(syscalls::call(SYS_inotify_init1, IN_NONBLOCK | IN_CLOEXEC));
      const syscalls::Path file = syscalls::Path{} << "/proc/self/fd/" << runs_[i].from();
      follows_ =
          syscalls::call(SYS_inotify_add_watch, changes_, file.text(), IN_MODIFY) >= 0 && follows_;
    }
  }
  /// The longest wait in nanoseconds.
  [[nodiscard]] std::int64_t pause() const noexcept {
    return more_ ? 0 : count_ == 0 || follows_ ? INT64_MAX : 10'000'000;
  }
  /// Fills `events` with the next wait's descriptors.
  void wait_for(pollfd (&events)[most]) const {
    for (std::size_t i = 0; i < most; ++i) {
      events[i] = {.fd = -1, .events = POLLIN, .revents = 0};
      if (i >= count_) continue;
      if (runs_[i].blocked())
        events[i] = {.fd = runs_[i].to(), .events = POLLOUT, .revents = 0};
      else if (runs_[i].from_terminal())
        events[i].fd = runs_[i].over() ? -1 : runs_[i].from();
      else if (i == 0 || runs_[0].blocked())
        events[i].fd = changes_;
    }
  }
  /// Copies what is there. The `last` time it waits up to 0.1 s for targets that are full.
  void pump(bool last = false) {
    char news[1024];
    if (changes_ >= 0)
      while (syscalls::call(SYS_read, changes_, news, sizeof news) > 0) {
      }
    for (int tries = 0;;) {
      bool blocked = more_ = false;
      for (std::size_t i = 0; i < count_; ++i) {
        more_ |= runs_[i].pump(last);
        blocked |= runs_[i].blocked();
      }
      if (!last || (!more_ && !blocked) || tries == 100) return;
      if (blocked) syscalls::nap(1'000'000), ++tries;
    }
  }

 private:
  RelayRun runs_[most];
  std::size_t count_ = 0;
  int changes_ = -1;     // an inotify descriptor
  bool follows_ = true;  // it tells all changes
  bool more_ = false;    // the last pump() has left something
};

}  // namespace mirakuru::detail
