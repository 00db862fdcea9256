// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <linux/filter.h>
#include <sys/socket.h>
#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <fstream>
#include <stdexcept>

#include <mirakuru/error.hpp>
#include <mirakuru/net/endpoint.hpp>
#include <mirakuru/net/socket_path.hpp>
#include <mirakuru/os/printable.hpp>
#include <mirakuru/os/proc.hpp>
#include <mirakuru/os/uuid.hpp>
#include <mirakuru/ready/notification/notify.hpp>
#include <mirakuru/text/cut.hpp>
#include <mirakuru/text/phrases.hpp>

namespace mirakuru {

namespace detail {

// The news ---------------------------------------------------------------------------------------

inline std::string quotable(std::string_view text) {
  constexpr std::size_t longest = 300;
  return shortened(one_line(text), longest);
}

MIRAKURU_DECL void NotifyNews::take(std::string_view message, bool cut) {
  // Some senders count the NUL of their literal.
  while (message.ends_with('\0') || message.ends_with('\n')) message.remove_suffix(1);
  heard = true;
  last = quotable(message);
  bool is_ready = false, stops = false;
  int error = 0;
  while (!message.empty()) {
    const auto line = message.substr(0, message.find('\n'));
    const bool whole = !cut || line.size() < message.size();
    message.remove_prefix(std::min(line.size() + 1, message.size()));
    const auto equals = line.find('=');
    if (equals == line.npos) continue;
    const auto name = line.substr(0, equals), value = line.substr(equals + 1);
    if (name == "STATUS") status = quotable(value);
    if (!whole) continue;
    if (name == "READY") is_ready = value == "1";
    if (name == "STOPPING") stops = value == "1";
    if (name == "EXTEND_TIMEOUT_USEC") wants_time = true;
    if (name == "ERRNO") std::from_chars(value.data(), value.data() + value.size(), error);
  }
  if (is_ready) {
    ready = true;
  } else if (error > 0) {
    failure = "ERRNO=" + std::to_string(error) + " (" +
              reason_text({error, std::generic_category()}) + ")";
  } else if (stops) {
    failure = "STOPPING=1";
  }
}

MIRAKURU_DECL Readiness NotifyNews::answer() const {
  const auto its_status = status.empty() ? "" : "; its status: " + status;
  if (!failure.empty()) throw CannotHold{"the service has sent " + failure + its_status};
  if (ready) return true;
  if (!status.empty()) return not_ready(status);
  if (heard) return not_ready("its last message: '" + last + "'");
  return false;
}

MIRAKURU_DECL std::string NotifyNews::hint() const {
  std::string text;
  const auto add = [&text](const std::string& note) { text += (text.empty() ? "" : "\n") + note; };
  if (!heard && stranger.empty())
    add("nothing was sent to NOTIFY_SOCKET; the service must support it, as for Type=notify of "
        "systemd, and may need an option for it");
  if (!stranger.empty()) add("a message from outside the tree does not count: " + stranger);
  if (wants_time)
    add("it has asked for more time by EXTEND_TIMEOUT_USEC=, which has no effect here");
  return text;
}

// The socket -------------------------------------------------------------------------------------

inline constexpr std::size_t longest_message = 8 * 1024;

MIRAKURU_DECL NotifySocket::NotifySocket() : name_{"@mirakuru/" + make_uuid()} {
  socket_ =
      checked_fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), "socket AF_UNIX");
  const int yes = 1;
  if (::setsockopt(fd(), SOL_SOCKET, SO_PASSCRED, &yes, sizeof yes) != 0)
    throw_errno("setsockopt SO_PASSCRED");
  ::setsockopt(fd(), SOL_SOCKET, SO_TIMESTAMPNS, &yes, sizeof yes);
  message_.reserve(longest_message);
  const auto endpoint = SocketPath{name_}.endpoint();
  if (::bind(fd(), endpoint.data(), endpoint.size) != 0) throw_errno("bind AF_UNIX");
}

MIRAKURU_DECL bool NotifySocket::receive() {
  constexpr std::size_t most_descriptors = 253;  // Source: unix(7)
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(ucred)) + CMSG_SPACE(sizeof(timespec)) +
                                        CMSG_SPACE(sizeof(int) * most_descriptors)>
      control;
  message_.resize(longest_message);
  iovec text{message_.data(), message_.size()};
  msghdr header{};
  header.msg_iov = &text;
  header.msg_iovlen = 1;
  header.msg_control = control.data();
  header.msg_controllen = control.size();
  ssize_t size = -1;
  do size = ::recvmsg(fd(), &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  while (size < 0 && errno == EINTR);
  message_.resize(static_cast<std::size_t>(std::max<ssize_t>(size, 0)));
  if (size < 0) return false;
  cut_ = (header.msg_flags & MSG_TRUNC) != 0;
  sender_ = 0;
  sent_ = {};
  for (auto* part = CMSG_FIRSTHDR(&header); part != nullptr; part = CMSG_NXTHDR(&header, part)) {
    const auto read = [part]<class T>(T& into, std::size_t at = 0) {
      std::memcpy(&into, CMSG_DATA(part) + at, sizeof into);
    };
    if (part->cmsg_level != SOL_SOCKET) continue;
    if (part->cmsg_type == SCM_CREDENTIALS) {
      ucred who{};
      read(who);
      sender_ = who.pid;
    } else if (part->cmsg_type == SCM_TIMESTAMPNS) {
      timespec time{};
      read(time);
      sent_ = std::chrono::seconds{time.tv_sec} + std::chrono::nanoseconds{time.tv_nsec};
    } else if (part->cmsg_type == SCM_RIGHTS) {  // the sender of BARRIER=1 waits for their close
      for (std::size_t at = 0; at + sizeof(int) <= part->cmsg_len - CMSG_LEN(0);
           at += sizeof(int)) {
        int received = -1;
        read(received, at);
        const UniqueFd closed{received};
      }
    }
  }
  return true;
}

