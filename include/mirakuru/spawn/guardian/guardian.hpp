// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <signal.h>
#include <sys/types.h>
#include <cstddef>
#include <cstdint>
#include <span>

#include <mirakuru/os/config.hpp>
#include <mirakuru/process.hpp>
#include <mirakuru/spawn/guardian/syscalls.hpp>
#include <mirakuru/stop/schedule.hpp>

namespace mirakuru::detail {

struct Cgroup;

/// The limit on file locks (which Linux does not use) that a command inherits: by it, and whatever
/// their environment and parents are, its descendants are known when their guardian has been
/// killed.
///
/// Below another guardian the hard limit is that one's mark, and stays; the soft limit is ours.
struct RlimitTag {
  std::uint64_t soft = 0, hard = 0;  // zero: there is no room for one

  [[nodiscard]] static RlimitTag make();
  /// True for the limits of a process that has been marked so, by this or by a process above.
  [[nodiscard]] bool is_on(std::uint64_t its_soft, std::uint64_t its_hard) const noexcept {
    return soft != 0 && (its_soft == soft || its_hard == soft);
  }
};

/// What a guardian tells its owner; each is one message on their channel.
struct Report {
  enum Kind : int { spawned, failed, straggler, ended, empty };

  Kind kind;
  pid_t pid;
  int value;       // the guardian's own id of `spawned`, the errno of `failed`, the exit code of
                   // `ended`
  bool last;       // nothing is below the guardian any more, and it exits
  char text[243];  // the call that failed, the straggler's command line
};

/// What the owner tells its guardian is a byte: a signal to end the tree by, and whether the owner
/// has sent it to the leader's group.
inline constexpr unsigned char group_has_it = 0x80;

/// A signal for the command when its owner is dead.
struct LastSignal {
  std::int64_t after;  // nanoseconds
  int signal;
};

/// Where the kernel reads a process's arguments: the environment, behind them, may be taken as
/// well.
struct ArgumentArea {
  std::uintptr_t begin = 0, arguments_end = 0, end = 0;

  [[nodiscard]] static ArgumentArea of_this_process();
};

/// What of the program's code the guardian runs on. Hidden, as each module has a guardian of its
/// own.
struct [[gnu::visibility("hidden")]] Modules {
  Range own, bss, libc, kernel;

  /// None where something else has its fingers in that code.
  [[nodiscard]] static const Modules* of_this_process();
};

/// The process between the owner, which is the test, and the command. It is a fork of the owner
/// that executes nothing else.
///
/// From its fork on it lives on system calls and the memory of this object alone: whatever lock
/// another thread of the owner held is held for ever in the copy, and once the command runs the
/// owner's memory is given back, and with it all libraries but the C library. So it calls nothing
/// of a library but `syscall`, and before that memory goes `clone`; see syscalls.hpp.
///
///     spawn the command -> reap, signal, wait, until nothing is below it -> exit
///
/// The channel to the owner carries reports one way and signals, a byte each, the other way. When
/// it closes, or the owner ends, the guardian sends the owner's last signals by itself.
class [[gnu::visibility("hidden")]] Guardian {
 public:
  static constexpr std::size_t page = 4096, stack_size = 16 * page - page / 2;

  /// What it is told.
  struct Task {
    const LaunchRequest& launch;
    std::span<const TimedSignal> last_signals;  // counted from the clock's begin
    int channel;
    int owner;  // a pidfd; -1 where the kernel has none
    RlimitTag mark;
    ArgumentArea area;
    const Modules* modules;  // null: the owner's memory stays
    const Cgroup& group;
  };

  /// How many bytes behind the object it takes.
  [[nodiscard]] static std::size_t extra_size(const Task& task);
  explicit Guardian(const Task& task);

  /// What the fork runs, on a stack of its own. Never returns.
  static int main(void* guardian);
  [[nodiscard]] char* stack_top() noexcept { return stack_ + stack_size; }

  /// The data that it cannot do without.
  [[nodiscard]] const Range (&needed() const noexcept)[4] { return needed_; }

 private:
  struct Stat {
    char state = 0;  // 0: it is gone
    pid_t parent = 0, group = 0, threads = 0;

    [[nodiscard]] bool lives() const noexcept {
      return state != 0 && (state != 'Z' || threads > 1);
    }
  };
  static constexpr int max_found = 4096, max_signalled = 1024, max_reports = 100;

  void run();
  void reset_signals();
  static int run_command(void* guardian);
  pid_t spawn();
  void become_command();
  [[nodiscard]] bool in_cgroup() const;
  void fail(const char* name);
  void report(Report::Kind kind, pid_t pid, int value, const char* text = nullptr,
              bool last = false);

  void unmap_unused();
  void close_others();
  static void close_range(unsigned first, unsigned last, bool at_exec = false);
  void take_title();

  bool reap();
  void report_end(bool last);
  void wait();
  void listen(int events);
  void on_owner_exit();
  void keep_to_schedule();
  void begin_step(int signal, bool group_signalled);
  [[nodiscard]] std::int64_t time_of_step(int signal) const;
  void signal_rest();
  void find_all();
  void find_marked();
  void find_children(pid_t parent);
  void add(pid_t pid);
  [[nodiscard]] Stat stat(pid_t pid) const;
  void report_straggler(pid_t pid);
  [[nodiscard]] static std::int64_t now();

  // The stack grows down from where the data begins, so that much of both is in the same page: each
  // page is copied when it is first written to.
  alignas(page) char stack_[stack_size];

  // What it is told.
  int channel_, owner_, group_, group_kill_;
  RlimitTag mark_;
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
  Range needed_[4];
  Modules modules_ = {};
  bool unmap_unused_;

  // What it knows.
  int children_ = -1;  // readable when a child has ended
  pid_t self_ = 0, leader_ = 0;
  bool leader_ended_ = false, end_reported_ = false;
  int exit_code_ = 0;
  bool orphaned_ = false;
  bool proc_is_own_ = true;
  std::size_t next_signal_ = 0;  // of signals_, once orphaned
  std::int64_t orphaned_at_ = 0;
  int signal_ = 0;                // the last one it was to send; 0: none yet
  bool group_signalled_ = false;  // the leader's group has had it as a whole
  std::int64_t spread_at_ = 0;    // when the rest gets it, too, though the leader still lives
  std::int64_t look_at_ = 0;      // when to look who else there is
  std::int64_t pause_ = 0;
  std::int64_t spin_until_ = 0;  // at a leader that is about to end
  int reports_ = 0;
  siginfo_t info_ = {};
  Report report_ = {};
  int found_count_ = 0, signalled_count_ = 0;
  pid_t found_[max_found];          // all below it, at the last look
  pid_t signalled_[max_signalled];  // those that had signal_ for themselves
};

}  // namespace mirakuru::detail

#if !defined(MIRAKURU_SEPARATE_COMPILATION)
#include <mirakuru/spawn/guardian/guardian.ipp>
#endif
