// SPDX-License-Identifier: BSL-1.0
#include <unistd.h>
#include <string>

#include <doctest/doctest.h>

#include <mirakuru.hpp>
#include <mirakuru/net/ports.hpp>

#include "errors.hpp"
#include "net.hpp"
#include "words.hpp"

namespace mk = mirakuru;
using namespace std::chrono_literals;
using mk::detail::listening_advice;

TEST_CASE("listening_advice: the ports of a process, but not the one that is asked for") {
  const test::Port port;
  mk::TCPExecutor server{{test::helper(), "listen", "127.0.0.1", port.str()},
                         mk::TCPCheck{"127.0.0.1", port.number()},
                         test::in_time};
  const auto pid = server.start().pid();
  CHECK(listening_advice({pid}, "127.0.0.1", 1) ==
        "it listens on 127.0.0.1:" + port.str() + " (pid " + std::to_string(pid) + ')');
  CHECK(listening_advice({pid}, "127.0.0.1", static_cast<std::uint16_t>(port.number())).empty());
  CHECK(listening_advice({pid}, "localhost", static_cast<std::uint16_t>(port.number())).empty());
  CHECK(listening_advice({pid}, "::1", static_cast<std::uint16_t>(port.number())) ==
        "it listens on 127.0.0.1:" + port.str() + " (pid " + std::to_string(pid) + ')');
  CHECK(listening_advice({}, "127.0.0.1", 1).empty());
  server.stop();
  CHECK(listening_advice({pid}, "127.0.0.1", 1).empty());  // it is gone
}

TEST_CASE("listening_advice: the message of a time-out has the port that the tree listens on") {
  const test::Port asked, real;
  // A shell in between: any process of the tree counts.
  mk::TCPExecutor server{
      mk::Shell{test::helper() + " listen 127.0.0.1 " + real.str() + "; exit $?"},
      mk::TCPCheck{"127.0.0.1", asked.number()}, mk::TimeoutBudget{.start = 2s}};
  const auto message = test::message_of<mk::TimeoutExpired>([&] { server.start(); });
  CHECK(message.find("\n  note: it listens on 127.0.0.1:" + real.str() + " (pid ") !=
        std::string::npos);
}
