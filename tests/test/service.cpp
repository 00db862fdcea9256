// SPDX-License-Identifier: BSL-1.0
// Services that run nothing; tests/test/registry.cpp has executors.
#include <source_location>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <vector>

#include <doctest/doctest.h>

#include <mirakuru/error.hpp>
#include <mirakuru/test/service.hpp>

#include "errors.hpp"

namespace mk = mirakuru;
using mk::detail::Registry;
using test::message_of;

namespace {

/// All that has been called, in turn.
std::vector<std::string> calls;
using Calls = std::vector<std::string>;

struct Fake {
  std::string name;
  bool fails = false;

  void start() const {
    calls.push_back("start " + name);
    if (fails) throw std::runtime_error{"no " + name};
  }
  void stop() const { calls.push_back("stop " + name); }
};

/// One whose start takes the place of the call, as an executor's does.
struct Placed {
  unsigned line = 0;

  void start(std::source_location where) { line = where.line(); }
  void stop() {}
};

/// A run of tests.
struct Run {
  Run() {
    calls.clear();
    Registry::instance().begin_run();
  }
  ~Run() { (void)end(); }
  Run(const Run&) = delete;
  Run& operator=(const Run&) = delete;
  static std::vector<std::string> end() { return Registry::instance().end_run(); }
};

}  // namespace

TEST_CASE("Service: it starts with the first test, and ends after the last, in reverse order") {
  mk::test::Service first{"first", Fake{"a"}};
  mk::test::Service second{"second", Fake{"b"}};
  CHECK(first.name() == "first");
  const Run run;
  CHECK(calls == Calls{"start a", "start b"});
  CHECK(first->name == "a");
  CHECK((*second).name == "b");
  CHECK(Run::end().empty());
  CHECK(calls == Calls{"start a", "start b", "stop b", "stop a"});
}

TEST_CASE("Service: before the first test there is none") {
  mk::test::Service service{"early", Fake{"a"}};
  CHECK(message_of<mk::ExecutorError>([&] { (void)*service; }).find("early") != std::string::npos);
  CHECK(message_of<mk::ExecutorError>([&] { (void)service->name; }) != "nothing");
}

TEST_CASE("Service: a function makes it anew for each run") {
  int made = 0;
  mk::test::Service service{"made", [&made] { return Fake{std::to_string(++made)}; }};
  static_assert(std::is_same_v<decltype(service), mk::test::Service<Fake>>);
  CHECK(made == 0);
  for (const auto* name : {"1", "2"}) {
    const Run run;
    CHECK(service->name == name);
  }
  CHECK(made == 2);
}

TEST_CASE("Service: one that another's function uses starts before it") {
  mk::test::Service<Fake>* used = nullptr;
  mk::test::Service user{"user", [&used] { return Fake{"with " + (*used)->name}; }};
  mk::test::Service later{"later", Fake{"b"}};
  used = &later;
  const Run run;
  CHECK(calls == Calls{"start b", "start with b"});
}

TEST_CASE("Service: the place of its definition is the place of its start") {
  const auto line = std::source_location::current().line() + 1;
  mk::test::Service service{"placed", Placed{}};
  const Run run;
  CHECK(service->line == line);
}

TEST_CASE("Service: none starts after one that has failed, and its use tells the reason") {
  mk::test::Service failing{"failing", Fake{"a", true}};
  mk::test::Service next{"next", Fake{"b"}};
  const Run run;
  CHECK(calls == Calls{"start a"});
  CHECK(Registry::instance().start_failure().find("no a") != std::string::npos);
  CHECK(message_of<mk::ExecutorError>([&] { (void)*failing; }).find("no a") != std::string::npos);
  CHECK(Run::end().empty());
  CHECK(calls == Calls{"start a"});
}
