// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <signal.h>
#include <sys/types.h>
#include <cstddef>
#include <cstdint>
#include <span>

#include <mirakuru/os/config.hpp>
#include <mirakuru/spawn/guardian/memory.hpp>
#include <mirakuru/spawn/guardian/tree.hpp>
#include <mirakuru/spawn/launch.hpp>
#include <mirakuru/stop/schedule.hpp>

namespace mirakuru::detail {

struct Cgroup;

/// One message from a guardian to its owner.
struct Report {
  enum Kind : int { spawned, failed, straggler, ended, empty };

  Kind kind;
  pid_t pid;
  int value;       // the guardian's own id of `spawned`, the errno of `failed`, the exit code of
                   // `ended`
  bool last;       // nothing is below the guardian any more, and it exits
  char text[243];  // the failed call, or the straggler's command line
};

/// The call that fails when the program cannot be executed; the text of a `failed` report.
[[gnu::visibility("hidden")]] inline constexpr char exec_call[] = "execve";

/// A message from the owner is one byte: a signal for the tree, and this bit if the owner has sent
/// the signal to the leader's group itself.
inline constexpr unsigned char group_has_it = 0x80;

/// A signal for the command after its owner's death.
struct LastSignal {
  std::int64_t after;  // nanoseconds
  int signal;
};

/// The process between the owner, which is the test, and the command. It is a fork of the owner
/// and executes no other program.
///
/// From the fork on it uses system calls and the memory of this object alone. Locks of the owner's
/// other threads stay locked in the fork for ever. And once the command runs, the guardian unmaps
/// the owner's memory and all libraries but the C library. So it calls no library function but
/// `syscall`, and `clone` before the unmapping; see syscalls.hpp.
///
///     spawn the command -> reap, signal, wait, until nothing is below it -> exit
///
/// The channel carries reports to the owner, and signals to the guardian, one byte each. When the
/// channel closes, or the owner ends, the guardian sends the owner's last signals by itself.
class [[gnu::visibility("hidden")]] Guardian {
 public:
  static constexpr std::size_t page = 4096, stack_size = 16 * page - page / 2;

  /// The guardian's orders.
  struct Task {
    const LaunchRequest& request;
    const LocalExec& exec;
    std::span<const TimedSignal> last_signals;  // counted from the clock's begin
    int channel;
    int owner;  // a pidfd; -1 where the kernel has none
    RlimitTag mark;
    ArgumentArea area;
    const Modules* modules;  // null: the owner's memory stays
    const Cgroup& group;
  };

  /// The number of bytes that it needs behind the object.
  [[nodiscard]] static std::size_t extra_size(const Task& task);
  explicit Guardian(const Task& task);

  /// The fork runs this, on a stack of its own. Never returns.
  static int main(void* guardian);
  [[nodiscard]] char* stack_top() noexcept { return stack_ + stack_size; }

  [[nodiscard]] const NeededRanges& needed() const noexcept { return needed_; }

 private:
  static constexpr int max_reports = 100;

  void run();
  void reset_signals();
  static int run_command(void* guardian);
  pid_t spawn();
  void become_command();
  [[nodiscard]] bool in_cgroup() const;
  void fail(const char* call);
  void report(Report::Kind kind, pid_t pid, int value, const char* text = nullptr,
              bool last = false);

  void unmap_unused();
  void close_others();
  static void close_range(unsigned first, unsigned last, bool at_exec = false);

  bool reap();
  void report_end(bool last);
  void wait();
  void receive(int events);
  void on_owner_exit();
  void keep_to_schedule();
  void begin_step(int signal, bool group_signalled);
  [[nodiscard]] std::int64_t time_of_step(int signal) const;
  void signal_rest();
  void report_straggler(pid_t pid);
  [[nodiscard]] static std::int64_t now();

  // The stack grows down from the start of the data, so the used ends of both share a page. A fork
  // copies each page at its first write.
  alignas(page) char stack_[stack_size];

  // Its orders.
  int channel_, owner_, group_, group_kill_;
  ArgumentArea area_;
  int streams_[3];
  char* program_;
  char** argv_;
  char** environment_;
  char* cwd_;
  char* title_;
  char* group_path_;
  char* group_name_;  // the path's last part
  LastSignal* signals_;
  std::size_t signal_count_;
  NeededRanges needed_;
  Modules modules_ = {};
  bool unmap_unused_;

  // Its state.
  int children_ = -1;  // readable when a child has ended
  pid_t self_ = 0, leader_ = 0;
  bool leader_ended_ = false, end_reported_ = false;
  int exit_code_ = 0;
  bool orphaned_ = false;
  std::size_t next_signal_ = 0;  // of signals_, once orphaned
  std::int64_t orphaned_at_ = 0;
  int signal_ = 0;                // the last one that it got to send; 0: none yet
  bool group_signalled_ = false;  // the leader's group has got it as a whole
  std::int64_t spread_at_ = 0;    // when all others get it, even if the leader still lives
  std::int64_t look_at_ = 0;      // when to search the tree
  std::int64_t pause_ = 0;
  std::int64_t spin_until_ = 0;  // the leader is about to end
  int reports_ = 0;
  siginfo_t info_ = {};
  Report report_ = {};
  Tree tree_;  // last: it is large, and its end is seldom written
};

}  // namespace mirakuru::detail

#if !defined(MIRAKURU_SEPARATE_COMPILATION)
#include <mirakuru/spawn/guardian/guardian.ipp>
#endif
