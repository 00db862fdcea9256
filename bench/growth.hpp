// SPDX-License-Identifier: BSL-1.0
// Rows that show how the cost of one grows with the number of all: "growth 10 -> 1,000" compares
// the cost per unit among 1,000 with the cost among 10.
#pragma once

#include <poll.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <functional>
#include <list>
#include <string>
#include <vector>

#include <mirakuru.hpp>
#include <mirakuru/os/proc.hpp>

#include "measures.hpp"
#include "report.hpp"
#include "service.hpp"

namespace bench {

// "1,000".
inline std::string grouped(int number) {
  const auto low = std::to_string(number % 1000);
  if (number < 1000) return low;
  return std::to_string(number / 1000) + ',' + std::string(3 - low.size(), '0') + low;
}

inline std::string growth_name(int from, int to, const std::string& what) {
  return "growth " + grouped(from) + " -> " + grouped(to) + ": " + what;
}

// Limits -----------------------------------------------------------------------------------------

// A service holds six descriptors in its owner. This process and its forks may have 1,024 at first.
inline rlim_t raise_descriptors() {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
  return limit.rlim_max;
}

inline double number_in(const std::string& path) {
  return std::strtod(test::slurp(path).c_str(), nullptr);
}

// The control group's limit and its use, if it has one.
inline bool group_has_room(double processes) {
  const std::string text = test::slurp("/proc/self/cgroup");
  const auto at = text.find("0::");
  if (at == text.npos) return true;
  const auto path = "/sys/fs/cgroup" + text.substr(at + 3, text.find('\n', at) - at - 3);
  const double most = number_in(path + "/pids.max");  // "max" is no number
  return most == 0 || number_in(path + "/pids.current") + processes <= most;
}

// Each service is two processes.
inline std::string unless_room_for(int services) {
  const double processes = 2.0 * services + 500;
  rlimit own{}, files{};
  ::getrlimit(RLIMIT_NPROC, &own);
  ::getrlimit(RLIMIT_NOFILE, &files);
  if (static_cast<double>(files.rlim_max) < 6.0 * services + 100)
    return "skipped: too few descriptors";
  const bool limited = ::geteuid() != 0 && static_cast<double>(own.rlim_cur) < processes;
  if (limited || number_in("/proc/sys/kernel/pid_max") < 2 * processes ||
      !group_has_room(processes))
    return "skipped: too few processes allowed";
  return "";
}

// Services ---------------------------------------------------------------------------------------

// Services that run at once.
class Running {
 public:
  explicit Running(int count) {
    for (int i = 0; i < count; ++i) all_.emplace_back(sleeper).start();
    for (auto& executor : all_) guardians_.push_back(parent_of(executor.pid()));
    for (const pid_t guardian : guardians_) {
      // It has unmapped its owner's memory when it waits for news.
      const auto sleeps = [&] { return mk::detail::process_stat(guardian).state == 'S'; };
      require(test::eventually(sleeps), "a guardian does not sleep");
    }
  }

  std::list<mk::Executor<>>& all() { return all_; }
  double count() const { return static_cast<double>(guardians_.size()); }

  // Of one guardian, in kilobytes. Pages that it shares count in part.
  double guardian_kb() const {
    double sum = 0;
    for (const pid_t guardian : guardians_) sum += field_kb(guardian, "\nPss:");
    return sum / count();
  }

  // Of all guardians and commands, in milliseconds.
  double processor() {
    double sum = 0;
    for (const pid_t guardian : guardians_) sum += processor_of(guardian);
    for (auto& executor : all_) sum += processor_of(executor.pid());
    return sum;
  }

  static double field_kb(pid_t pid, const char* field) {
    const auto text = test::slurp("/proc/" + std::to_string(pid) + "/smaps_rollup");
    const auto at = text.find(field);
    require(at != text.npos, "smaps_rollup");
    return std::strtod(&text[at + std::string{field}.size()], nullptr);
  }

 private:
  static pid_t parent_of(pid_t pid) { return mk::detail::process_stat(pid).parent; }
  static double processor_of(pid_t pid) {
    return number_in("/proc/" + std::to_string(pid) + "/schedstat") / 1e6;  // nanoseconds
  }

