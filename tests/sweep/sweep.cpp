// SPDX-License-Identifier: BSL-1.0
// Spoils each system call of the owner, of the guardian and of the child that becomes the command,
// one in each run of a start and a stop. After each run nothing may be left, nothing may hang, and
// an error must be the library's own.
//
//   sweep [SHARE [shared]]    spoils one of SHARE calls; 1, the default: all of them. Shared: of
//                             two executors that share the service
//
// Rests on seccomp's user notification: this process answers for the kernel.
#include <dirent.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <set>
#include <string>
#include <vector>

#include <mirakuru.hpp>

#include "files.hpp"
#include "process.hpp"
#include "time.hpp"
#include "words.hpp"

namespace mk = mirakuru;
using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

namespace {

// So long that a busy machine, where each call takes two changes of the process, is in time.
constexpr auto start_budget = 10s, stop_budget = 2s, tolerance = 4s;
constexpr unsigned long mark_of_phase = 0x6d6b;  // no option of prctl

enum class Way { guarded, direct, shared };

// The victim --------------------------------------------------------------------------------------

/// Tells the supervisor that the calls from here on count, or that they do not.
void count_calls(bool on) { ::prctl(mark_of_phase, on, 0, 0, 0); }

template <class Step>
std::string outcome(const char* name, std::chrono::nanoseconds limit, Step step) {
  const auto begin = Clock::now();
  std::string text = std::string{name} + " ok";
  count_calls(true);
  try {
    step();
  } catch (const mk::ExecutorError& error) {
    text = std::string{name} + " failed: " + error.what();
    if (std::strlen(error.what()) < 20) text = "FAULT: a poor error: " + text;
  } catch (const std::exception& error) {
    text = std::string{"FAULT: "} + name + " throws no error of its own: " + error.what();
  }
  count_calls(false);
  if (Clock::now() - begin > limit + tolerance) text = "FAULT: it is late: " + text;
  return text + '\n';
}

/// Starts and joins, leaves and leaves, and starts again.
std::string share(const std::string& mark) {
  const auto nap = "sleep 7" + mark + " & ";
  const auto make = [&] {
    return mk::Executor{mk::Shell{nap + "setsid " + nap + "echo up; wait"}, mk::BannerCheck{"up"},
                        mk::Shared{.name = mark, .linger = 0s},
                        mk::TimeoutBudget{.start = start_budget, .stop = stop_budget}};
  };
  auto one = make(), other = make();
  auto text = outcome("start", start_budget, [&] { one.start(); });
  text += outcome("join", start_budget, [&] { other.start(); });
  text += outcome("stop", stop_budget, [&] { one.stop(); });
  text += outcome("leave", stop_budget, [&] { other.stop(); });
  if (one.running() || other.running()) text += "FAULT: it is running after the stop\n";
  one.kill();
  other.kill();
  try {
    one.start().stop();
  } catch (const std::exception& error) {
    text += std::string{"FAULT: the next start fails: "} + error.what() + '\n';
  }
  return text;
}

/// Starts and stops, and starts again.
template <class Spawner>
std::string start_and_stop(const std::string& mark) {
  // DirectSpawner does not follow a process into another session.
  constexpr bool whole_tree =
      mk::Executor<Spawner>::guarantee() == mk::Guarantee::tree_ends_with_owner;
  const auto nap = "sleep 7" + mark + " & ";
  mk::Executor executor{mk::Shell{nap + (whole_tree ? "setsid " + nap : nap) + "echo up; wait"},
                        Spawner{}, mk::BannerCheck{"up"},
                        mk::TimeoutBudget{.start = start_budget, .stop = stop_budget}};
  auto text = outcome("start", start_budget, [&] { executor.start(); });
  text += outcome("stop", stop_budget, [&] { executor.stop(); });
  if (executor.running()) text += "FAULT: it is running after the stop\n";
  executor.kill();
  try {
    executor.start().stop();
  } catch (const std::exception& error) {
    text += std::string{"FAULT: the next start fails: "} + error.what() + '\n';
  }
  return text;
}

/// The victim writes the descriptor at which the supervisor answers, and then its outcomes.
[[noreturn]] void be_victim(int out, Way way, const std::string& mark) {
  const int listener = ::dup(out);  // the number that the filter's descriptor gets
  ::close(listener);
  (void)!::write(out, &listener, sizeof listener);
  const std::array filter{
      sock_filter BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
  };
  const sock_fprog program{.len = filter.size(), .filter = const_cast<sock_filter*>(filter.data())};
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
      ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program) !=
          listener)
    ::_exit(1);
  const auto text = way == Way::shared   ? share(mark)
                    : way == Way::direct ? start_and_stop<mk::DirectSpawner>(mark)
                                         : start_and_stop<mk::GuardedSpawner>(mark);
  (void)!::write(out, text.data(), text.size());
  ::_exit(0);
}

// The supervisor ----------------------------------------------------------------------------------

enum class Role { owner, guardian, child, other };
enum class Action { none, error, delay, kill, stop };

/// The nth call of a number by a role.
struct Place {
  Role role;
  int call;
  int nth;

