// SPDX-License-Identifier: BSL-1.0
// How do all tests of a Catch2 program share a service?
// Define it at namespace scope. It starts with the first test that runs.

#define CATCH_CONFIG_MAIN  // for Catch2 2; version 3 has it in a library
#include <mirakuru/catch2.hpp>

#include <chrono>

#include <mirakuru.hpp>

namespace mk = mirakuru;
using namespace std::chrono_literals;

mk::test::Service web{"web", [] {
                        return mk::Executor{
                            {"python3", "-u", "-m", "http.server", "0", "--bind", "127.0.0.1"},
                            mk::BannerCheck{"port \\d+"},
                            mk::TimeoutBudget{.start = 20s, .stop = 5s}};
                      }};

TEST_CASE("the server says where it serves") {
  CHECK(web->output().find("Serving HTTP on 127.0.0.1") != std::string::npos);
}

// If the server were dead by now, this test would fail, with the output of the server.
TEST_CASE("the server is still there") { CHECK(web->running()); }
