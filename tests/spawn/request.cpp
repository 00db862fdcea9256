// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <csignal>
#include <string>

#include <doctest/doctest.h>

#include <mirakuru/spawn/request.hpp>

namespace mk = mirakuru;
using mk::detail::ask_for;
using mk::detail::ResolvedCommand;

TEST_CASE("ask_for: the request has all of the command") {
  const ResolvedCommand command{mk::Command{.argv = "server --port 1",
                                            .cwd = "/tmp",
                                            .env = {{"A", "1"}, {"B", mk::unset}},
                                            .clean_env = true,
                                            .user = "nobody"}};
  const auto request = ask_for(command);
  CHECK(request.words == command.words());
  CHECK(request.cwd == "/tmp");
  CHECK(request.env.at("A") == "1");
  CHECK(std::ranges::count(request.unset, "B") == 1);
  CHECK(request.clean_env);
  CHECK(request.user == "nobody");
  CHECK(request.id == command.id());
}

TEST_CASE("ask_for: the test's own supervisor is unset, but not one that the user names") {
  CHECK(std::ranges::count(ask_for({"server"}).unset, "NOTIFY_SOCKET") == 1);
  const auto named = ask_for(mk::Command{.argv = "server", .env = {{"NOTIFY_SOCKET", "@mine"}}});
  CHECK(named.env.at("NOTIFY_SOCKET") == "@mine");
  CHECK(std::ranges::count(named.unset, "NOTIFY_SOCKET") == 0);
}

TEST_CASE("request_of: a command beside a service is killed with its owner") {
  const auto request = mk::detail::request_of({"tool"}, 5, 6);
  CHECK(request.in == 5);
  CHECK(request.out == 6);
  CHECK(request.err == 6);
  REQUIRE(request.steps.size() == 1);
  CHECK(request.steps[0].signal == SIGKILL);
}
