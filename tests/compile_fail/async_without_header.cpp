// SPDX-License-Identifier: BSL-1.0
#include <exception>

#include <mirakuru.hpp>
#if defined(CONTROL)
#include <mirakuru/async.hpp>
#endif

namespace mk = mirakuru;

// error: mirakuru: the Asio forms need #include <mirakuru/async.hpp>

int main() {
  mk::SimpleExecutor executor{"true"};
  executor.async_start([](std::exception_ptr) {});
}
