// clang-format off
#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/use_awaitable.hpp>
#include <mirakuru/async.hpp>
// clang-format on

asio::awaitable<void> start(mirakuru::SimpleExecutor& server) {
  co_await server.async_start(asio::use_awaitable);
}

void spawn(asio::io_context& context, mirakuru::SimpleExecutor& server) {
  asio::co_spawn(context, start(server), asio::detached);
}
