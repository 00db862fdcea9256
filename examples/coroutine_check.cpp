// SPDX-License-Identifier: BSL-1.0
// How do I write a check that waits for an answer itself? As a coroutine: the deadline cancels it.
#include <unistd.h>
#include <asio.hpp>
#include <iostream>
#include <mirakuru.hpp>
#include <mirakuru/async.hpp>

namespace mk = mirakuru;

/// Ready when the service greets with "220", as a mail server does.
struct Greeting {
  std::string name;  // of an abstract Unix socket

  asio::awaitable<mk::Readiness> operator()(const mk::Process&) const try {
    asio::local::stream_protocol::socket socket{co_await asio::this_coro::executor};
    co_await socket.async_connect({'\0' + name}, asio::use_awaitable);
    std::string line;
    co_await asio::async_read_until(socket, asio::dynamic_buffer(line), '\n', asio::use_awaitable);
    co_return line.starts_with("220 ") ? mk::Readiness{true} : mk::not_ready("it said " + line);
  } catch (const asio::system_error& error) {
    co_return mk::not_ready(error.code().message());
  }
  std::string describe() const { return "the greeting of @" + name; }
};

constexpr auto server = R"(
import socket, sys
listener = socket.socket(socket.AF_UNIX)
listener.bind("\0" + sys.argv[1])
listener.listen()
for text in "421 warming up", "421 nearly there", "220 ready":
    listener.accept()[0].send(text.encode() + b"\n")
listener.accept())";

int main() {
  const std::string name = "mirakuru-greeting-" + std::to_string(::getpid());
  mk::Executor service{{"python3", "-c", server, name}, Greeting{name}};
  std::cout << service.start() << '\n';
}
