// SPDX-License-Identifier: BSL-1.0
// How do all tests of a GoogleTest program share a service?
// Define it at namespace scope. It starts with the first test that runs.

#include <gtest/gtest.h>

#include <chrono>

#include <mirakuru.hpp>
#include <mirakuru/gtest.hpp>

namespace mk = mirakuru;
using namespace std::chrono_literals;

// A function, so that nothing is made while the tests are listed.
mk::test::Service web{"web", [] {
                        return mk::Executor{
                            {"python3", "-u", "-m", "http.server", "0", "--bind", "127.0.0.1"},
                            mk::BannerCheck{"port \\d+"},
                            mk::TimeoutBudget{.start = 20s, .stop = 5s}};
                      }};

TEST(Web, SaysWhereItServes) {
  EXPECT_NE(web->output().find("Serving HTTP on 127.0.0.1"), std::string::npos);
}

// If the server were dead by now, this test would fail, with the output of the server.
TEST(Web, IsStillThere) { EXPECT_TRUE(web->running()); }
