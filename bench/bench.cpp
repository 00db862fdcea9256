// SPDX-License-Identifier: BSL-1.0
// The benchmark: bench CHILD [--quick] [--json FILE] [ROW...]
//
// Each run measures the library and the floor of a row in turn. A word after the options picks the
// rows with that word in their names.
#include <sys/statvfs.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string>
#include <utility>
#include <vector>

#include <mirakuru.hpp>

#include "growth.hpp"
#include "measures.hpp"
#include "report.hpp"
#include "service.hpp"

namespace bench {
namespace {

// Rows -------------------------------------------------------------------------------------------

// Adds two rows: the latency, and the processor time of a long wait.
template <class Executor, class MakeCheck>
void add_check(std::vector<Row>& rows, const std::string& name, const std::string& verb,
               MakeCheck make_check, Await await, std::vector<Metric> metrics,
               double processor_bound, Open open = nullptr) {
  rows.push_back({.metrics = std::move(metrics),
                  .ours =
                      [=, moments = Moments{}]() mutable {
                        return start_ours<Executor>(verb, moments.next(), make_check);
                      },
                  .floor =
                      [=, moments = Moments{}]() mutable {
                        return start_floor(verb, moments.next(), await, open);
                      }});
  rows.push_back({.metrics = {{"processor time of 5 s waited: " + name,
                               processor,
                               {.times = processor_bound}}},
                  .ours = [=] { return start_ours<Executor>(verb, 5s, make_check); },
                  .floor = [=] { return start_floor(verb, 5s, await, open); },
                  .quick_rounds = 5,
                  .idle = true});
}

void add_readiness(std::vector<Row>& rows) {
  add_check<mk::OutputExecutor>(
      rows, "banner", "banner", [](const Service&) { return mk::BannerCheck{"ready"}; },
      [](const Service&, int out) { return ::floor_await_banner(out, "ready"); },
      {{"latency: banner", latency, {.times = 1.5}}}, 2.5);
  add_check<mk::PidExecutor>(
      rows, "pid file", "pid", [](const Service& s) { return mk::PidCheck{s.place()}; },
      [](const Service& s, int) { return ::floor_await_file(s.place().c_str()); },
      {{"latency: pid file", latency, {.times = 1.5}}}, 2.5);
  add_check<mk::UnixSocketExecutor>(
      rows, "Unix socket", "unix", [](const Service& s) { return mk::UnixSocketCheck{s.place()}; },
      [](const Service& s, int) { return ::floor_await_unix(s.place().c_str()); },
      {{"latency: Unix socket", latency, {.times = 1.5}}}, 2.5);
  add_check<mk::Executor<mk::NotifyCheck>>(
      rows, "NotifyCheck", "notify", [](const Service&) { return mk::NotifyCheck{}; },
      [](const Service&, int) { return ::floor_await_notify(); },
      {{"latency: NotifyCheck", latency, {.times = 1.5}}}, 2.5, ::floor_open_notify);
  add_check<mk::Executor<mk::FdCheck>>(
      rows, "FdCheck", "fd", [](const Service&) { return mk::FdCheck{.fd = 3}; },
      [](const Service&, int) { return ::floor_await_fd(); },
      {{"latency: FdCheck", latency, {.times = 1.5}}}, 2.5, ::floor_open_fd);
  add_check<mk::Executor<mk::LogFileCheck>>(
      rows, "LogFileCheck", "log",
      [](const Service& s) { return mk::LogFileCheck{s.place(), "ready"}; },
      [](const Service& s, int) { return ::floor_await_log(s.place().c_str(), "ready"); },
      {{"latency: LogFileCheck", latency, {.times = 1.5}}}, 2.5);
  add_check<mk::TCPExecutor>(
      rows, "TCP", "tcp", [](const Service& s) { return mk::TCPCheck{"127.0.0.1", s.port()}; },
      [](const Service& s, int) {
        int port = s.port();
        return ::floor_await_tcp(&port, 1);
      },
      {{"latency: TCP", latency},
       {"  to 2 % of the start-up and 0.3 ms", share, {.at_most = 1}, ""},
       {"  attempts before it is ready", before, {}, ""}},
      0.2);
  add_check<mk::HTTPExecutor>(
      rows, "HTTP", "http",
      [](const Service& s) { return mk::HTTPCheck{"http://127.0.0.1:" + s.place() + "/"}; },
      [](const Service& s, int) { return ::floor_await_http(s.port()); },
      {{"latency: HTTP", latency},
       {"  to 2 % of the start-up and 0.3 ms", share, {.at_most = 1}, ""},
       {"  connections it sees before it is ready", before, {}, ""}},
      0.2);
}

// Beside the dearer one of its checks.
void add_any_of(std::vector<Row>& rows) {
  using AnyOf = mk::AnyOf<mk::BannerCheck, mk::TCPCheck>;
  const auto any_of = [](const Service&) {
    static const mk::FreePort nobodys;
    return AnyOf{mk::BannerCheck{"ready"}, mk::TCPCheck{"127.0.0.1", nobodys}};
  };
  const auto tcp = [](const Service& s) { return mk::TCPCheck{"127.0.0.1", s.port()}; };
  rows.push_back(
      {.metrics = {{"latency: AnyOf of banner and TCP, to TCP", latency, {.times = 1.1}}},
       .ours =
           [=, moments = Moments{}]() mutable {
             return start_ours<mk::Executor<AnyOf>>("banner", moments.next(), any_of);
           },
       .floor =
           [=, moments = Moments{}]() mutable {
             return start_ours<mk::TCPExecutor>("tcp", moments.next(), tcp);
           }});
}

constexpr std::size_t gigabyte = std::size_t{1} << 30;

std::string unless_memory(std::size_t needed) {
  const std::string info = test::slurp("/proc/meminfo");
  const auto at = info.find("MemAvailable:");
  const auto free = at == info.npos ? 0 : std::strtoull(info.c_str() + at + 13, nullptr, 10);
  return free * 1024 >= needed ? "" : "skipped: not enough memory";
}

std::string unless_disk(std::size_t needed) {
  struct statvfs disk{};
  ::statvfs(temporary().c_str(), &disk);
  return disk.f_bavail * disk.f_frsize >= needed ? "" : "skipped: not enough room on the disk";
}

std::string unless_postgres() {
  const auto* const look = "ls -d /usr/lib/postgresql/*/bin/initdb || command -v initdb";
  const auto found = mk::run(mk::Shell{look}, mk::Accept{1, 2, 127}).output;
  return found.empty() ? "skipped: no PostgreSQL" : "";
}

void add_start_and_stop(std::vector<Row>& rows) {
  const auto metrics = [](const std::string& name, Bound of_both = {}, Bound of_start = {},
                          Bound of_stop = {}) -> std::vector<Metric> {
    return {{name + ": start and stop", both, of_both},
            {name + ": start", start, of_start},
            {name + ": stop", stop, of_stop}};
  };
  rows.push_back({.metrics = metrics("direct", {.times = 1.5}),
                  .ours = cycle<mk::DirectSpawner>,
                  .floor = cycle_by_hand,
                  .rounds = 200,
                  .quick_rounds = 50});
  // The floor is a guardian in C, with the same promises.
  rows.push_back({.metrics = metrics("guarded", {.times = 1.3}, {.times = 1.3}, {.times = 1.3}),
                  .ours = cycle<mk::GuardedSpawner>,
                  .floor = guarded_by_hand,
                  .rounds = 200,
                  .quick_rounds = 50});
  rows.push_back({.metrics = metrics("guarded, to a bare posix_spawn"),
                  .ours = cycle<mk::GuardedSpawner>,
                  .floor = cycle_by_hand,
                  .rounds = 200,
                  .quick_rounds = 50});
  rows.push_back({.metrics = {{"start with 2 GB against none: direct", 0, {.times = 1.5}},
                              {"start with 2 GB against none: guarded", 1}},
                  .ours = [] { return starts_with(2 * gigabyte); },
                  .floor = [] { return starts_with(0); },
                  .rounds = 10,
                  .quick_rounds = 2,
                  .skip = unless_memory(3 * gigabyte)});
  rows.push_back({.metrics = {{"stop among 1,000 against none: guarded", 0, {.times = 1.2}},
                              {"stop among 1,000 against none: direct", 1}},
                  .ours = [] { return stops_among(1000); },
                  .floor = [] { return stops_among(0); },
                  .rounds = 10,
                  .quick_rounds = 3});
  rows.push_back({.metrics = {{"stop of a tree of 50, 25 sessions", 0, {.times = 1.3}}},
                  .ours = stop_tree,
                  .floor = stop_tree_by_hand});
}

void add_output(std::vector<Row>& rows) {
  rows.push_back({.metrics = {{"5 MB before the banner: latency", late, {.times = 1.3}}},
                  .ours = [] { return flood(5'000'000, mk::BannerCheck{"ready"}); },
                  .floor = [] { return flood_by_hand(5'000'000, true); }});
  rows.push_back(
      {.metrics = {{"1 GB unread: the service's time", own_time, {.times = 1.2}},
                   {"1 GB unread: memory of the parent", growth, {.at_most = 1024}, "kB"}},
       .ours = [] { return flood(gigabyte); },
       .floor = [] { return flood_by_hand(gigabyte, false); },
       .rounds = 10,
       .quick_rounds = 2,
       .skip = unless_disk(4 * gigabyte)});
}

void add_many(std::vector<Row>& rows) {
  rows.push_back({.metrics = {{"100 starts at once", 0, {.times = 1.3}}},
                  .ours = start_many,
                  .floor = start_many_by_hand,
                  .quick_rounds = 3});
  rows.push_back({.metrics = {{"start_all of 100", 0, {.times = 1.3}}},
                  .ours = start_all_of_many,
                  .floor = start_many_by_hand,
                  .quick_rounds = 3});
  rows.push_back({.metrics = {{"group of 12 in 4 levels", 0, {.times = 1.1}}},
                  .ours = start_group,
                  .floor = start_levels_by_hand,
                  .rounds = 20,
                  .quick_rounds = 3});
  rows.push_back({.metrics = {{"group of 12, to its longest chain of 4", 0, {.times = 1.1}}},
                  .ours = start_group,
                  .floor = start_in_a_row,
                  .rounds = 20,
                  .quick_rounds = 3});
}

// The floor is initdb and a start, without the cache.
void add_services(std::vector<Row>& rows) {
  rows.push_back({.metrics = {{"Postgres from the cache to its first query", 0, {.times = 1.0 / 3}},
                              {"  the same, by itself", 0, {.at_most = 500}}},
                  .ours = [] { return first_query(true); },
                  .floor = [] { return first_query(false); },
                  .rounds = 10,
                  .quick_rounds = 3,
                  .skip = unless_postgres()});
}

// Rounds -----------------------------------------------------------------------------------------

// Measures the rows that only wait at the same time, five rounds of each.
void measure_idle(std::vector<Row*> rows, int rounds) {
  constexpr int at_once = 5;
  for (int done = 0; done < rounds; done += at_once) {
    std::vector<std::pair<std::vector<Values>*, Forked>> forks;
    for (int i = 0; i < at_once; ++i)
      for (Row* row : rows)
        for (const bool ours : {true, false})
          forks.emplace_back(ours ? &row->of_ours : &row->of_floor,
                             Forked{ours ? row->ours : row->floor});
    for (auto& [values, fork] : forks) values->push_back(fork.values());
  }
}

void measure(Row& row, int rounds) {
  for (int i = 0; i < rounds; ++i) {
    row.of_ours.push_back(row.ours());
    row.of_floor.push_back(row.floor());
  }
}

int run(std::vector<std::string> words) {
  bool quick = false;
  std::string json;
  std::vector<std::string> wanted;
  for (std::size_t i = 0; i < words.size(); ++i)
    if (words[i] == "--quick")
      quick = true;
    else if (words[i] == "--json" && i + 1 < words.size())
      json = words[++i];
    else if (words[i][0] != '-')
      wanted.push_back(words[i]);
    else
      return std::fputs("usage: bench/run [--quick] [--json FILE] [ROW...]\n", stderr), 2;

  std::vector<Row> rows;
  add_readiness(rows);
  add_any_of(rows);
  add_start_and_stop(rows);
  add_output(rows);
  add_many(rows);
  add_services(rows);
  add_growth(rows, quick, unless_memory);
  std::erase_if(rows, [&](const Row& row) {
    const auto& name = row.metrics[0].name;
    return !wanted.empty() && std::none_of(wanted.begin(), wanted.end(), [&](const auto& word) {
      return name.find(word) != name.npos;
    });
  });
  std::stable_partition(rows.begin(), rows.end(), [](const Row& row) { return !row.idle; });

  std::vector<Row*> idle;
  print_head();
  for (auto& row : rows) {
    const int rounds = quick ? row.quick_rounds : row.rounds;
    if (row.skip.empty() && !row.idle) measure(row, rounds);
    if (row.idle)
      idle.push_back(&row);
    else
      print(row);
  }
  if (!idle.empty()) measure_idle(idle, quick ? idle[0]->quick_rounds : idle[0]->rounds);
  for (const Row* row : idle) print(*row);
  if (!json.empty() && !write_json(rows, json)) return std::perror(json.c_str()), 1;
  return 0;
}

}  // namespace
}  // namespace bench

int main(int argc, char** argv) {
  if (argc < 2) return 2;
  bench::child_program = argv[1];
  ::setenv("MIRAKURU_LOG", "silent", 0);  // its lines would be between those of the table
  try {
    return bench::run({argv + 2, argv + argc});
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
