// SPDX-License-Identifier: BSL-1.0
#include <mirakuru.hpp>

namespace mk = mirakuru;

// error: mirakuru: this executor's type has no place for a policy that was given

int main() {
#if defined(CONTROL)
  mk::TCPExecutor executor{"true", mk::TCPCheck{"localhost", 8080}};
#else
  mk::TCPExecutor executor{"true", mk::TCPCheck{"localhost", 8080},
                           mk::TCPCheck{"localhost", 8081}};
#endif
}
