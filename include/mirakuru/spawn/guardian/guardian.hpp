// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <poll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <ctime>

#include <mirakuru/os/config.hpp>
#include <mirakuru/spawn/child.hpp>
#include <mirakuru/spawn/guardian/channel.hpp>
#include <mirakuru/spawn/guardian/clean_up.hpp>
#include <mirakuru/spawn/guardian/control_group.hpp>
#include <mirakuru/spawn/guardian/leases.hpp>
#include <mirakuru/spawn/guardian/link.hpp>
#include <mirakuru/spawn/guardian/memory.hpp>
#include <mirakuru/spawn/guardian/places.hpp>
#include <mirakuru/spawn/guardian/relays.hpp>
#include <mirakuru/spawn/guardian/report.hpp>
#include <mirakuru/spawn/guardian/tree.hpp>
#include <mirakuru/spawn/launch.hpp>
#include <mirakuru/stop/schedule.hpp>

namespace mirakuru::detail {

/// The process between the owner, which is the test, and the command. It is a fork of the owner
/// and executes no other program.
///
/// From the fork on it uses system calls and the memory of this object alone; see syscalls.hpp.
/// Once the command runs, it unmaps the owner's memory and all libraries but the C library. So it
/// calls no library function but `syscall`, and `clone` before the unmapping.
///
///     spawn the command -> reap, signal, wait, until nothing is below it -> exit
///
/// The channel carries reports to the owner, and signals to the guardian, one byte each. When the
/// channel closes, or the owner ends, the guardian sends the owner's last signals by itself; those
/// of a shared tree when its last lease has ended.
class [[gnu::visibility("hidden")]] Guardian {
 public:
  static constexpr std::size_t page = 4096, stack_size = 16 * page - page / 2;

  /// The guardian's orders.
  struct Task {
    const LaunchRequest& request;
    const LocalExec& exec;
    std::span<const TimedSignal> last_signals;  // counted from the clock's begin
    int channel;
    int owner;                       // a pidfd; -1 where the kernel has none
    pid_t owner_id;                  // as the owner sees it
    std::uint64_t signals_to_reset;  // those the owner ignores or handles; bit 0 is signal 1
    RlimitTag mark;
    ArgumentArea area;
    const Modules* modules;  // null: the owner's memory stays
    const Cgroup& group;
    const Scratch& scratch;
    const LinkEnds& link;
    std::span<const CleanUp::Task> clean_up;
  };

  /// The number of bytes that it needs behind the object.
  [[nodiscard]] static std::size_t extra_size(const Task& task);
  explicit Guardian(const Task& task)
      : Guardian{task, StringArena{reinterpret_cast<char*>(this + 1)}} {}

  /// The fork runs this, on a stack of its own. Never returns.
  static int main(void* guardian) {
    static_cast<Guardian*>(guardian)->run();
    syscalls::call(SYS_exit_group, 0);
    return 0;
  }
  [[nodiscard]] char* stack_top() noexcept { return stack_ + stack_size; }

  [[nodiscard]] const NeededRanges& needed() const noexcept { return needed_; }

 private:
  /// From the leader's end on: the others may be about to end, too. Those of an engine have work.
  [[nodiscard]] std::int64_t time_to_follow() const noexcept {
    return !clean_up_.empty() ? 1'000'000'000 : 2'000'000;
  }

  Guardian(const Task& task, StringArena arena);
  void run();
  bool set_up();
  void become_command();
  void remove_scratch();
  void close_others(bool streams_too);

  /// Resets what the owner has set, as `execve` keeps ignored signals. An ignored SIGCHLD would
  /// also take the exit status of children away.
  void reset_signals() {
    const unsigned long defaults[4] = {};  // the kernel's struct sigaction in its largest form
    for (int signal = 1; signal <= 64; ++signal)
      if ((signals_to_reset_ >> (signal - 1) & 1) != 0)
        syscalls::call(SYS_rt_sigaction, signal, defaults, nullptr, sizeof(std::uint64_t));
  }

  void fail(const char* call) {
    channel_.report(Report::failed, 0, errno, call);
    syscalls::call(SYS_exit_group, 127);
  }

  /// Runs when there is nothing else to do. The owner waits for the guardian's exit, which is
  /// faster with less memory.
  void unmap_unused() {
    if (unmap_unused_) modules_.unmap_others(needed_);
    unmap_unused_ = false;
  }

  /// One message for the end of the leader and of its tree: with two, the owner could see a lone
  /// process end and its tree live.
  void report_end(bool last) {
    if (last || (leader_ended_ && !end_reported_)) {
      leases_.leader_ended(exit_code_, last);
      channel_.report(Report::ended, leader_, exit_code_, "", last);
    }
    end_reported_ = leader_ended_;
  }