  auto operator<=>(const Place&) const = default;
};

struct Fault {
  Place place = {};
  Action action = Action::none;
  int error = 0;
};

std::string describe(const Fault& fault) {
  static const char* const roles[] = {"owner", "guardian", "child", "other"};
  static const char* const actions[] = {"none", "error", "delay", "kill", "stop"};
  std::string text = roles[static_cast<int>(fault.place.role)];
  text += ", call " + std::to_string(fault.place.call) + " for the " +
          std::to_string(fault.place.nth) + "th time: ";
  text += actions[static_cast<int>(fault.action)];
  return fault.action == Action::error ? text + ' ' + std::strerror(fault.error) : text;
}

class Run {
 public:
  Run(Way way, const Fault& fault) : way_{way}, direct_{way == Way::direct}, fault_{fault} {}

  /// Returns the faults of the library, one a line.
  std::string operator()() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) return "pipe";
    ::setenv("TMPDIR", directory_.path().c_str(), 1);
    owner_ = ::fork();
    if (owner_ == 0) {
      ::close(ends[0]);
      be_victim(ends[1], way_, mark_);
    }
    ::close(ends[1]);
    const bool ended = attach(ends[0]) && supervise();
    if (!ended) ::kill(owner_, SIGKILL);
    int status = 0;
    ::waitpid(owner_, &status, 0);
    drain_until_gone();
    std::string faults, text;
    char block[4096];
    for (ssize_t size; (size = ::read(ends[0], block, sizeof block)) > 0;)
      text.append(block, static_cast<std::size_t>(size));
    ::close(ends[0]);
    ::close(listener_);
    if (!ended) faults += "it hangs\n";
    const bool killed = fault_.action == Action::kill && fault_.place.role == Role::owner;
    if (WIFSIGNALED(status) && ended && !killed)
      faults += "the owner ends by signal " + std::to_string(WTERMSIG(status)) + '\n';
    for (std::size_t at = 0, end; (end = text.find('\n', at)) != text.npos; at = end + 1)
      if (text.compare(at, 5, "FAULT") == 0) faults += text.substr(at, end - at) + '\n';
    // DirectSpawner promises nothing for a killed owner.
    if (left_ > 0 && !(direct_ && killed))
      faults += std::to_string(left_) + " processes are left\n";
    if (!killed && files() > 0) faults += "files are left\n";
    return faults;
  }

  /// The calls that counted.
  const std::map<Place, int>& places() const { return places_; }
  bool hit() const { return hit_; }

 private:
  bool attach(int in) {
    int number = -1;
    if (::read(in, &number, sizeof number) != sizeof number) return false;
    const auto owner = static_cast<int>(::syscall(SYS_pidfd_open, owner_, 0));
    for (int tries = 0; tries < 2000 && listener_ < 0; ++tries) {
      listener_ = static_cast<int>(::syscall(SYS_pidfd_getfd, owner, number, 0));
      if (listener_ < 0) ::usleep(500);
    }
    ::close(owner);
    return listener_ >= 0;
  }

  /// Answers until the owner has ended. False if that takes too long.
  bool supervise() {
    const auto deadline = Clock::now() + start_budget + 2 * stop_budget + 6s;
    while (Clock::now() < deadline) {
      if (!answer()) return true;
      siginfo_t info{};
      if (::waitid(P_PID, static_cast<id_t>(owner_), &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
          info.si_pid != 0)
        return true;
    }
    return false;
  }

  /// The guardian ends the tree of a killed owner; it needs answers for that.
  void drain_until_gone() {
    const auto deadline = Clock::now() + (direct_ ? 200ms : stop_budget + 3s);
    bool asked = true;
    while ((asked = answer()) && Clock::now() < deadline) {
    }
    left_ = std::max(test::processes_matching("7" + mark_), asked ? 1 : 0);
    test::each_number_in("/proc", [this](pid_t pid, int) {
      if (test::contains(test::slurp("/proc/" + std::to_string(pid) + "/cmdline"), "7" + mark_))
        ::kill(pid, SIGKILL);
    });
  }

  /// Takes one call, if there is one within a moment, and answers. False if nobody can ask any
  /// more.
  bool answer() {
    pollfd event{.fd = listener_, .events = POLLIN, .revents = 0};
    const int ready = ::poll(&event, 1, delayed_ != 0 ? 1 : 5);
    if (delayed_ != 0 && Clock::now() >= delayed_until_) go_on(std::exchange(delayed_, 0));
    if (ready <= 0) return true;
    if ((event.revents & POLLIN) == 0) return false;
    seccomp_notif call{};
    if (::ioctl(listener_, SECCOMP_IOCTL_NOTIF_RECV, &call) != 0) return true;
    const auto pid = static_cast<pid_t>(call.pid);
    const int number = call.data.nr;
    const Role role = role_of(pid);
    if (role == Role::owner && number == SYS_prctl && call.data.args[0] == mark_of_phase) {
      counts_ = call.data.args[1] != 0;
      respond(call.id, -EINVAL);
      return true;
    }
    if (role == Role::child && number == SYS_execve) roles_[pid] = Role::other;
    if (!counts_ || role == Role::other) return go_on(call.id), true;
    const Place place{role, number, ++counted_[{role, number}]};
    ++places_[place];
    if (hit_ || fault_.action == Action::none || place != fault_.place) return go_on(call.id), true;
    hit_ = true;
    switch (fault_.action) {
      case Action::error:
        respond(call.id, -fault_.error);
        break;
      case Action::delay:
        delayed_ = call.id;
        delayed_until_ = Clock::now() + 300ms;
        break;
      case Action::kill:
        ::kill(pid, SIGKILL);
        break;
      case Action::stop:
        ::kill(pid, SIGSTOP);
        go_on(call.id);
        break;
      case Action::none:
        break;
    }
    return true;
  }

  void respond(std::uint64_t id, int error) const {
    seccomp_notif_resp response{};
    response.id = id;
    response.error = error;
    ::ioctl(listener_, SECCOMP_IOCTL_NOTIF_SEND, &response);
  }
  void go_on(std::uint64_t id) const {
    seccomp_notif_resp response{};
    response.id = id;
    response.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
    ::ioctl(listener_, SECCOMP_IOCTL_NOTIF_SEND, &response);
  }

  Role role_of(pid_t pid) {
    if (pid == owner_) return Role::owner;
    if (const auto known = roles_.find(pid); known != roles_.end()) return known->second;
    const pid_t parent = test::parent_of(pid);
    Role role = Role::other;
    if (parent == owner_ && guardian_ == 0 && !direct_) {
      guardian_ = pid;
      role = Role::guardian;
    } else if ((direct_ ? parent == owner_ : parent == guardian_) && child_ == 0) {
      child_ = pid;
      role = Role::child;
    }
    return roles_[pid] = role;
  }

  int files() const {
    int count = 0;
    if (DIR* const directory = ::opendir(directory_.path().c_str())) {
      while (::readdir(directory) != nullptr) ++count;
      ::closedir(directory);
    }
    return count - 2;
  }

  static inline int runs_ = 0;

  Way way_;
  bool direct_;
  Fault fault_;
  test::TempDir directory_;
  std::string mark_ = std::to_string(::getpid()) + std::to_string(++runs_);
  pid_t owner_ = 0, guardian_ = 0, child_ = 0;
  int listener_ = -1, left_ = 0;
  bool counts_ = false, hit_ = false;
  std::uint64_t delayed_ = 0;
  Clock::time_point delayed_until_ = {};
  std::map<pid_t, Role> roles_;
  std::map<std::pair<Role, int>, int> counted_;
  std::map<Place, int> places_;
};

