// SPDX-License-Identifier: BSL-1.0
#include <chrono>
#include <exception>
#include <optional>
#include <stdexcept>
#include <string>
#include <tuple>
#include <vector>

#include <doctest/doctest.h>
#include <asio/bind_executor.hpp>
#include <asio/io_context.hpp>

#include <mirakuru.hpp>
#include <mirakuru/async.hpp>
#include <mirakuru/group.hpp>

#include "errors.hpp"
#include "files.hpp"
#include "process.hpp"

namespace mk = mirakuru;
using namespace std::chrono_literals;
using test::in_time;

namespace {

auto service(const std::string& delay = "0") {
  return mk::Executor{mk::Shell{"sleep " + delay + "; echo ready; exec sleep 1000"},
                      mk::BannerCheck{"ready"}, in_time};
}

}  // namespace

TEST_CASE("start_all: executors of different types start at once, and no thread is made") {
  // Each is ready when three have begun.
  const test::TempDir begun;
  const auto one_of_three = [&](const std::string& name) {
    const auto& directory = begun.path();
    return mk::Executor{
        mk::Shell{"touch " + directory + '/' + name + "; until [ $(ls " + directory +
                  " | wc -l) -eq 3 ]; do sleep 0.01; done; echo ready; exec sleep 1000"},
        mk::BannerCheck{"ready"}, in_time};
  };
  auto banner = one_of_three("a"), other = one_of_three("b");
  mk::Executor plain{{"sleep", "1000"}};
  mk::AnyExecutor any = one_of_three("c");
  const auto threads = test::status_of(::getpid(), "Threads");
  mk::start_all(banner, plain, any, other);
  CHECK(test::status_of(::getpid(), "Threads") == threads);
  CHECK(banner.running());
  CHECK(plain.running());
  CHECK(any.running());
  mk::stop_all(banner, plain, any, other);
  CHECK_FALSE(banner.running());
  CHECK_FALSE(any.running());
}

TEST_CASE("start_all: one that fails is told with its output, and none is left") {
  auto good = service(), slow = service("1000");
  mk::Executor bad{mk::Shell{"sleep 0.05; echo no licence; exit 5"}, mk::BannerCheck{"ready"},
                   in_time};
  const auto text =
      test::message_of<mk::ProcessExitedWithError>([&] { mk::start_all(good, slow, bad); });
  CHECK(text.find("exited with a non-zero code: 5 before it was ready") == 0);
  CHECK(text.find("no licence") != text.npos);
  CHECK(text.find("started at: " __FILE__) != text.npos);
  CHECK_FALSE(good.running());
  CHECK_FALSE(slow.running());
}

TEST_CASE("start_all: one that ran before runs on after a failure") {
  auto good = service();
  good.start();
  mk::Executor bad{mk::Shell{"exit 5"}, mk::BannerCheck{"ready"}, in_time};
  CHECK_THROWS_AS(mk::start_all(good, bad), mk::ProcessExitedWithError);
  CHECK(good.running());
}

TEST_CASE("start_all: one that is given twice is refused, and nothing starts") {
  auto good = service();
  CHECK_THROWS_AS(mk::start_all(good, good), std::invalid_argument);
  CHECK_FALSE(good.running());
  mk::Group group;
  group.add(good);
  group.add(good);
  CHECK_THROWS_AS(group.start(), std::invalid_argument);
  CHECK_FALSE(good.running());
  good.start();
  CHECK_NOTHROW(group.stop());
  CHECK_FALSE(good.running());
}

TEST_CASE("start_all: ranges of executors and of AnyExecutor") {
  std::vector<mk::AnyExecutor> any;
  for (int i = 0; i < 3; ++i) any.push_back(service());
  any.push_back(mk::Executor{{"sleep", "1000"}});
  mk::start_all(any);
  for (auto& one : any) CHECK(one.running());
  mk::stop_all(any);
  for (auto& one : any) CHECK_FALSE(one.running());

  std::vector<decltype(service())> same;
  for (int i = 0; i < 3; ++i) same.push_back(service());
  mk::start_all(same);
  for (auto& one : same) CHECK(one.running());
  mk::stop_all(same);
  std::vector<mk::AnyExecutor> none;
  CHECK_NOTHROW(mk::start_all(none));
}

TEST_CASE("stop_all: the first error is thrown when all are gone") {
  mk::Executor bad{mk::Shell{"trap 'exit 7' TERM; echo ready; while :; do sleep 0.01; done"},
                   mk::BannerCheck{"ready"}, in_time};
  auto good = service();
  mk::start_all(bad, good);
  CHECK_THROWS_AS(mk::stop_all(bad, good), mk::ProcessFinishedWithError);
  CHECK_FALSE(bad.running());
  CHECK_FALSE(good.running());
}

TEST_CASE("async_start_all: executors of a tuple and of a range") {
  auto first = service(), second = service();
  asio::io_context context{1};
  std::optional<std::exception_ptr> started, stopped;
  mk::async_start_all(std::tie(first, second),
                      asio::bind_executor(context, [&](std::exception_ptr e) { started = e; }));
  context.run();
  CHECK(started == std::exception_ptr{});
  CHECK(first.running());
  CHECK(second.running());
  mk::async_stop_all(std::tie(first, second),
                     asio::bind_executor(context, [&](std::exception_ptr e) { stopped = e; }));
  context.restart();
  context.run();
  CHECK(stopped == std::exception_ptr{});
  CHECK_FALSE(first.running());

  std::vector<mk::AnyExecutor> any;
  any.push_back(service());
  any.push_back(mk::Executor{mk::Shell{"exit 5"}, mk::BannerCheck{"ready"}, in_time});
  mk::async_start_all(any,
                      asio::bind_executor(context, [&](std::exception_ptr e) { started = e; }));
  context.restart();
  context.run();
  CHECK_THROWS_AS(std::rethrow_exception(*started), mk::ProcessExitedWithError);
  CHECK_FALSE(any[0].running());
}
