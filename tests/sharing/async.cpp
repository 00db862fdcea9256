// SPDX-License-Identifier: BSL-1.0
#include <chrono>
#include <exception>
#include <string>

#include <doctest/doctest.h>

#include <mirakuru.hpp>
#include <mirakuru/async.hpp>

#include <asio/bind_cancellation_slot.hpp>
#include <asio/bind_executor.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/io_context.hpp>
#include <asio/steady_timer.hpp>

#include "net.hpp"
#include "process.hpp"
#include "time.hpp"
#include "words.hpp"

namespace mk = mirakuru;
using namespace std::chrono_literals;

namespace {

struct Service {
  std::string mark = test::mark();
  int port = test::free_port();

  auto executor(const std::string& delay) const {
    return mk::Executor{
        test::helper("listen", "127.0.0.1", std::to_string(port), "delay=" + delay, mark),
        mk::TCPCheck{"127.0.0.1", port}, mk::Shared{.name = mark, .linger = 0s}};
  }
  bool all_gone() const {
    return test::eventually([&] { return test::processes_matching(mark) == 0; });
  }
};

// The message of an error; "none" for none.
std::string text_of(const std::exception_ptr& error) try {
  if (error) std::rethrow_exception(error);
  return "none";
} catch (const std::exception& known) {
  return known.what();
}

}  // namespace

TEST_CASE("async_start: of shared executors one starts the service, the other joins it") {
  const Service service;
  auto one = service.executor("100"), two = service.executor("100");
  asio::io_context context;
  std::string errors;
  const auto note = [&](std::exception_ptr error) { errors += text_of(error) + ';'; };
  one.async_start(asio::bind_executor(context, note));
  two.async_start(asio::bind_executor(context, note));
  context.run();
  CHECK(errors == "none;none;");
  CHECK(one.pid() != 0);
  CHECK(one.pid() == two.pid());

  context.restart();
  one.async_stop(asio::bind_executor(context, note));
  context.run();
  CHECK_FALSE(one.running());
  CHECK(two.running());
  two.kill();
  CHECK(service.all_gone());
}

TEST_CASE("async_start: a starter that is cancelled gives way to those that wait") {
  const Service service;
  auto one = service.executor("1500"), two = service.executor("1500"),
       three = service.executor("0");
  asio::io_context context;
  std::string first, second, third;
  asio::cancellation_signal signals[2];
  one.async_start(asio::bind_cancellation_slot(
      signals[0].slot(),
      asio::bind_executor(context, [&](std::exception_ptr error) { first = text_of(error); })));
  asio::steady_timer later{context, 50ms}, cancel{context, 150ms};
  later.async_wait([&](auto) {
    two.async_start(
        asio::bind_executor(context, [&](std::exception_ptr error) { second = text_of(error); }));
    three.async_start(asio::bind_cancellation_slot(
        signals[1].slot(),
        asio::bind_executor(context, [&](std::exception_ptr error) { third = text_of(error); })));
  });
  cancel.async_wait([&](auto) {
    signals[0].emit(asio::cancellation_type::terminal);
    signals[1].emit(asio::cancellation_type::terminal);
  });
  context.run();
  const auto aborted = asio::error_code{asio::error::operation_aborted}.message();
  CHECK(first == aborted);
  CHECK(third == aborted);
  CHECK(second == "none");
  CHECK_FALSE(one.running());
  CHECK_FALSE(three.running());
  CHECK(two.running());
  two.stop();
  CHECK(service.all_gone());
}
