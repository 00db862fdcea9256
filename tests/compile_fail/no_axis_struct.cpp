// SPDX-License-Identifier: BSL-1.0
#include <chrono>

#include <mirakuru.hpp>

namespace mk = mirakuru;

// error: mirakuru: this policy fits no axis

struct HalfBudget {
  std::chrono::seconds start{1};
};

int main() {
#if defined(CONTROL)
  mk::Executor executor{"true", mk::TimeoutBudget{.start = HalfBudget{}.start}};
#else
  mk::Executor executor{"true", HalfBudget{}};
#endif
}
