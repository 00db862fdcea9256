// SPDX-License-Identifier: BSL-1.0
#include <mirakuru.hpp>

namespace mk = mirakuru;

// error: mirakuru: this policy fits no axis: it is neither a spawner, a budget, a signal strategy,
// an output nor a readiness check

int main() {
#if defined(CONTROL)
  mk::Executor executor{"true"};
#else
  mk::Executor executor{"true", 8080};
#endif
}
