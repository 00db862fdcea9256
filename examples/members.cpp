// SPDX-License-Identifier: BSL-1.0
// How do I make an executor a member of a class?
#include <iostream>
#include <mirakuru.hpp>

namespace mk = mirakuru;

static auto make_server(const char* delay) { return mk::Executor{{"sleep", delay}, mk::NoInput{}}; }

/// A member needs its whole type, so `mk::Executor server{...}` does not compile here.
struct Fixture {
  // An alias, with its check, a TimeoutBudget, Signals and Capture.
  mk::OutputExecutor greeter{mk::Shell{"echo hello; exec sleep 60"}, mk::BannerCheck{"hello"}};

  // Any policies: AnyExecutor owns an executor of any type.
  mk::AnyExecutor filter{mk::Executor{"cat", mk::StopByInput{}, mk::HeldOpen{}}};

  // Or the type of a function. It has all members of the executor.
  decltype(make_server("")) server = make_server("60");

  Fixture() { mk::start_all(greeter, filter, server); }
};

int main() {
  Fixture fixture;
  fixture.filter.write("typed\n");
  fixture.filter.wait_for([](const mk::Process& process) { return process.output() == "typed\n"; });
  std::cout << fixture.greeter.output() << fixture.filter.output() << fixture.server << '\n';
}
