// SPDX-License-Identifier: BSL-1.0
#include <mirakuru.hpp>

namespace mk = mirakuru;

// error: mirakuru: a policy of this executor's type has to be given

int main() {
#if defined(CONTROL)
  mk::Executor<mk::TCPCheck, mk::TCPCheck> executor{"true", mk::TCPCheck{"localhost", 8080},
                                                    mk::TCPCheck{"localhost", 8081}};
#else
  mk::Executor<mk::TCPCheck, mk::TCPCheck> executor{"true", mk::TCPCheck{"localhost", 8080}};
#endif
}
