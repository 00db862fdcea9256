// SPDX-License-Identifier: BSL-1.0
// All pairs of hosts that lack something: a start works, or fails at once with a reason; a stop
// keeps its budget; nothing is left, not even when the owner is killed.
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <filesystem>
#include <string>
#include <tuple>
#include <vector>

#include <doctest/doctest.h>

#include <mirakuru.hpp>

#include "child.hpp"
#include "files.hpp"
#include "net.hpp"
#include "process.hpp"
#include "time.hpp"
#include "words.hpp"

namespace mk = mirakuru;
using namespace std::chrono_literals;

namespace {

constexpr unsigned pidfd_open = 434, clone3 = 435, close_range = 436;

/// A host that lacks something. `enter` makes this process such a host, and returns false if it
/// cannot.
struct Host {
  const char* name;
  bool root_only;  // to make it takes root
  int order;       // hosts of a lower one come first
  bool (*enter)();
};

bool mount_on(const char* type, const char* place, const char* options) {
  return ::unshare(CLONE_NEWNS) == 0 &&
         ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
         ::mount(type, place, type, 0, options) == 0;
}

/// Goes on in a child. The parent waits for it, and then until it is killed.
bool go_on_in_child(bool in_namespace) {
  if (in_namespace && ::unshare(CLONE_NEWPID) != 0) return false;
  const pid_t child = ::fork();
  if (child < 0) return false;
  if (child == 0) return true;
  for (;;) {
    ::waitpid(-1, nullptr, 0);
    ::usleep(1000);
  }
}

/// A child that is forked while the service runs has copies of all descriptors.
bool forks_a_child = false;

const std::vector<Host> hosts = {
    {"a pid namespace with the /proc around it", true, 0,
     [] { return go_on_in_child(true) && go_on_in_child(false); }},
    {"hidepid", true, 1, [] { return mount_on("proc", "/proc", "hidepid=2"); }},
    {"no /proc", true, 2, [] { return mount_on("tmpfs", "/proc", ""); }},
    {"TMPDIR full", true, 2,
     [] {
       const test::TempDir place;
       if (!mount_on("tmpfs", place.path().c_str(), "size=4k,mode=777")) return false;
       const int file = ::open((place / "full").c_str(), O_WRONLY | O_CREAT, 0600);
       const std::string page(4096, 'x');
       (void)!::write(file, page.data(), page.size());
       ::close(file);
       return ::setenv("TMPDIR", place.path().c_str(), 1) == 0;
     }},
    {"TMPDIR missing", false, 2, [] { return ::setenv("TMPDIR", "/no/such/directory", 1) == 0; }},
    {"SIGCHLD ignored", false, 3, [] { return ::signal(SIGCHLD, SIG_IGN) != SIG_ERR; }},
    {"16 descriptors", false, 4,
     [] {
       const rlimit limit{.rlim_cur = 16, .rlim_max = 16};
       return ::setrlimit(RLIMIT_NOFILE, &limit) == 0;
     }},
    {"not root", true, 5,
     [] {
       return ::setresgid(65534, 65534, 65534) == 0 && ::setresuid(65534, 65534, 65534) == 0 &&
              ::prctl(PR_SET_DUMPABLE, 1) == 0;
     }},
    {"no pidfd_open", false, 6, [] { return test::take_away(pidfd_open); }},
    {"no clone3", false, 6, [] { return test::take_away(clone3); }},
    {"no close_range", false, 6, [] { return test::take_away(close_range); }},
    {"no inotify", false, 6, [] { return test::take_away(SYS_inotify_init1, EMFILE); }},
    {"no O_TMPFILE", false, 6,
     [] { return test::take_away(SYS_openat, EOPNOTSUPP, 2, 020000000, 020000000); }},
    {"no sock_diag", false, 6,
     [] { return test::take_away(SYS_socket, EAFNOSUPPORT, 0, ~0U, AF_NETLINK); }},
    {"a forked child that stays", false, 7, [] { return forks_a_child = true; }},
};

constexpr auto start_budget = 10s, stop_budget = 1s, tolerance = 4s;

/// The helper where every user may execute it.
class PublicHelper {
 public:
  PublicHelper() {
    std::filesystem::copy_file(test::helper(), path());
    REQUIRE(::chmod(directory_.path().c_str(), 0755) == 0);
  }
  std::string path() const { return directory_ / "helper"; }

