// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>
#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <csignal>
#include <cstring>
#include <mutex>

#include <mirakuru/error.hpp>
#include <mirakuru/os/ascii.hpp>
#include <mirakuru/sharing/lease.hpp>
#include <mirakuru/spawn/guardian/lease_message.hpp>
#include <mirakuru/text/cut.hpp>
#include <mirakuru/text/fnv.hpp>

namespace mirakuru::detail {

// Texts ------------------------------------------------------------------------------------------

MIRAKURU_DECL std::string pack(const std::vector<std::string>& texts) {
  std::string bytes;
  for (const auto& text : texts) bytes += std::to_string(text.size()) + ':' + text;
  return bytes;
}

MIRAKURU_DECL std::vector<std::string> unpack(std::string_view bytes) {
  std::vector<std::string> texts;
  while (!bytes.empty()) {
    std::size_t size = 0;
    const auto* const end = bytes.data() + bytes.size();
    const auto [at, error] = std::from_chars(bytes.data(), end, size);
    if (error != std::errc{} || at == end || *at != ':' ||
        size > static_cast<std::size_t>(end - at - 1))
      throw ExecutorError{"a message about a shared service cannot be read"};
    texts.emplace_back(at + 1, size);
    bytes.remove_prefix(static_cast<std::size_t>(at + 1 - bytes.data()) + size);
  }
  return texts;
}

inline std::string pack_pairs(std::vector<std::string> texts, const auto& pairs) {
  for (const auto& [name, value] : pairs) {
    texts.push_back(name);
    texts.push_back(value);
  }
  return pack(texts);
}

MIRAKURU_DECL SharedFacts comparable(SharedFacts facts) {
  constexpr std::size_t longest = 4096;
  const auto hash = [](const std::string& text) { return " #" + std::to_string(fnv(text)); };
  for (auto& [name, value] : facts)
    if (value.size() > longest) value = shortened(value, 200) + hash(value);
  const auto bytes = pack_pairs({}, facts);
  if (bytes.size() + 100 <= LeaseHead::most) return facts;
  const auto count = std::to_string(facts.size());
  facts.resize(1);  // the command
  facts.emplace_back("set of policies", count + " facts" + hash(bytes));
  return facts;
}

MIRAKURU_DECL std::string greeting_of(const SharedFacts& facts, const OutputStreams& streams) {
  return pack_pairs({std::to_string(streams.out().begin()), std::to_string(streams.err().begin())},
                    facts);
}

MIRAKURU_DECL std::string without_values(std::string text,
                                         const std::map<std::string, std::string>& published) {
  for (const auto& [name, value] : published) {
    if (value.empty()) continue;
    const auto mark = '{' + name + '}';
    for (auto at = text.find(value); at != text.npos; at = text.find(value, at)) {
      const auto end = at + value.size();
      const bool alone =
          (at == 0 || !is_word(text[at - 1])) && (end == text.size() || !is_word(text[end]));
      if (alone) text.replace(at, value.size(), mark);
      at += alone ? mark.size() : 1;
    }
  }
  return text;
}

MIRAKURU_DECL std::string difference(const SharedFacts& its, const SharedFacts& mine) {
  const auto value_of = [](const SharedFacts& facts, const std::string& name) {
    const auto at = std::ranges::find(facts, name, &SharedFacts::value_type::first);
    return at == facts.end() ? "(none)" : at->second;
  };
  for (const auto* facts : {&its, &mine})
    for (const auto& [name, value] : *facts)
      if (value_of(its, name) != value_of(mine, name))
        return (name == "command" ? "runs another " : "has another ") + name + ": " +
               shortened(value_of(its, name), 500) + "; this program wants " +
               shortened(value_of(mine, name), 500);
  return {};
}

// Errors -----------------------------------------------------------------------------------------

inline std::vector<std::string> failure_of(const std::exception_ptr& error) try {
  std::rethrow_exception(error);
} catch (const TimeoutExpired& expired) {
  const auto timeout = std::chrono::nanoseconds{expired.timeout()}.count();
  return {"timeout", std::to_string(timeout), expired.what()};
} catch (const ProcessExitedWithError& exited) {
  return {"exit", std::to_string(exited.exit_code()), exited.what()};
} catch (const AlreadyRunning& running) {
  return {"running", "0", running.what()};
} catch (const SpawnError& failure) {
  return {"spawn", std::to_string(failure.code().value()), failure.what()};
} catch (const std::exception& other) {
  return {"other", "0", other.what()};
} catch (...) {
  return {"other", "0", "it has failed by an unknown exception"};
}

MIRAKURU_DECL void Lease::throw_failure(const std::string& note) const {
  const auto& kind = failure_.at(0);
  const auto number = std::atoll(failure_.at(1).c_str());
  const auto message = failure_.at(2) + "\n  note: " + note;
  if (kind == "timeout") throw TimeoutExpired{message, std::chrono::nanoseconds{number}};
  if (kind == "exit") throw ProcessExitedWithError{message, static_cast<int>(number)};
  if (kind == "running") throw AlreadyRunning{message};
  if (kind == "spawn")
    throw SpawnError{message, {static_cast<int>(number), std::generic_category()}};
  throw ExecutorError{message};
}

inline pid_t peer_of(int socket, uid_t& user) noexcept {
  ucred peer{};
  socklen_t size = sizeof peer;
  if (::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return 0;
  user = peer.uid;
  return peer.pid;
}

inline bool send_message(int socket, LeaseHead::Kind kind, const std::string& bytes) noexcept {
  LeaseHead head;
  head.kind = kind;
  iovec parts[2] = {{&head, sizeof head}, {const_cast<char*>(bytes.data()), bytes.size()}};
  msghdr message{};
  message.msg_iov = parts;
  message.msg_iovlen = 2;
  return ::sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0;
}

inline std::string failed_message(const std::exception_ptr& error) noexcept try {
  if (!error) return {};
  auto failure = failure_of(error);
  failure[2] = shortened(failure[2], LeaseHead::most);
  return pack(failure);
} catch (...) {  // no memory: they start anew
  return {};
}

// The shutdown alone would leave those in the queue waiting while a fork has the listener.
MIRAKURU_DECL void give_up(UniqueFd listener, const std::exception_ptr& error) noexcept {
  if (!listener) return;
  ::shutdown(listener.get(), SHUT_RDWR);
  const auto bytes = failed_message(error);
  for (;;) {
    const UniqueFd joiner{::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC)};
    if (!joiner && (errno == EINTR || errno == ECONNABORTED)) continue;
    if (!joiner) return;
    uid_t user = ~uid_t{0};
    (void)peer_of(joiner.get(), user);
    if (!bytes.empty() && user == ::geteuid()) send_message(joiner.get(), LeaseHead::failed, bytes);
  }
}

// The lease --------------------------------------------------------------------------------------

MIRAKURU_DECL std::pair<UniqueFd, UniqueFd> make_lease() {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) != 0)
    throw_errno("socketpair");
  UniqueFd ours{ends[0]}, theirs{ends[1]};
  return {move_above_stdio(std::move(ours)), move_above_stdio(std::move(theirs))};
}