  std::list<mk::Executor<>> all_;
  std::vector<pid_t> guardians_;
};

enum { start_of_one, to_by_hand, stop_of_one, running_of_one, running_in_turn, memory_of_one };

// The median of the microseconds of a thousand calls.
template <class Ask>
double asked_us(Ask ask) {
  std::vector<double> times;
  for (int i = 0; i < 1000; ++i) {
    const Stopwatch watch;
    require(ask(), "it has ended");
    times.push_back(watch.ms() * 1000);
  }
  return median(times);
}

// The cost of one more, and of each.
//
// A start grows with the number of the owner's descriptors: the kernel copies them for the
// guardian, and the guardian closes them before the command. A guardian by hand has the same cost.
inline Values among(int count) {
  return Forked{[=]() -> Values {
           const FilesInMemory in_memory;
           raise_descriptors();
           cycle<mk::GuardedSpawner>();  // the first one fills caches
           const double before = Running::field_kb(::getpid(), "\nAnonymous:");
           Running running{count};
           const double grown = Running::field_kb(::getpid(), "\nAnonymous:") - before;
           const double memory = running.guardian_kb() + grown / running.count();

           std::vector<double> starts, stops, by_hand;
           for (int i = 0; i < 30; ++i) {
             const auto times = cycle<mk::GuardedSpawner>();
             starts.push_back(times[start]);
             stops.push_back(times[stop]);
             by_hand.push_back(guarded_by_hand()[start]);
           }

           // In turn, the processor's cache may not hold the data of each.
           auto& first = running.all().front();
           const double one = asked_us([&] { return first.running(); });
           auto next = running.all().begin();
           const double in_turn = asked_us([&] {
             if (next == running.all().end()) next = running.all().begin();
             return next++->running();
           });
           return {median(starts), median(starts) / median(by_hand), median(stops), one, in_turn,
                   memory};
         }}
      .values();
}

// The processor time of each in five seconds, with its share of the owner's.
inline Values idle(int count) {
  raise_descriptors();
  Running running{count};
  const double begin = running.processor(), own = processor_ms();
  ::poll(nullptr, 0, 5000);
  const double own_time = processor_ms() - own;
  return {(running.processor() - begin + own_time) / running.count()};
}

// At the same time.
inline Values idle_of(const std::vector<int>& counts) {
  std::list<Forked> forks;
  for (const int count : counts) forks.emplace_back([=] { return idle(count); });
  Values values;
  for (auto& fork : forks) values.push_back(fork.values()[0]);
  return values;
}

// Output and trees -------------------------------------------------------------------------------

inline std::string unless_room_for_output(std::size_t size) {
  const FilesInMemory memory;
  struct statvfs disk{};
  ::statvfs(temporary().c_str(), &disk);
  return disk.f_bavail * disk.f_frsize >= size ? "" : "skipped: not enough room for the output";
}

enum { time_of_mb, processor_of_mb };

inline Values output_of(int megabytes) {
  const FilesInMemory memory;
  const Service service{"flood", 0us, std::to_string(megabytes * 1'000'000LL)};
  mk::Executor executor{service.words(), mk::BannerCheck{"ready"},
                        mk::TimeoutBudget{.start = 100s}};
  const double processor_begin = processor_ms();
  executor.start();
  const double total = service.startup_ms() + service.since_ready_ms();
  return {total / megabytes, (processor_ms() - processor_begin) / megabytes};
}

inline Values tree_of(int processes) {
  const Service service{"tree", 0us, std::to_string(processes)};
  mk::Executor executor{service.words(), mk::BannerCheck{"ready"}, mk::Silent{}};
  executor.start();
  const Stopwatch watch;
  executor.stop();
  return {watch.ms() / processes};
}

// Rows -------------------------------------------------------------------------------------------

// The bound holds for the largest size. The others are there to be read.
inline void add_growth(std::vector<Row>& rows, bool quick,
                       const std::function<std::string(std::size_t)>& unless_memory) {
  const auto first_of = [](const std::string& one, const std::string& other) {
    return one.empty() ? other : one;
  };
  const int largest = quick ? 100 : 1000;
  const Bound flat{.times = 1.3};
  std::vector<int> sizes{1, 100};
  if (!quick) sizes.push_back(largest);

  const auto room = [&](int count) {
    const auto memory = static_cast<std::size_t>(count) * 1'500'000;
    return first_of(unless_memory(memory), unless_room_for(count));
  };
  for (const int size : sizes) {
    const auto name = [=](const char* what) { return growth_name(10, size, what); };
    const Bound bound = size == largest ? flat : Bound{};
    rows.push_back({.metrics = {{name("start"), start_of_one},
                                {"  to a guardian by hand", to_by_hand, bound, ""},
                                {name("stop"), stop_of_one, bound},
                                {name("running()"), running_of_one, bound, "us"},
                                {name("running() in turn"), running_in_turn, {}, "us"},
                                {name("memory of each"), memory_of_one, bound, "kB"}},
                    .ours = [=] { return among(size); },
                    .floor = [] { return among(10); },
                    .rounds = 5,
                    .quick_rounds = 3,
                    .skip = room(size)});
  }
  std::vector<Metric> processor;
  for (std::size_t i = 0; i < sizes.size(); ++i)
    processor.push_back({growth_name(10, sizes[i], "processor, 5 s"), i,
                         sizes[i] == largest ? Bound{.at_most = 0.05} : Bound{}});
  rows.push_back({.metrics = processor,
                  .ours = [=] { return idle_of(sizes); },
                  .floor = [=] { return Values(sizes.size(), idle_of({10})[0]); },
                  .rounds = 1,
                  .quick_rounds = 1,
                  .skip = room(largest)});

  for (const int size : sizes) {
    const auto name = [=](const char* what) { return growth_name(10, size, what); };
    const Bound bound = size == largest ? flat : Bound{};
    const auto bytes = static_cast<std::size_t>(size) * 2'000'000;
    rows.push_back({.metrics = {{name("a MB of output"), time_of_mb, bound},
                                {name("its processor time"), processor_of_mb, bound}},
                    .ours = [=] { return output_of(size); },
                    .floor = [] { return output_of(10); },
                    .rounds = 3,
                    .quick_rounds = 3,
                    .skip = first_of(unless_memory(bytes), unless_room_for_output(bytes))});
  }

  // The pause before the first search is too large a part of a small tree's end.
  const int small = largest / 10;
  for (const int size : {10, largest})
    if (size != small)
      rows.push_back({.metrics = {{growth_name(small, size, "stop, a process of a tree"), 0,
                                   size == largest ? flat : Bound{}}},
                      .ours = [=] { return tree_of(size); },
                      .floor = [=] { return tree_of(small); },
                      .rounds = 5,
                      .quick_rounds = 5,
                      .skip = unless_room_for(size)});
}

}  // namespace bench