  /// Reaps all that has ended. False when nothing is below the guardian any more.
  bool reap() {
    for (;;) {
      info_.si_pid = 0;
      // Any other error tells nothing about the tree.
      const bool empty =
          syscalls::call(SYS_waitid, P_ALL, 0, &info_, WEXITED | WNOHANG | __WALL, nullptr) != 0 &&
          errno == ECHILD;
      if (empty || info_.si_pid == 0) {
        if (link_.exists()) look_at_link();
        if (!relays_.empty()) relays_.pump(empty);
        if (!empty && leader_ended_ && !end_reported_)
          spread_at_ = syscalls::least(spread_at_, syscalls::now() + time_to_follow());
        // Before the last report, as the owner then waits for the exit. A far side that has said
        // that all is gone needs none.
        if (empty && !link_.is_gone()) clean_up_.run();
        report_end(empty);
        return !empty;
      }
      if (info_.si_pid == leader_) {
        leader_ended_ = true;
        exit_code_ = info_.si_code == CLD_EXITED ? info_.si_status : -info_.si_status;
        if (link_.exists()) end_link();
      }
      // It may have left children behind. Many may end at once, so one search is for all of them;
      // at SIGKILL a process may hand over to its child faster than that.
      const auto soonest = signal_ == SIGKILL ? 0 : searched_at_ + 1'000'000;
      if (leader_ended_) look_at_ = syscalls::least(look_at_, soonest);
    }
  }

  /// Waits for a child's end, a message from the owner, the owner's end, or the next due time.
  void wait() {
    constexpr std::int64_t never = INT64_MAX, second = 1'000'000'000;
    const auto time = syscalls::now();
    auto left = never;
    if (signal_ != 0) left = syscalls::least(left, look_at_ - time);
    if (orphaned_at_ != 0 && next_signal_ < signal_count_)
      left = syscalls::least(left, signals_[next_signal_].after - (time - orphaned_at_));
    left = syscalls::least(left, relays_.pause());
    left = syscalls::least(left, leases_.pause(time));
    left = syscalls::least(left, link_.pause(time));
    if (end_told_at_ != 0) left = syscalls::least(left, end_told_at_ - time);
    if (left < 0) left = 0;
    const timespec limit{.tv_sec = left / second, .tv_nsec = left % second};

    struct {
      pollfd own[4];
      pollfd relays[Relays::most];
      pollfd link[Link::most];
    } events{{{.fd = owner_left_ ? -1 : channel_.fd(), .events = POLLIN, .revents = 0},
              {.fd = owner_left_ ? -1 : owner_, .events = POLLIN, .revents = 0},
              {.fd = signals_in_, .events = POLLIN, .revents = 0},
              {.fd = leases_.event(), .events = POLLIN, .revents = 0}},
             {},
             {}};
    relays_.wait_for(events.relays);
    link_.wait_for(events.link);
    const auto count = link_.exists()    ? sizeof events / sizeof(pollfd)
                       : relays_.empty() ? std::size(events.own)
                                         : std::size(events.own) + Relays::most;
    constexpr timespec at_once = {};
    const timespec* const how_long = unmap_unused_ ? &at_once : left == never ? nullptr : &limit;
    if (syscalls::call(SYS_ppoll, &events, count, how_long, nullptr, 0) <= 0) return unmap_unused();
    if (events.own[0].revents != 0) receive(events.own[0].revents);
    if (events.own[1].revents != 0) on_owner_exit();
    if (events.own[2].revents == 0) return;
    signalfd_siginfo news;
    syscalls::call(SYS_read, signals_in_, &news, sizeof news);
    if (owner_is_gone()) on_owner_exit();
  }

  /// Asked at each SIGCONT: the kernel sends one when the owner ends, and so does a pidfd where the
  /// kernel has them. The owner is zero if it is in another pid namespace.
  [[nodiscard]] bool owner_is_gone() const {
    const auto parent = syscalls::call(SYS_getppid);
    return parent != 0 && parent != owner_id_;
  }

