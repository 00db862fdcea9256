// SPDX-License-Identifier: BSL-1.0
#include <mirakuru.hpp>

namespace mk = mirakuru;

// error: mirakuru: a text or a number is no policy

int main() {
#if defined(CONTROL)
  mk::TCPExecutor executor{"true", mk::TCPCheck{"localhost", 8080}};
#else
  mk::TCPExecutor executor{"true", mk::TCPCheck{"localhost", 8080}, 8080};
#endif
}
