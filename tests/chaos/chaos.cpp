// SPDX-License-Identifier: BSL-1.0
// Kills a test program at random moments of its life, and searches for leftovers.
//
//   chaos VICTIM ROUNDS alone|group|shared    with MIRAKURU_CHAOS_SEED=N for the same signals and
//   moments again
#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <iterator>
#include <random>
#include <sstream>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "files.hpp"
#include "net.hpp"
#include "process.hpp"
#include "time.hpp"

using namespace std::chrono_literals;
using std::chrono::microseconds;

namespace {

// Servers of other tests, which may run at the same time, listen elsewhere.
const std::string host = "127.0.0.77";
constexpr auto limit = test::milliseconds{25'000};

std::string read_proc(pid_t pid, const char* name) {
  auto text = test::slurp("/proc/" + std::to_string(pid) + '/' + name);
  std::replace(text.begin(), text.end(), '\0', ' ');
  return text;
}

/// Field 22 of proc_pid_stat(5).
std::string start_time(pid_t pid) {
  const auto stat = read_proc(pid, "stat");
  std::istringstream fields{
      stat.substr(std::min(stat.rfind(')'), stat.size()))};  // from field 2 on
  std::string field;
  for (int number = 2; number <= 22; ++number)
    if (!(fields >> field)) return "";
  return field;
}

/// One run of the victim, and its leftovers.
class Round {
 public:
  explicit Round(int number)
      : mark_{"mark=chaos-" + std::to_string(::getpid()) + '-' + std::to_string(number) + '-'} {
    std::filesystem::create_directory(directory_ / "tmp");
  }

  /// Starts the victim and waits until `moment`, which counts from the fork.
  void start(const char* victim, const char* way, microseconds moment) {
    const std::string directory = directory_.path(), tmp = directory_ / "tmp";
    const char* const words[] = {
        victim, directory.c_str(), host.c_str(), port_.c_str(), mark_.c_str(), way, nullptr};
    std::fflush(nullptr);
    life_.restart();
    victim_ = ::fork();
    if (victim_ < 0) throw std::system_error{errno, std::generic_category(), "fork"};
    if (victim_ == 0) {
      const rlimit no_core{0, 0};
      ::setrlimit(RLIMIT_CORE, &no_core);
      ::setpgid(0, 0);
      ::setenv("TMPDIR", tmp.c_str(), 1);
      ::execv(victim, const_cast<char**>(words));
      std::perror(victim);
      ::_exit(126);
    }
    ::setpgid(victim_, victim_);  // the parent and the child both set it: one of them is first
    while (life_ < moment) {
      const auto left = std::max(std::chrono::nanoseconds{moment - life_.time()}, 0ns).count();
      const timespec time{left / 1'000'000'000, left % 1'000'000'000};
      ::ppoll(nullptr, 0, &time, nullptr);
    }
  }
  void kill(int signal, bool group) const { ::kill(group ? -victim_ : victim_, signal); }

  /// Waits for the end of the victim. True when it ended by `signal` or with 0.
  bool await_end(int signal) {
    const bool ended = test::eventually(
        [this] {
          reap();
          return victim_ended_;
        },
        limit);
    lived_ = std::chrono::duration_cast<microseconds>(life_.time());
    // A sanitizer searches for leaks at the end, in its own process that fails on signals.
    return ended && (status_ == 0 || (WIFSIGNALED(status_) && WTERMSIG(status_) == signal) ||
                     (test::sanitized && signal != 0));
  }
  /// Waits until nothing is left. False when the limit comes first.
  bool await_nothing() {
    return test::eventually([this] { return !reap() && left().empty(); }, limit);
  }

  /// The leftovers, in words.
  std::vector<std::string> left() const {
    std::vector<std::string> found;
    for (const pid_t pid : processes())
      found.push_back(read_proc(pid, "stat").substr(0, 60) + "... " +
                      read_proc(pid, "cmdline").substr(0, 160));
    if (test::connects(host, std::atoi(port_.c_str()))) found.push_back("a listener on " + port_);
    for (const auto& file : std::filesystem::recursive_directory_iterator{directory_.path()}) {
      const auto name = file.path().lexically_relative(directory_.path());
      if (name == "tmp" || name == "steps" || name == "record" || name == "service.pid") continue;
      // ThreadSanitizer makes and unlinks this one before main().
      if (test::sanitized && name.filename().string().starts_with("tsan.rodata.")) continue;
      found.push_back("the file " + name.string());
    }
    return found;
  }
  void kill_left() {
    test::eventually(
        [this] {
          const auto pids = processes();
          for (const pid_t pid : pids) ::kill(pid, SIGKILL);
          return !reap() && pids.empty();
        },
        limit);
  }

  std::size_t steps() const { return test::slurp(directory_ / "steps").size(); }
  microseconds lived() const { return lived_; }
  std::string fate() const {
    return victim_ended_ ? "ended with wait status " + std::to_string(status_) : "has not ended";
  }

 private:
  /// False when this process has no child any more. Processes without a parent become its children.
  bool reap() {
    int status = 0;
    pid_t pid = 0;
    while ((pid = ::waitpid(-1, &status, WNOHANG | __WALL)) > 0)
      if (pid == victim_) {
        victim_ended_ = true;
        status_ = status;
      }
    return pid == 0;
  }

  /// Live processes that descend from this one, or have the mark, or have recorded themselves.
  std::vector<pid_t> processes() const {
    std::vector<pid_t> found;
    const auto add = [&](pid_t pid) {
      if (test::alive(pid) && std::find(found.begin(), found.end(), pid) == found.end())
        found.push_back(pid);
    };
    std::vector<std::pair<pid_t, pid_t>> parents;
    test::each_number_in("/proc", [&](pid_t pid, int) {
      parents.emplace_back(pid, test::stat_of(pid).parent);
      if (read_proc(pid, "cmdline").find(mark_) != std::string::npos) add(pid);
    });
    std::vector<pid_t> family{::getpid()};
    for (std::size_t i = 0; i < family.size(); ++i)
      for (const auto& [pid, parent] : parents)
        if (parent == family[i]) family.push_back(pid);
    std::for_each(family.begin() + 1, family.end(), add);

    std::istringstream record{test::slurp(directory_ / "record")};
    std::string started;
    for (pid_t pid = 0; record >> pid >> started;)
      if (start_time(pid) == started) add(pid);
    return found;
  }

  std::string mark_;
  std::string port_ = test::Port{}.str();
  test::TempDir directory_;
  pid_t victim_ = 0;
  bool victim_ended_ = false;
  int status_ = 0;
  test::Elapsed life_;
  microseconds lived_{};
};

class Chaos {
 public:
  Chaos(const char* victim, int rounds, const char* way, unsigned long seed)
      : victim_{victim}, way_{way}, rounds_{rounds}, seed_{seed}, random_{seed} {}

  int run() {
    static constexpr int signals[] = {SIGHUP, SIGINT, SIGTERM, SIGQUIT, SIGABRT, SIGKILL, SIGSEGV};
    constexpr auto count =
        std::size(signals) - (test::sanitized ? 1 : 0);  // a sanitizer handles SIGSEGV
    for (int i = 0; i < rounds_ && failures_ < 5; ++i) {
      if (i % 50 == 0 && !measure()) break;  // repeated, as the machine's load changes
      // The draws do not depend on the life: a seed means the same on each machine.
      const int signal = signals[random_() % count];
      const bool group = random_() % 2 == 0;
      const double share = std::uniform_real_distribution{}(random_);
      one(i, signal, group, std::chrono::duration_cast<microseconds>(share * life_));
    }
    std::string counts;
    for (const int kills : kills_) counts += ' ' + std::to_string(kills);
    std::printf(
        "chaos %s: seed %lu, %d rounds in %.1f s: %d failed; life %.1f ms, gone %.1f ms after "
        "the kill on average, %.1f at most; kills by the victim's step:%s\n",
        way_, seed_, done_, total_.seconds(), failures_, in_ms(life_),
        in_ms(gone_) / std::max(done_, 1), in_ms(latest_), counts.c_str());
    return failures_ == 0 ? 0 : 1;
  }

 private:
  static double in_ms(microseconds time) { return static_cast<double>(time.count()) / 1000; }

  /// Measures the undisturbed life of the victim: the longest of three.
  bool measure() {
    life_ = {};
    for (int i = 0; i < 3; ++i) {
      Round round{--undisturbed_};
      round.start(victim_, way_, 0us);
      check(round, round.await_end(0), "undisturbed");
      life_ = std::max(life_, round.lived());
    }
    return failures_ == 0;
  }

  void one(int number, int signal, bool group, microseconds moment) {
    Round round{number};
    round.start(victim_, way_, moment);
    const auto steps = round.steps();
    round.kill(signal, group);
    const test::Elapsed elapsed;
    const bool ended = round.await_end(signal);
    char text[200];
    std::snprintf(text, sizeof text,
                  "round %d: signal %d to the %s after %.3f of %.3f ms, step %zu", number, signal,
                  group ? "group" : "victim", in_ms(moment), in_ms(life_), steps);
    check(round, ended, text);
    const auto gone = std::chrono::duration_cast<microseconds>(elapsed.time());
    gone_ += gone;
    latest_ = std::max(latest_, gone);
    kills_.resize(std::max(kills_.size(), steps + 1));
    ++kills_[steps];
    ++done_;
  }

  void check(Round& round, bool ended, const char* what) {
    const bool nothing = round.await_nothing();
    if (ended && nothing) return;
    ++failures_;
    std::printf("seed %lu, %s:\n", seed_, what);
    if (!ended) std::printf("  the victim %s\n", round.fate().c_str());
    for (const auto& line : round.left()) std::printf("  left: %s\n", line.c_str());
    round.kill_left();
  }

  const char *victim_, *way_;
  int rounds_;
  unsigned long seed_;
  std::mt19937_64 random_;
  microseconds life_{}, gone_{}, latest_{};
  int done_ = 0, failures_ = 0, undisturbed_ = 0;
  std::vector<int> kills_;
  test::Elapsed total_;
};

}  // namespace

int main(int argc, char** argv) {
  try {
    if (argc != 4) throw std::invalid_argument{"chaos VICTIM ROUNDS alone|group|shared"};
    if (::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0)
      throw std::system_error{errno, std::generic_category(), "prctl"};
    const char* seed = std::getenv("MIRAKURU_CHAOS_SEED");
    return Chaos{argv[1], std::atoi(argv[2]), argv[3],
                 seed != nullptr ? std::strtoul(seed, nullptr, 10) : std::random_device{}()}
        .run();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "chaos: %s\n", error.what());
    return 2;
  }
}
