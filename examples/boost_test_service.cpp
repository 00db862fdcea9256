// SPDX-License-Identifier: BSL-1.0
// How do all tests of a Boost.Test program share a service?
// Define it at namespace scope. It starts with the first test that runs.

#define BOOST_TEST_MODULE web
#include <boost/test/unit_test.hpp>

#include <chrono>

#include <mirakuru.hpp>
#include <mirakuru/boost_test.hpp>

namespace mk = mirakuru;
using namespace std::chrono_literals;

mk::test::Service web{"web", [] {
                        return mk::Executor{
                            {"python3", "-u", "-m", "http.server", "0", "--bind", "127.0.0.1"},
                            mk::BannerCheck{"port \\d+"},
                            mk::TimeoutBudget{.start = 20s, .stop = 5s}};
                      }};

BOOST_AUTO_TEST_CASE(says_where_it_serves) {
  BOOST_TEST(web->output().find("Serving HTTP on 127.0.0.1") != std::string::npos);
}

// If the server were dead by now, this test would fail, with the output of the server.
BOOST_AUTO_TEST_CASE(is_still_there) { BOOST_TEST(web->running()); }
