// SPDX-License-Identifier: BSL-1.0
// Many programs share one service, eight at a time. A tenth of them is killed at random moments,
// the one that starts the service among them. No other may fail, and no two services may live.
//
//   shared_chaos PROGRAMS REPEATS    with MIRAKURU_CHAOS_SEED=N for the same moments again
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <map>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <mirakuru.hpp>

#include "files.hpp"
#include "net.hpp"
#include "process.hpp"
#include "time.hpp"
#include "words.hpp"

namespace mk = mirakuru;
using namespace std::chrono_literals;
using std::chrono::microseconds;

namespace {

constexpr auto linger = 500ms;
constexpr int at_once = 8;

class Repeat {
 public:
  Repeat(std::mt19937_64& random, int programs) : random_{random}, programs_{programs} {}

  int run() {
    for (int begun = 0; begun < programs_ || !running_.empty(); step()) {
      while (begun < programs_ && running_.size() < at_once) begin(begun++);
      if (leaders() > 1) fail("two services at once");
    }
    const test::Elapsed since;
    if (!test::eventually([&] { return nothing_left(); }, linger + 10s))
      fail("something is left after the linger time and ten seconds");
    const auto starts = test::slurp(log_);
    std::printf("%d programs, %d killed, %zu starts, nothing left after %.2f s: %d failures\n",
                programs_, killed_, test::count(starts, "\n"), since.seconds(), failures_);
    return failures_;
  }

 private:
  struct One {
    test::Elapsed life;
    microseconds dies_at;
    bool killed = false;
  };

  void begin(int number) {
    auto& random = random_;
    // The first one starts the service, and dies in half of the repeats. Half of the others end
    // before their moment.
    const bool dies = number == 0 ? random() % 2 == 0 : random() % 5 == 0;
    const microseconds moment{random() % 25'000}, work{random() % 20'000};
    const auto way = random() % 3;
    std::fflush(nullptr);
    const pid_t pid = ::fork();
    if (pid == 0) {
      int status = 1;
      try {
        use(work, way);
        status = 0;
      } catch (const std::exception& error) {
        std::printf("program %d: %s\n", number, error.what());
      }
      std::fflush(nullptr);
      ::_exit(status);
    }
    running_[pid] = {.life = {}, .dies_at = dies ? moment : std::chrono::hours{1}};
  }

  void use(microseconds work, unsigned long way) const {
    // It takes a while until it is ready, and its start is recorded.
    mk::Executor service{mk::Shell{"echo $$ >>'" + log_ + "'; sleep 0.02; exec " +
                                   test::line(test::helper("listen", "127.0.0.1", port_, mark_))},
                         mk::TCPCheck{"127.0.0.1", std::stoi(port_)},
                         mk::Shared{.name = mark_, .linger = linger}};
    service.start();
    if (!test::connects("127.0.0.1", std::stoi(port_)))
      throw std::runtime_error{"it is ready, and does not listen"};
    std::this_thread::sleep_for(work);
    service.check_alive();
    if (way == 0) service.stop();
    if (way == 1) ::_exit(0);
  }

  void step() {
    for (auto& [pid, one] : running_)
      if (!one.killed && one.life >= one.dies_at) {
        one.killed = true;
        ::kill(pid, SIGKILL);
      }
    int status = 0;
    for (pid_t pid; (pid = ::waitpid(-1, &status, WNOHANG)) > 0;) {
      const auto at = running_.find(pid);
      if (at == running_.end()) continue;  // an orphan of one that was killed
      const bool killed = at->second.killed && WIFSIGNALED(status);
      killed_ += killed ? 1 : 0;
      if (!killed && status != 0) fail("a program that was not killed has failed");
      if (at->second.life >= 20s) fail("a program took 20 s");
      running_.erase(at);
    }
    ::usleep(500);
  }

  /// The live processes with the mark whose parent is a guardian.
  long leaders() const {
    std::vector<pid_t> found;
    const auto line_of = [](pid_t pid) {
      return test::slurp("/proc/" + std::to_string(pid) + "/cmdline");
    };
    test::each_number_in("/proc", [&](pid_t pid, int) {
      const auto line = line_of(pid);
      if (test::contains(line, mark_) && !line.starts_with("mirakuru: ") &&
          line_of(test::parent_of(pid)).starts_with("mirakuru: guards "))
        found.push_back(pid);
    });
    // One may have ended during the walk, before the next one has begun.
    return std::ranges::count_if(found, test::alive);
  }

  bool nothing_left() const {
    while (::waitpid(-1, nullptr, WNOHANG | __WALL) > 0) {
    }
    return test::processes_matching(mark_) == 0 && !test::connects("127.0.0.1", std::stoi(port_));
  }

  void fail(const char* reason) {
    ++failures_;
    std::printf("failed: %s\n", reason);
  }

  std::mt19937_64& random_;
  int programs_;
  std::string mark_ = test::mark(), port_ = test::Port{}.str();
  test::TempDir directory_;
  std::string log_ = directory_ / "starts";
  std::map<pid_t, One> running_;
  int killed_ = 0, failures_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  ::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);  // guardians whose owner is dead become children
  const char* const given = std::getenv("MIRAKURU_CHAOS_SEED");
  const auto seed = given != nullptr ? std::strtoul(given, nullptr, 10) : std::random_device{}();
  std::printf("MIRAKURU_CHAOS_SEED=%lu\n", seed);
  std::mt19937_64 random{seed};
  int failures = 0;
  for (int repeat = 0; repeat < std::atoi(argv[2]) && failures == 0; ++repeat)
    failures += Repeat{random, std::atoi(argv[1])}.run();
  return failures == 0 ? 0 : 1;
}