  /// While the leader lives, a signal goes to its process group. The leader has half of the step's
  /// time to end its tree. Then, or a moment after its end, each process left gets the signal by
  /// its own id; SIGKILL goes to all at once. A while after each step the guardian searches the
  /// tree.
  ///
  /// In the scope `leader` the leader alone gets it, and the rest after the leader's end.
  void begin_step(int signal, bool group_signalled, Scope scope = Scope::tree) {
    signal_ = signal;
    tree_.begin_step();
    if (signal == SIGKILL && !link_.is_up()) clean_up_before_kill();
    if (link_.is_up() && !leader_ended_) {
      link_.signal(signal, scope == Scope::leader);
      // The far side ends, and the connection with it. Only if that takes long it is cut.
      constexpr std::int64_t time_to_answer = 2'000'000'000;
      look_at_ = signal == SIGKILL ? syscalls::now() + time_to_answer : INT64_MAX;
      spread_at_ = look_at_;
      group_signalled_ = false;
      if (paused_) suspend(false);
      return;
    }
    const bool leader_alone = scope == Scope::leader && !leader_ended_;
    if (leader_alone) syscalls::call(SYS_kill, leader_, signal);
    group_signalled_ = group_signalled || (!leader_ended_ && !leader_alone &&
                                           syscalls::call(SYS_kill, -leader_, signal) == 0);
    if (signal == SIGKILL) group_.kill();
    pause_ = 4'000'000;
    const auto time = syscalls::now();
    look_at_ = leader_alone ? INT64_MAX : group_signalled_ && !leader_ended_ ? time + pause_ : 0;
    spread_at_ = leader_ended_ ? time : time + time_of_step(signal) / 2;
    if (paused_) suspend(false);
  }

