// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/types.h>
#include <chrono>
#include <memory>
#include <string>
#include <string_view>

#include <mirakuru/os/config.hpp>
#include <mirakuru/os/unique_fd.hpp>
#include <mirakuru/ready/per_start.hpp>
#include <mirakuru/ready/probe.hpp>
#include <mirakuru/spawn/launch.hpp>

namespace mirakuru {

namespace detail {

/// The news that a service has sent in one start. Source: sd_notify(3).
struct NotifyNews {
  bool ready = false;
  bool wants_time = false;    // EXTEND_TIMEOUT_USEC=
  std::string failure = {};   // why it cannot become ready
  std::string status = {};    // the last STATUS=
  std::string last = {};      // the last message, which may be empty
  bool heard = false;         // there has been a message
  std::string stranger = {};  // the last sender outside the tree, and its message

  /// Takes a message. `cut`: its end is missing.
  void take(std::string_view message, bool cut = false);
  /// Throws `CannotHold` after a failure.
  [[nodiscard]] Readiness answer() const;
  /// Notes for the message of a time-out.
  [[nodiscard]] std::string hint() const;
};

/// The socket that NOTIFY_SOCKET names.
class NotifySocket {
 public:
  /// Binds a new abstract name. Throws `std::system_error`.
  NotifySocket();

  /// "@mirakuru/..."
  [[nodiscard]] const std::string& name() const noexcept { return name_; }
  [[nodiscard]] int fd() const noexcept { return socket_.get(); }
  /// Takes one message. Descriptors that come with it are closed. False if there is none.
  bool receive();
  [[nodiscard]] std::string_view message() const noexcept { return message_; }
  [[nodiscard]] bool cut() const noexcept { return cut_; }
  [[nodiscard]] pid_t sender() const noexcept { return sender_; }
  /// When the message was sent, on the clock of file times.
  [[nodiscard]] std::chrono::nanoseconds sent() const noexcept { return sent_; }

  /// Nobody listens any more: messages vanish, as the sender must neither wait nor see an error.
  void mute() noexcept;
  /// Keeps messages again.
  void unmute() noexcept;

 private:
  std::string name_, message_;
  UniqueFd socket_;
  bool cut_ = false, muted_ = false;
  pid_t sender_ = 0;
  std::chrono::nanoseconds sent_ = {};
};

/// A service's channel and its news, which outlive a probe.
struct NotifyRun {
  NotifySocket socket = {};
  std::string tag = {};  // an entry of the command's environment
  NotifyNews news = {};
  int probes = 0;
};

/// True if a message counts: its sender belongs to the tree, or is gone since. `tag` is an entry of
/// the command's environment.
[[nodiscard]] bool sent_by_tree(pid_t sender, std::chrono::nanoseconds sent, const Process& process,
                                const std::string& tag);

}  // namespace detail

/// Ready when the service sends READY=1 to the socket that NOTIFY_SOCKET names: sd_notify(3), as of
/// a unit with `Type=notify`. The last STATUS= is the reason while it is not.
///
/// ERRNO= and STOPPING=1 before that end the start at once. EXTEND_TIMEOUT_USEC= has no effect.
/// Messages count from the tree alone. A sender that is gone already counts, as nobody can guess
/// the socket's name. Once the start is over, messages vanish and no sender waits.
///
/// Until this check's turn the kernel keeps some messages, and then a sender waits:
/// `net.unix.max_dgram_qlen`. A command in a network namespace of its own cannot reach the socket.
/// An executor takes one such check; other services inherit no NOTIFY_SOCKET. Rests on abstract
/// sockets, `SO_PASSCRED` and /proc. Source: unix(7).
struct NotifyCheck {
  static constexpr bool looks_here = true;
  static constexpr bool needs_preparation = true;

  /// Names the check in messages.
  [[nodiscard]] std::string describe() const { return "READY=1 at NOTIFY_SOCKET"; }
  /// The things that have come instead, after a time-out.
  [[nodiscard]] std::string hint(const Process& process) const;
  /// Called before the spawn: makes the socket. Throws `std::invalid_argument` if the request has
  /// one already.
  void prepare(LaunchRequest& request) const;
  /// Asked after the spawn.
  [[nodiscard]] std::unique_ptr<Probe> probe(const Process& process) const;

  detail::PerStart<detail::NotifyRun> run = {};  ///< the news of one start
};

}  // namespace mirakuru

#if !defined(MIRAKURU_SEPARATE_COMPILATION)
#include <mirakuru/ready/notification/notify.ipp>
#endif
