// SPDX-License-Identifier: BSL-1.0
// One measurement for each row, of the library and of the floor.
#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <cstring>
#include <exception>
#include <memory>
#include <string>
#include <vector>

#include <asio/bind_executor.hpp>
#include <asio/io_context.hpp>

#include <mirakuru.hpp>
#include <mirakuru/async.hpp>
#include <mirakuru/kit.hpp>
#include <mirakuru/services.hpp>

#include "service.hpp"

namespace bench {

namespace mk = mirakuru;

// Ready ------------------------------------------------------------------------------------------

enum { latency, share, before, processor };

// `share` is the latency divided by its limit for TCP and HTTP: 2 % of the service's start-up time
// plus 0.3 ms.
inline Values waited(const Service& service, double processor_begin, double count) {
  const double late = service.since_ready_ms();
  return {late, late / (0.02 * service.startup_ms() + 0.3), count,
          processor_ms() - processor_begin};
}

// A service that does not listen yet does not see an attempt.
inline double seen_before(const Service& service, const std::string& verb, double looks) {
  return verb == "http" ? static_cast<double>(service.told().early) : looks - 1;
}

template <class Executor, class MakeCheck>
Values start_ours(const std::string& verb, Delay delay, MakeCheck make_check) {
  const FilesInMemory memory;
  const Service service{verb, delay};
  Executor executor{service.words(), make_check(service)};
  const double begin = processor_ms();
  executor.start();
  auto values = waited(service, begin, 0);
  const auto looks = static_cast<double>(executor.timeline().checks.back().attempts);
  values[before] = seen_before(service, verb, looks);
  return values;
}

using Await = int (*)(const Service&, int out);
using Open = void (*)();

// `open` makes the service's channel before the spawn; null if there is none. The guardian in C
// makes the same promises, as the processor time has the spawn in it.
inline Values start_floor(const std::string& verb, Delay delay, Await await, Open open) {
  const FilesInMemory memory;
  const Service service{verb, delay};
  const double begin = processor_ms();
  if (open != nullptr) open();
  const GuardedByHand process{service.words()};
  const int looks = await(service, process.out());
  require(looks > 0 && process.lives(), verb);  // a service may say so, and die
  auto values = waited(service, begin, 0);
  values[before] = seen_before(service, verb, looks);
  return values;
}

// Start and stop ---------------------------------------------------------------------------------

inline const std::vector<std::string> sleeper{"sleep", "60"};

enum { both, start, stop };

template <class Spawner>
Values cycle() {
  mk::Executor executor{sleeper, Spawner{}};
  const Stopwatch watch;
  executor.start();
  const double started = watch.ms();
  executor.stop();
  const double stopped = watch.ms();
  return {stopped, started, stopped - started};
}

inline Values cycle_by_hand() {
  const Stopwatch watch;
  ByHand process{sleeper};
  const double started = watch.ms();
  process.stop();
  const double stopped = watch.ms();
  return {stopped, started, stopped - started};
}

inline Values guarded_by_hand() {
  const Stopwatch watch;
  GuardedByHand process{sleeper};
  const double started = watch.ms();
  process.stop();
  const double stopped = watch.ms();
  return {stopped, started, stopped - started};
}

// The median of one value in ten cycles: `start` or `stop`.
template <class Cycle>
double ten(Cycle cycle, int value) {
  std::vector<double> times;
  for (int i = 0; i < 10; ++i) times.push_back(cycle()[static_cast<std::size_t>(value)]);
  return median(times);
}

// Starts by a process that has written to `size` bytes of memory.
inline Values starts_with(std::size_t size) {
  return Forked{[=]() -> Values {
           if (size > 0) {
             void* const map =
                 ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
             require(map != MAP_FAILED, "mmap");
             ::madvise(map, size, MADV_NOHUGEPAGE);
             std::memset(map, 1, size);
           }
           return {ten(cycle<mk::DirectSpawner>, start), ten(cycle<mk::GuardedSpawner>, start)};
         }}
      .values();
}

inline Values stops_among(int others) {
  const Crowd crowd{others};
  return {ten(cycle<mk::GuardedSpawner>, stop), ten(cycle<mk::DirectSpawner>, stop)};
}

inline Values stop_tree() {
  const Service service{"tree", 0us, "50"};
  mk::OutputExecutor executor{service.words(), mk::BannerCheck{"ready"}};
  executor.start();
  const Stopwatch watch;
  executor.stop();
  return {watch.ms()};
}

inline Values stop_tree_by_hand() {
  const Service service{"tree", 0us, "50"};
  GuardedByHand process{service.words()};
  require(::floor_await_banner(process.out(), "ready") > 0, "tree");
  const Stopwatch watch;
  process.stop();
  return {watch.ms()};
}

// Output -----------------------------------------------------------------------------------------

enum { late, own_time, growth };

inline Values flooded(const Service& service, double resident) {
  return {service.since_ready_ms(), service.startup_ms(), resident_kb() - resident};
}

inline void until_ready(const Service& service) {
  require(test::eventually([&] { return service.told().ready != 0; }, 100s), "flood");
}

template <class... Checks>
Values flood(std::size_t size, Checks... checks) {
  const Service service{"flood", 0us, std::to_string(size)};
  mk::Executor executor{service.words(), checks...};
  const double resident = resident_kb();
  executor.start();
  until_ready(service);
  return flooded(service, resident);
}

inline Values flood_by_hand(std::size_t size, bool banner) {
  const Service service{"flood", 0us, std::to_string(size)};
  const double resident = resident_kb();
  const mk::detail::UniqueFd out{::floor_output()};
  const ByHand process{service.words(), out.get()};
  if (banner) require(::floor_await_banner(out.get(), "ready") > 0, "flood");
  until_ready(service);
  return flooded(service, resident);
}

// Many at once -----------------------------------------------------------------------------------

constexpr int many = 100;

// 100 services, each ready after 200 ms.
inline std::vector<std::unique_ptr<Service>> services() {
  std::vector<std::unique_ptr<Service>> made;
  for (int i = 0; i < many; ++i) made.push_back(std::make_unique<Service>("tcp", 200ms));
  return made;
}

inline std::vector<mk::TCPExecutor> executors_of(const std::vector<std::unique_ptr<Service>>& all) {
  std::vector<mk::TCPExecutor> executors;
  for (const auto& service : all)
    executors.emplace_back(service->words(), mk::TCPCheck{"127.0.0.1", service->port()});
  return executors;
}

inline Values start_many() {
  const auto all = services();
  auto executors = executors_of(all);
  asio::io_context context;
  int good = 0;
  const Stopwatch watch;
  for (auto& executor : executors)
    executor.async_start(
        asio::bind_executor(context, [&](std::exception_ptr error) { good += !error; }));
  context.run();
  const double total = watch.ms();
  require(good == many, "async_start");
  return {total};
}

inline Values start_all_of_many() {
  const auto all = services();
  auto executors = executors_of(all);
  const Stopwatch watch;
  mk::start_all(executors);
  return {watch.ms()};
}

// Twelve services in four levels, each ready after 50 ms; each needs all of the level before.
inline Values start_group() {
  constexpr std::size_t levels = 4, width = 3;
  std::vector<std::unique_ptr<Service>> all;
  for (std::size_t i = 0; i < levels * width; ++i)
    all.push_back(std::make_unique<Service>("tcp", 50ms));
  auto executors = executors_of(all);
  mk::Group group;
  for (std::size_t i = 0; i < executors.size(); ++i) {
    if (i < width)
      group.add(executors[i]);
    else
      group.add(executors[i],
                mk::needs(executors[i / width * width - 3], executors[i / width * width - 2],
                          executors[i / width * width - 1]));
  }
  const Stopwatch watch;
  group.start();
  return {watch.ms()};
}
// The same twelve by hand in C, in the same levels.
inline Values start_levels_by_hand() {
  constexpr std::size_t levels = 4, width = 3;
  std::vector<std::unique_ptr<Service>> all;
  for (std::size_t i = 0; i < levels * width; ++i)
    all.push_back(std::make_unique<Service>("tcp", 50ms));
  std::vector<std::unique_ptr<GuardedByHand>> processes;
  const Stopwatch watch;
  for (std::size_t level = 0; level < levels; ++level) {
    std::vector<int> ports;
    for (std::size_t i = level * width; i < (level + 1) * width; ++i) {
      ports.push_back(all[i]->port());
      processes.push_back(std::make_unique<GuardedByHand>(all[i]->words()));
    }
    require(::floor_await_tcp(ports.data(), width) > 0, "tcp");
  }
  return {watch.ms()};
}
// Its critical path: four such services, one after the other.
inline Values start_in_a_row() {
  std::vector<std::unique_ptr<Service>> all;
  for (int i = 0; i < 4; ++i) all.push_back(std::make_unique<Service>("tcp", 50ms));
  auto executors = executors_of(all);
  const Stopwatch watch;
  for (auto& executor : executors) executor.start();
  return {watch.ms()};
}

inline Values start_many_by_hand() {
  const auto all = services();
  std::vector<std::unique_ptr<GuardedByHand>> processes;
  std::vector<int> ports;
  const Stopwatch watch;
  for (const auto& service : all) {
    ports.push_back(service->port());
    processes.push_back(std::make_unique<GuardedByHand>(service->words()));
  }
  require(::floor_await_tcp(ports.data(), many) > 0, "tcp");
  return {watch.ms()};
}

// Services ---------------------------------------------------------------------------------------

inline Values first_query(bool cached) {
  static const bool warm = (mk::Postgres{}, true);
  const Stopwatch watch;
  const mk::Postgres db{{.cache = cached}};
  require(warm && db.psql("select 1") == "1\n", "psql");
  return {watch.ms()};
}

}  // namespace bench
