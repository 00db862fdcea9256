// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/types.h>
#include <cstdint>
#include <exception>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <mirakuru/os/config.hpp>
#include <mirakuru/os/unique_fd.hpp>
#include <mirakuru/output/streams.hpp>
#include <mirakuru/spawn/guardian/rest.hpp>

// A program's part of a service that it shares with others.

namespace mirakuru::detail {

/// The facts that have to be equal in all programs, each with its name.
using SharedFacts = std::vector<std::pair<std::string, std::string>>;

/// The things that the starter hands on once the service is ready.
struct SharedValues {
  std::uint16_t port = 0;  // the first one that a check has connected to; 0 for none
  std::map<std::string, std::string> published = {};
};

/// Texts as bytes, and back. Throws `ExecutorError` for bytes that are none.
[[nodiscard]] std::string pack(const std::vector<std::string>& texts);
[[nodiscard]] std::vector<std::string> unpack(std::string_view bytes);

/// A connection to the guardian of a shared service, or to the program that starts it. While it is
/// open, the guardian keeps the service.
class Lease {
 public:
  enum class State {
    waiting,  ///< nobody has answered yet
    joined,   ///< the guardian has
    failed,   ///< the starter has told its error
    lost      ///< the other end is closed, and nothing came before
  };

  Lease() = default;
  explicit Lease(UniqueFd socket);

  /// Takes the messages that have come. Never blocks. Throws `ExecutorError` for those of another
  /// version of this library.
  void look();
  [[nodiscard]] State state() const noexcept { return state_; }
  [[nodiscard]] int event() const noexcept { return socket_.get(); }
  explicit operator bool() const noexcept { return static_cast<bool>(socket_); }
  /// The process that listens; 0 if it is unknown. Rests on SO_PEERCRED.
  [[nodiscard]] pid_t starter() const noexcept;

  // Once joined.
  /// Of a guardian that was killed, it kills the rest of the tree. Blocks for that, at most a
  /// second.
  [[nodiscard]] bool alive();
  [[nodiscard]] pid_t leader() const noexcept { return leader_; }
  [[nodiscard]] pid_t guardian() const noexcept { return guardian_; }
  [[nodiscard]] std::optional<int> exit_code() const noexcept { return exit_code_; }
  [[nodiscard]] const std::string& trouble() const noexcept { return trouble_; }
  [[nodiscard]] const SharedFacts& facts() const noexcept { return facts_; }
  [[nodiscard]] const SharedValues& values() const noexcept { return values_; }
  /// The files of the output, once.
  [[nodiscard]] OutputStreams take_streams() { return std::move(streams_); }

  /// Throws the starter's error, with a `note` at its end.
  [[noreturn]] void throw_failure(const std::string& note) const;

  /// For the starter: tells the guardian that the service is ready.
  void tell_ready(const SharedValues& values) const;
  /// Gives the lease up, also for forks of this process that hold a copy. A fork does nothing.
  void leave() noexcept;

 private:
  void take(std::string_view bytes, std::vector<UniqueFd> files);
  void end() noexcept;
  [[nodiscard]] bool kill_rest();

  UniqueFd socket_;
  pid_t owner_ = 0;
  State state_ = State::waiting;
  pid_t leader_ = 0, guardian_ = 0;
  bool ended_ = false;
  bool orphaned_ = false;  // the guardian was killed, and the rest of the tree may live
  TreeRest rest_;
  std::optional<int> exit_code_;
  std::string trouble_;
  SharedFacts facts_;
  SharedValues values_;
  OutputStreams streams_;
  std::vector<std::string> failure_;
};

/// The facts with those that are long replaced by a number, so that they fit in a message.
[[nodiscard]] SharedFacts comparable(SharedFacts facts);
/// The greeting of a guardian: the facts, and where the run begins in the output's files.
[[nodiscard]] std::string greeting_of(const SharedFacts& facts, const OutputStreams& streams);
/// Closes the queue of `listener`, also if a fork of this process has a copy. Those that wait get
/// the `error`; with none they elect another starter.
void give_up(UniqueFd listener, const std::exception_ptr& error) noexcept;
/// The pair of sockets that is the starter's lease: its own end, and the guardian's. Throws
/// `std::system_error`.
[[nodiscard]] std::pair<UniqueFd, UniqueFd> make_lease();
/// Reaps `guardian` when it has ended, in a later call: it keeps a service that this process has
/// left. 0: only looks at the earlier ones. One that somebody has stopped goes on. Of one that was
/// killed, the processes with the `mark` of its tree are killed, too.
void reap_later(pid_t guardian, std::uint64_t mark = 0) noexcept;

/// Replaces each published value in `text` by its name, where it stands alone.
[[nodiscard]] std::string without_values(std::string text,
                                         const std::map<std::string, std::string>& published);
/// The first difference in words, "runs another command: A; this program wants B"; empty for none.
[[nodiscard]] std::string difference(const SharedFacts& its, const SharedFacts& mine);

}  // namespace mirakuru::detail

#if !defined(MIRAKURU_SEPARATE_COMPILATION)
#include <mirakuru/sharing/lease.ipp>
#endif