  /// Stops the tree, or lets it go on. Processes may be born meanwhile, so it looks again until it
  /// finds nobody that still runs.
  /// False if somebody still runs after a while, or if it cannot tell.
  bool suspend(bool stop) {
    paused_ = stop;
    if (link_.is_up()) return link_.order(stop ? 'p' : 'c');
    if (group_.exists() && group_.freeze(stop) && stop) return true;
    if (!leader_ended_) syscalls::call(SYS_kill, -leader_, stop ? SIGSTOP : SIGCONT);
    for (int tries = 0; tries < 1000; ++tries) {
      tree_.find(self_);
      if (!tree_.suspend(stop)) return true;
      syscalls::nap(500'000);
    }
    return false;
  }

  void receive(int events) {
    unsigned char bytes[2] = {};
    if (channel_.receive(bytes)) {
      const auto signal = bytes[0];
      if (signal == to_leader) return signal_leader(bytes[1]);
      if (signal != pause_tree && signal != resume_tree)
        return begin_step(signal & ~group_has_it, (signal & group_has_it) != 0);
      const bool done = suspend(signal == pause_tree);
      // A far guardian tells it later.
      if (signal == pause_tree && !(done && link_.is_up()))
        channel_.report(Report::paused, 0, done ? 1 : 0);
    } else if ((events & (POLLHUP | POLLERR)) != 0) {
      on_owner_exit();
    }
  }

  void signal_leader(int signal) {
    if (link_.is_up())
      link_.signal(signal, true);
    else if (!leader_ended_)
      syscalls::call(SYS_kill, leader_, signal);
  }

  /// Tells the owner the news of the far guardian.
  void take_link(Link::News news) {
    using enum Link::News;
    if (news == up) {
      channel_.report(Report::up, link_.number(), 0, link_.text());
      // The launcher may have taken the last signal for itself, and gone on.
      if (signal_ != 0) link_.signal(signal_, false);
    }
    if (news == failed) {
      channel_.report(Report::far_failed, 0, link_.number(), link_.text());
      link_.drop();
    }
    if (news == end) {
      end_told_at_ = syscalls::now() + time_for_output;
      link_.order('g');
    }
    if (news == paused) channel_.report(Report::paused, 0, 1);
    if (news == gone) link_.release();
    if (news == left) link_.drop();  // the launcher on the way has ended
  }
  void look_at_link() {
    for (Link::News news; (news = link_.pump(syscalls::now())) != Link::News::none;)
      take_link(news);
    if (end_told_at_ == 0 || syscalls::now() < end_told_at_) return;
    end_told_at_ = 0;
    leases_.leader_ended(link_.exit_code(), false);
    channel_.report(Report::ended, leader_, link_.exit_code());
  }
  /// The local command has ended. Its own end counts only where the far one is unknown.
  void end_link() {
    end_told_at_ = 0;
    link_.drain([this](Link::News news) { take_link(news); });
    link_.drop();
    if (link_.has_ended())
      exit_code_ = link_.exit_code();
    else if (signal_ == 0 || !link_.was_up())
      channel_.report(Report::unlinked, leader_, exit_code_, link_.last_words());
  }

  /// Once: a container that is being made gets its name later, and the one at the end finds it.
  void clean_up_before_kill() {
    if (cleaned_up_) return;
    cleaned_up_ = true;
    // A launcher such as srun ends its own best.
    if (link_.exists() && !leader_ended_ && !clean_up_.empty()) {
      syscalls::call(SYS_kill, -leader_, SIGTERM);
      siginfo_t info{};
      for (int tries = 0; tries < 500 && info.si_pid == 0; ++tries) {
        syscalls::nap(1'000'000);
        syscalls::call(SYS_waitid, P_PID, leader_, &info, WEXITED | WNOHANG | WNOWAIT, nullptr);
      }
    }
    clean_up_.run();
  }

  void on_owner_exit() {
    if (owner_left_) return;
    owner_left_ = true;
    leases_.shared() ? leases_.starter_ended() : begin_last_signals();
  }

  void begin_last_signals() {
    if (orphaned_at_ == 0) orphaned_at_ = syscalls::now();
  }

  void look_at_leases() {
    const auto verdict = leases_.look();
    if (verdict == Leases::Verdict::end) begin_last_signals();
    if (verdict == Leases::Verdict::kill) begin_step(SIGKILL, false);
  }

  void keep_to_schedule() {
    while (orphaned_at_ != 0 && next_signal_ < signal_count_ &&
           syscalls::now() - orphaned_at_ >= signals_[next_signal_].after) {
      const auto& next = signals_[next_signal_++];
      begin_step(next.signal, false, next.scope);
    }
  }

  /// The time from a signal to the next one; the whole budget for a signal that is in no step.
  [[nodiscard]] std::int64_t time_of_step(int signal) const {
    for (std::size_t i = 0; i + 1 < signal_count_; ++i)
      if (signals_[i].signal == signal) return signals_[i + 1].after - signals_[i].after;
    return signals_[signal_count_ - 1].after;
  }

  void signal_rest() {
    if (signal_ == SIGKILL) clean_up_before_kill();
    tree_.find(self_);
    const bool everyone = signal_ == SIGKILL || syscalls::now() >= spread_at_;
    tree_.send(signal_, group_signalled_ ? leader_ : 0, everyone,
               [this](pid_t pid) { channel_.add_straggler(pid); });
    channel_.send_stragglers();
    if (const pid_t pid = tree_.refused(); pid != 0 && signal_ == SIGKILL && !refusal_reported_)
      refusal_reported_ = channel_.report_refusal(pid);
    // Processes may be born, or stopped, at any time, so look again.
    searched_at_ = syscalls::now();
    pause_ = syscalls::least(pause_ * 2, 100'000'000);
    look_at_ = searched_at_ + (tree_.search_is_complete() ? pause_ : 0);
    if (!everyone) look_at_ = syscalls::least(look_at_, spread_at_);
  }

  // The stack grows down from the start of the data, so the used ends of both share a page. A fork
  // copies each page at its first write.
  alignas(page) char stack_[stack_size];

  // Its orders.
  Channel channel_;
  int owner_, scratch_, scratch_lock_;
  pid_t owner_id_;
  std::uint64_t signals_to_reset_;
  ArgumentArea area_;
  Child child_;
  Relays relays_;
  Leases leases_;
  Link link_;
  CleanUp clean_up_;
  ControlGroup group_;
  char* title_;
  char *scratch_path_, *lock_path_;
  LastSignal* signals_;
  std::size_t signal_count_;
  NeededRanges needed_;
  Modules modules_ = {};
  bool unmap_unused_;

  // Its state.
  int signals_in_ = -1;  // readable when a child, or the owner, has ended
  pid_t self_ = 0, leader_ = 0;
  bool leader_ended_ = false, end_reported_ = false;
  int exit_code_ = 0;
  std::size_t next_signal_ = 0;  // of signals_, after the owner's end
  bool owner_left_ = false;
  std::int64_t orphaned_at_ = 0;  // when the last signals have begun; 0: not yet
  int signal_ = 0;                // the last one that it got to send; 0: none yet
  bool paused_ = false, cleaned_up_ = false;
  // When the end of a far leader is told at the latest: its connection brings the last output, and
  // ends soon unless the leader has left others behind.
  static constexpr std::int64_t time_for_output = 200'000'000;
  std::int64_t end_told_at_ = 0;  // 0: nothing to tell
  bool group_signalled_ = false;  // the leader's group has got it as a whole
  std::int64_t spread_at_ = 0;    // when all others get it
  std::int64_t look_at_ = 0;      // when to search the tree
  std::int64_t searched_at_ = 0;
  std::int64_t pause_ = 0;
  bool refusal_reported_ = false;
  siginfo_t info_ = {};
  // Last: they are large, and seldom written but for the begin.
  Tree tree_;
  Report stragglers_[Report::most_in_message];  // that the owner has not got yet
};

}  // namespace mirakuru::detail

#if !defined(MIRAKURU_SEPARATE_COMPILATION)
#include <mirakuru/spawn/guardian/guardian.ipp>
#endif