/// Calls that cannot fail, or whose failure the C library takes for impossible.
bool can_fail(const Place& place) {
  static const std::set<int> never = {
      SYS_brk,     SYS_close,  SYS_exit,           SYS_exit_group,   SYS_futex,
      SYS_getpid,  SYS_gettid, SYS_getppid,        SYS_munmap,       SYS_nanosleep,
      SYS_madvise, SYS_setsid, SYS_rt_sigprocmask, SYS_rt_sigaction, SYS_rt_sigreturn,
  };
  const bool reaps = place.role == Role::owner && place.call == SYS_waitid;
  return !reaps && !never.contains(place.call);
}

/// All faults of a start and a stop: many repeats of a call are sampled.
std::vector<Fault> faults_at(const std::map<Place, int>& places) {
  std::vector<Fault> faults;
  for (const auto& [place, count] : places) {
    if (place.nth > 14 && place.nth % 8 != 0) continue;
    for (const int error : {ENOMEM, EMFILE, EINTR, EAGAIN, EPERM, ENOSYS})
      if (can_fail(place)) faults.push_back({place, Action::error, error});
    faults.push_back({place, Action::delay});
    faults.push_back({place, Action::kill});
    if (place.role == Role::guardian) faults.push_back({place, Action::stop});
  }
  return faults;
}

}  // namespace

int main(int count, char** words) {
  const std::size_t share = count > 1 ? std::strtoul(words[1], nullptr, 10) : 1;
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  std::size_t runs = 0, hits = 0, bad = 0;
  const bool shared = count > 2 && std::string{words[2]} == "shared";
  for (const auto way :
       shared ? std::vector{Way::shared} : std::vector{Way::guarded, Way::direct}) {
    Run plain{way, {}};
    if (const auto faults = plain(); !faults.empty()) {
      std::printf("without a fault: %s", faults.c_str());
      return 1;
    }
    std::size_t at = 0;
    for (const auto& fault : faults_at(plain.places())) {
      if (at++ % share != 0) continue;
      Run run{way, fault};
      const auto faults = run();
      ++runs;
      hits += run.hit();
      if (faults.empty()) continue;
      ++bad;
      std::printf("%s%s:\n%s", way == Way::direct ? "direct, " : "", describe(fault).c_str(),
                  faults.c_str());
    }
  }
  std::printf("%zu runs, %zu of them hit, %zu bad\n", runs, hits, bad);
  return bad == 0 && hits > runs / 2 ? 0 : 1;
}
