// SPDX-License-Identifier: BSL-1.0
#include <mirakuru.hpp>

namespace mk = mirakuru;

// error: mirakuru: the command comes first

int main() {
#if defined(CONTROL)
  mk::Executor executor{mk::Command{.argv = "server"}, mk::TCPCheck{"localhost", 80}};
#else
  mk::Executor executor{mk::TCPCheck{"localhost", 80}, mk::Command{.argv = "server"}};
#endif
}