MIRAKURU_DECL Lease::Lease(UniqueFd socket) : socket_{std::move(socket)}, owner_{::getpid()} {}

MIRAKURU_DECL pid_t Lease::starter() const noexcept {
  uid_t user = 0;
  return socket_ ? peer_of(socket_.get(), user) : 0;
}

MIRAKURU_DECL void Lease::end() noexcept {
  if (state_ == State::waiting) state_ = State::lost;
  if (state_ == State::joined && !std::exchange(ended_, true)) {
    orphaned_ = true;
    trouble_ = "its guardian has ended";
    if (!exit_code_) exit_code_ = -SIGKILL;
  }
  socket_.reset();
}

MIRAKURU_DECL void Lease::look() {
  while (socket_) {
    const auto whole = ::recv(socket_.get(), nullptr, 0, MSG_DONTWAIT | MSG_PEEK | MSG_TRUNC);
    if (whole < 0 && errno == EINTR) continue;
    if (whole < 0 && errno == EAGAIN) return;
    if (whole <= 0) return end();
    std::string bytes(static_cast<std::size_t>(whole), '\0');
    iovec part{bytes.data(), bytes.size()};
    alignas(cmsghdr) char space[CMSG_SPACE(2 * sizeof(int))] = {};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = space;
    message.msg_controllen = sizeof space;
    const auto size = ::recvmsg(socket_.get(), &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (size <= 0) continue;
    std::vector<UniqueFd> files;
    const auto* const control = CMSG_FIRSTHDR(&message);
    if (control != nullptr && control->cmsg_type == SCM_RIGHTS) {
      const auto count = (control->cmsg_len - CMSG_LEN(0)) / sizeof(int);
      for (std::size_t i = 0; i < count; ++i) {
        int fd;
        std::memcpy(&fd, CMSG_DATA(control) + i * sizeof fd, sizeof fd);
        files.emplace_back(fd);
      }
    }
    if ((message.msg_flags & MSG_CTRUNC) != 0) throw_error(EMFILE, "recvmsg");
    take({bytes.data(), static_cast<std::size_t>(size)}, std::move(files));
  }
}

MIRAKURU_DECL void Lease::take(std::string_view bytes, std::vector<UniqueFd> files) {
  LeaseHead head;
  if (bytes.size() < sizeof head) return;
  std::memcpy(&head, bytes.data(), sizeof head);
  bytes.remove_prefix(sizeof head);
  if (head.version != LeaseHead::current)
    throw ExecutorError{"the programs that share a service use different versions of mirakuru"};
  if (head.kind == LeaseHead::failed) {
    failure_ = unpack(bytes);
    failure_.resize(3);
    state_ = State::failed;
  }
  if (head.kind == LeaseHead::ended) {
    exit_code_ = head.exit_code;
    ended_ = ended_ || head.last != 0;
  }
  if (head.kind != LeaseHead::hello) return;
  state_ = State::joined;
  leader_ = head.leader;
  guardian_ = head.guardian;
  const auto greeting = unpack(bytes.substr(0, head.greeting_size));
  // Not the variable in its environment: a later service of the same executor has the same.
  rest_ = {head.mark, ""};
  for (std::size_t i = 2; i + 1 < greeting.size(); i += 2)
    facts_.emplace_back(greeting[i], greeting[i + 1]);
  const auto values = unpack(bytes.substr(std::min<std::size_t>(head.greeting_size, bytes.size())));
  values_.port = static_cast<std::uint16_t>(std::atoi(values.at(0).c_str()));
  for (std::size_t i = 1; i + 1 < values.size(); i += 2)
    values_.published.emplace(values[i], values[i + 1]);
  if (files.size() != 2) return;
  const auto file = [&](std::size_t i) {
    return OutputFile::of_run(move_above_stdio(std::move(files[i])),
                              std::atoll(greeting.at(i).c_str()));
  };
  auto out = file(0);
  streams_ = {std::move(out), file(1)};
}

MIRAKURU_DECL bool Lease::alive() {
  if (::getpid() != owner_) return false;
  look();
  if (orphaned_) orphaned_ = still_after_a_second([this] { return kill_rest(); });
  return orphaned_ || (socket_ && !ended_);
}

/// Each program that has joined may do it, for the starter may be gone.
MIRAKURU_DECL bool Lease::kill_rest() {
  bool refused = false;
  const auto state = rest_.kill(guardian_, [&](pid_t, bool refuses) { refused |= refuses; });
  if (refused) trouble_ = "its guardian has ended, and a process may not be signalled";
  return state == TreeRest::State::lives && !refused;
}

MIRAKURU_DECL void Lease::tell_ready(const SharedValues& values) const {
  const auto bytes = pack_pairs({std::to_string(values.port)}, values.published);
  if (socket_) send_message(socket_.get(), LeaseHead::ready, bytes);
}

MIRAKURU_DECL void Lease::leave() noexcept {
  if (socket_ && ::getpid() == owner_) ::shutdown(socket_.get(), SHUT_RDWR);
  socket_.reset();
}

/// False if it is a guardian that lives.
inline bool has_been_reaped(pid_t guardian, std::uint64_t mark) {
  siginfo_t info{};
  // No child any more: reaped by the host, or this is a fork.
  if (::waitid(P_PID, static_cast<id_t>(guardian), &info, WEXITED | WNOHANG | __WALL) != 0)
    return true;
  if (info.si_pid == 0) return ::kill(guardian, SIGCONT) != 0;
  TreeRest rest{mark, ""};
  if (info.si_code != CLD_EXITED)
    (void)still_after_a_second(
        [&] { return rest.kill(guardian, [](auto...) {}) == TreeRest::State::lives; });
  return true;
}

MIRAKURU_DECL void reap_later(pid_t guardian, std::uint64_t mark) noexcept try {
  struct Left {
    pid_t guardian;
    std::uint64_t mark;
  };
  // Never destroyed: an executor may be static.
  static auto& mutex = *new std::mutex;
  static auto& left = *new std::vector<Left>;
  const std::lock_guard lock{mutex};
  if (guardian > 0) left.push_back({guardian, mark});
  std::erase_if(left, [](const Left& one) { return has_been_reaped(one.guardian, one.mark); });
} catch (...) {  // no memory: init reaps it
}

}  // namespace mirakuru::detail
