// SPDX-License-Identifier: BSL-1.0
// Prints the cost of a service in faults, descriptors, memory and context switches, one count a
// line. measure.py has a bound for each.
//
//     held guarded|direct|tree CHILD PAGE
//
// CHILD is the service, and PAGE the file that it writes to. `tree` stops a tree of 50 processes,
// half of them in sessions of their own, and prints the number of stragglers.
#include <dirent.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <exception>
#include <fstream>
#include <iterator>
#include <memory>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <mirakuru.hpp>

namespace {

namespace mk = mirakuru;
using namespace std::chrono_literals;

constexpr int rounds = 9;

std::string proc(pid_t pid, const char* name) {
  std::ifstream file{"/proc/" + std::to_string(pid) + '/' + name};
  return {std::istreambuf_iterator<char>{file}, {}};
}

// One of the fields of /proc/PID/stat, by its number in proc(5): 3 is the state.
std::string stat_field(pid_t pid, int number) {
  const auto text = proc(pid, "stat");
  const auto name_end = text.rfind(')');
  if (name_end == text.npos) throw std::runtime_error{"no process " + std::to_string(pid)};
  std::istringstream fields{text.substr(name_end + 2)};
  std::string field;
  for (int i = 3; i <= number; ++i) fields >> field;
  return field;
}

pid_t parent_of(pid_t pid) { return std::stoi(stat_field(pid, 4)); }
long faults_of(pid_t pid) { return std::stol(stat_field(pid, 10)); }

// A process that sleeps does no more work: `sleep` is in its sleep, a guardian waits for news.
void await_sleep(pid_t pid) {
  for (int tries = 0; stat_field(pid, 3) != "S"; ++tries) {
    if (tries == 10'000) throw std::runtime_error{"a process does not sleep"};
    std::this_thread::sleep_for(1ms);
  }
}

struct Descriptors {
  int all = 0, inotify = 0;
};

Descriptors descriptors_of(pid_t pid) {
  const auto path = "/proc/" + std::to_string(pid) + "/fd";
  const std::unique_ptr<DIR, int (*)(DIR*)> directory{::opendir(path.c_str()), ::closedir};
  if (!directory) throw std::runtime_error{"cannot read " + path};
  Descriptors found;
  while (const dirent* entry = ::readdir(directory.get())) {
    if (entry->d_name[0] == '.') continue;
    char target[64] = {};
    if (::readlink((path + '/' + entry->d_name).c_str(), target, sizeof target - 1) < 0) continue;
    ++found.all;
    found.inotify += std::string{target}.find("inotify") != std::string::npos;
  }
  return found;
}

// The kilobytes of a process; pages that it shares count in part.
long memory_of(pid_t pid) {
  const auto text = proc(pid, "smaps_rollup");
  const auto at = text.find("\nPss:");
  if (at == text.npos) throw std::runtime_error{"no memory of " + std::to_string(pid)};
  return std::stol(text.substr(at + 5));
}

rusage usage(int who) {
  rusage result{};
  ::getrusage(who, &result);
  return result;
}

// The median. A fork of another process may take a page away in one round.
long median(std::vector<long> values) {
  const auto middle = values.begin() + rounds / 2;
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

void print(const char* name, long count) { std::printf("%s: %ld\n", name, count); }

// One start and stop.
template <class Spawner>
void print_faults(bool guarded) {
  mk::Executor executor{std::vector<std::string>{"sleep", "300"}, Spawner{}};
  executor.start().stop();  // the first one fills caches
  std::vector<long> of_owner, of_guardian;
  for (int i = 0; i < rounds; ++i) {
    const auto before = usage(RUSAGE_SELF).ru_minflt;
    executor.start();
    const auto started = usage(RUSAGE_SELF).ru_minflt;
    // All faults of the command come before its sleep.
    const pid_t leader = executor.pid();
    await_sleep(leader);
    const long of_command = faults_of(leader);
    const auto ended_before = usage(RUSAGE_CHILDREN).ru_minflt;
    const auto stops = usage(RUSAGE_SELF).ru_minflt;
    executor.stop();
    of_owner.push_back(started - before + usage(RUSAGE_SELF).ru_minflt - stops);
    // The children's faults have the guardian's and, below it, the command's.
    of_guardian.push_back(usage(RUSAGE_CHILDREN).ru_minflt - ended_before - of_command);
  }
  print("page faults of the owner", median(of_owner));
  if (guarded) print("page faults of the guardian", median(of_guardian));
}

// A service that runs, and a start that waits for its banner.
template <class Spawner>
void print_held(bool guarded, const std::string& child, const std::string& page) {
  using Words = std::vector<std::string>;
  std::vector<long> owner, owner_inotify, guardian, guardian_inotify, memory, switches;
  for (int i = 0; i < rounds; ++i) {
    // A new one: an executor keeps the output of its last run.
    mk::Executor executor{Words{child, page, "300000", "banner", "-"}, Spawner{}, mk::Capture{},
                          mk::BannerCheck{"ready"}};
    const auto before = descriptors_of(::getpid());
    const auto begin = usage(RUSAGE_SELF);
    executor.start();
    const auto end = usage(RUSAGE_SELF);
    switches.push_back(end.ru_nvcsw - begin.ru_nvcsw + end.ru_nivcsw - begin.ru_nivcsw);
    const auto held = descriptors_of(::getpid());
    owner.push_back(held.all - before.all);
    owner_inotify.push_back(held.inotify - before.inotify);
    if (guarded) {
      const pid_t guard = parent_of(executor.pid());
      await_sleep(guard);
      const auto of_guard = descriptors_of(guard);
      guardian.push_back(of_guard.all);
      guardian_inotify.push_back(of_guard.inotify);
      memory.push_back(memory_of(guard));
    }
    executor.stop();
  }
  print("descriptors in the owner", median(owner));
  print("inotify instances in the owner", median(owner_inotify));
  if (guarded) {
    print("descriptors in the guardian", median(guardian));
    print("inotify instances in the guardian", median(guardian_inotify));
    print("memory of the guardian, kB", median(memory));
  }
  print("context switches in a start of 300 ms", median(switches));
}

// measure.py counts the messages of the guardian meanwhile.
void stop_tree(const std::string& child, const std::string& page) {
  mk::Executor executor{std::vector<std::string>{child, page, "0", "tree", "50"},
                        mk::BannerCheck{"ready"}, mk::Silent{}};
  executor.start().stop();
  print("stragglers", static_cast<long>(executor.stragglers().size()));
}

template <class Spawner>
void print_all(bool guarded, const std::string& child, const std::string& page) {
  print_faults<Spawner>(guarded);
  print_held<Spawner>(guarded, child, page);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  try {
    if (std::string{argv[1]} == "tree")
      stop_tree(argv[2], argv[3]);
    else if (std::string{argv[1]} == "direct")
      print_all<mk::DirectSpawner>(false, argv[2], argv[3]);
    else
      print_all<mk::GuardedSpawner>(true, argv[2], argv[3]);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