MIRAKURU_DECL void NotifySocket::mute() noexcept {
  // The kernel drops a message that the filter refuses, and tells the sender nothing.
  sock_filter drop_all = BPF_STMT(BPF_RET | BPF_K, 0);
  const sock_fprog program{1, &drop_all};
  muted_ = ::setsockopt(fd(), SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) == 0;
  if (!muted_) return socket_.reset();
  while (receive()) {
  }
}

MIRAKURU_DECL void NotifySocket::unmute() noexcept {
  const int none = 0;
  if (std::exchange(muted_, false))
    ::setsockopt(fd(), SOL_SOCKET, SO_DETACH_FILTER, &none, sizeof none);
}

// The sender -------------------------------------------------------------------------------------

inline bool has_in_environment(pid_t pid, const std::string& tag) {
  std::ifstream environment{"/proc/" + std::to_string(pid) + "/environ"};
  for (std::string entry; std::getline(environment, entry, '\0');)
    if (entry == tag) return true;
  return false;
}

MIRAKURU_DECL bool sent_by_tree(pid_t sender, std::chrono::nanoseconds sent, const Process& process,
                                const std::string& tag) {
  constexpr int most_parents = 32;  // each takes some 20 us
  const pid_t leader = process.pid(), guardian = process.context().guardian;
  if (sender == leader || sender == 0 || !proc_is_own()) return true;  // 0: it cannot be told
  // A parent may end while the search is at it, and then there is another one.
  for (int searches = 0; searches < 2; ++searches) {
    pid_t pid = sender;
    for (int parents = 0; pid > 1 && parents < most_parents; ++parents) {
      const auto stat = process_stat(pid);
      if (pid == sender) {
        if (!stat.lives() || stat.state == '?') return true;
        // It was born later, and has the id of one that is gone.
        constexpr std::chrono::milliseconds tick{100};
        if (sent.count() != 0 && started_at(stat) > sent + tick) return true;
      }
      if (pid == leader || pid == guardian || stat.group == leader || stat.session == leader)
        return true;
      pid = stat.parent;
    }
  }
  return has_in_environment(sender, tag);
}

// The probe --------------------------------------------------------------------------------------

class NotifyProbe final : public Probe {
 public:
  NotifyProbe(NotifyRun& run, const Process& process) : run_{run}, process_{process} {
    if (run_.probes++ == 0) run_.socket.unmute();
  }
  NotifyProbe(const NotifyProbe&) = delete;
  NotifyProbe& operator=(const NotifyProbe&) = delete;
  ~NotifyProbe() override {
    if (--run_.probes == 0) run_.socket.mute();
  }

  Readiness poll(TimePoint now) override {
    constexpr std::chrono::milliseconds longest_look{1};
    const auto until = Clock::now() + longest_look;
    auto& news = run_.news;
    trusted_ = 0;
    do more_ = run_.socket.receive() && take();
    while (more_ && Clock::now() < until);
    if (now >= closed_at_) more_ = false;
    // The exit code tells more than the last words.
    if (!process_.running() && !news.failure.empty()) return not_ready(news.failure);
    return news.answer();
  }
  void wait(TimePoint now, WaitSet& waits) const override {
    if (more_) waits.until(now);
    waits.add(run_.socket.fd());
  }
  [[nodiscard]] bool pending() const noexcept override { return more_; }
  void close(TimePoint until) override {
    more_ = closed_at_ == TimePoint::max() || more_;  // the last words are the reason
    closed_at_ = until;
  }

 private:
  /// Takes a message that counts. False if it has decided.
  bool take() {
    const auto& socket = run_.socket;
    const pid_t sender = socket.sender();
    if (sender != trusted_ && !sent_by_tree(sender, socket.sent(), process_, run_.tag)) {
      run_.news.stranger = quotable(socket.message()) + " of " + quotable(describe_process(sender));
      return true;
    }
    trusted_ = sender;
    const bool was_ready = run_.news.ready;
    run_.news.take(socket.message(), socket.cut());
    return (was_ready || !run_.news.ready) && run_.news.failure.empty();
  }

  NotifyRun& run_;
  const Process& process_;
  pid_t trusted_ = 0;  // a sender in this look
  bool more_ = false;
  TimePoint closed_at_ = TimePoint::max();
};

}  // namespace detail

MIRAKURU_DECL std::string NotifyCheck::hint(const Process&) const {
  return run.get() != nullptr ? run.get()->news.hint() : "";
}

MIRAKURU_DECL void NotifyCheck::prepare(LaunchRequest& request) const {
  constexpr auto variable = "NOTIFY_SOCKET";
  if (request.env.contains(variable))
    throw std::invalid_argument{
        "NOTIFY_SOCKET has a value already: by Command::env, or by a second NotifyCheck"};
  auto& made = run.emplace();
  made.tag = "mirakuru_uuid=" + request.id;
  request.env.emplace(variable, made.socket.name());
  std::erase(request.unset, variable);
}

MIRAKURU_DECL std::unique_ptr<Probe> NotifyCheck::probe(const Process& process) const {
  if (run.get() == nullptr) throw std::logic_error{"prepare() comes before probe()"};
  return std::make_unique<detail::NotifyProbe>(*run.get(), process);
}

}  // namespace mirakuru
