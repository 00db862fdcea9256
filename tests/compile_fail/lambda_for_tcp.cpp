// SPDX-License-Identifier: BSL-1.0
#include <mirakuru.hpp>

namespace mk = mirakuru;

// error: mirakuru: this executor's type has no place for a policy that was given
// given)

int main() {
#if defined(CONTROL)
  mk::Executor<mk::TCPCheck> executor{"true", mk::TCPCheck{"localhost", 8080}};
#else
  mk::Executor<mk::TCPCheck> executor{"true", [](const mk::Process&) { return true; }};
#endif
}
