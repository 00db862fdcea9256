// SPDX-License-Identifier: BSL-1.0
// How do I start several services at the same time?
// async_start() takes any Asio completion token; && waits for both.
#include <asio.hpp>
#include <asio/experimental/awaitable_operators.hpp>
#include <exception>
#include <iostream>
#include <mirakuru.hpp>
#include <mirakuru/async.hpp>
#include <string>
#include <vector>

namespace mk = mirakuru;
using namespace asio::experimental::awaitable_operators;

int main() {
  const std::vector<std::string> server{"python3", "-u",     "-m",       "http.server",
                                        "0",       "--bind", "127.0.0.1"};
  mk::OutputExecutor api{server, mk::BannerCheck{"Serving HTTP"}};
  mk::OutputExecutor web{server, mk::BannerCheck{"Serving HTTP"}};

  const auto both = [&]() -> asio::awaitable<bool> {
    co_await (api.async_start(asio::use_awaitable) && web.async_start(asio::use_awaitable));
    std::cout << api.output() << web.output();
    const bool running = api.running() && web.running();
    co_await (api.async_stop(asio::use_awaitable) && web.async_stop(asio::use_awaitable));
    co_return running && !api.running() && !web.running();
  };

  asio::io_context context;
  bool good = false;
  asio::co_spawn(context, both(), [&](std::exception_ptr error, bool result) {
    if (error) std::rethrow_exception(error);
    good = result;
  });
  context.run();
  return good ? 0 : 1;
}