 private:
  test::TempDir directory_;
};

/// The service of a host: a leader, a process in a session of its own, and a listener.
struct Service {
  std::string helper;
  std::string mark = std::to_string(::getpid()) + std::to_string(++count);
  int port = test::free_port();

  auto executor() const {
    const auto script = "setsid sleep 7" + mark + " & echo up; " + helper + " listen 127.0.0.1 " +
                        std::to_string(port) + " & wait; : 7" + mark;
    return mk::Executor{mk::Shell{script}, mk::BannerCheck{"up"}, mk::TCPCheck{"127.0.0.1", port},
                        mk::TimeoutBudget{.start = start_budget, .stop = stop_budget}};
  }
  bool is_gone() const {
    return test::eventually([this] { return test::processes_matching(" 7" + mark) == 0; }, 8s);
  }

  static inline int count = 0;
};

const std::string refused = "refused: ";

std::string start_on_this_host(auto& executor) {
  const test::Elapsed start;
  try {
    executor.start();
  } catch (const mk::TimeoutExpired& error) {
    return std::string{"a time-out: "} + error.what();
  } catch (const mk::ExecutorError& error) {
    const std::string text = error.what();
    return (start.time() > tolerance || text.size() < 20 ? "a late or poor error: " : refused) +
           text;
  }
  const pid_t child = forks_a_child ? ::fork() : -1;
  while (child == 0) ::pause();
  return "";
}

std::string stop_on_this_host(auto& executor) {
  const test::Elapsed stop;
  executor.stop();
  if (stop.time() > stop_budget + tolerance)
    return "the stop takes " + std::to_string(stop.seconds());
  return executor.running() ? "it is running" : "";
}

enum class End { stopped, killed };

/// Starts the service as a host that lacks two things, in a process group that ends with the test.
/// Returns a fault, or an empty text.
std::string run_on_host(const Host& first, const Host& second, End end, const std::string& helper) {
  const Service service{helper};
  int ends[2];
  REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
  const pid_t group = ::fork();
  REQUIRE(group >= 0);
  if (group == 0) {
    ::setpgid(0, 0);
    const auto& [early, late] =
        first.order <= second.order ? std::tie(first, second) : std::tie(second, first);
    try {
      if (!early.enter() || !late.enter()) ::_exit(1);
      auto executor = service.executor();
      auto fault = start_on_this_host(executor);
      if (fault.empty() && end == End::stopped) fault = stop_on_this_host(executor);
      (void)!::write(ends[1], fault.c_str(), fault.size() + 1);
      while (end == End::stopped) ::pause();
      ::kill(::getpid(), SIGKILL);
    } catch (const std::exception& error) {
      (void)!::write(ends[1], error.what(), std::strlen(error.what()) + 1);
    }
    ::_exit(1);
  }
  ::close(ends[1]);
  pollfd event{.fd = ends[0], .events = POLLIN, .revents = 0};
  std::string fault = "it hangs";
  char text[4096] = {};
  if (::poll(&event, 1, 40'000) > 0)
    fault = ::read(ends[0], text, sizeof text - 1) > 0 ? text : "it cannot be entered";
  if ((fault.empty() || fault.starts_with(refused)) && !service.is_gone())
    fault = "something is left";
  ::kill(-group, SIGKILL);
  ::waitpid(group, nullptr, 0);
  ::close(ends[0]);
  return fault;
}

}  // namespace

TEST_CASE("GuardedSpawner: the fallbacks for hosts that lack something work together") {
  if (test::sanitized) return;  // a sanitizer needs /proc and descriptors of its own
  const bool root = ::geteuid() == 0;
  const PublicHelper helper;
  int pairs = 0, started = 0;
  for (std::size_t i = 0; i < hosts.size(); ++i)
    for (std::size_t j = i + 1; j < hosts.size(); ++j) {
      const Host &first = hosts[i], &second = hosts[j];
      if (!root && (first.root_only || second.root_only)) continue;
      ++pairs;
      CAPTURE(std::string{first.name});
      CAPTURE(std::string{second.name});
      for (const auto end : {End::stopped, End::killed}) {
        const auto fault = run_on_host(first, second, end, helper.path());
        if (fault.starts_with(refused))
          MESSAGE(first.name << ", " << second.name << ": " << fault);
        else
          CHECK(fault == "");
        started += fault.empty();
      }
    }
  MESSAGE(pairs << " pairs, " << started << " of " << 2 * pairs << " starts");
}
