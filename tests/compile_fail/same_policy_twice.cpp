// SPDX-License-Identifier: BSL-1.0
#include <mirakuru.hpp>

namespace mk = mirakuru;

// error: mirakuru: two budgets are given; take one

int main() {
#if defined(CONTROL)
  mk::Executor executor{"true", mk::TimeoutBudget{}};
#else
  mk::Executor executor{"true", mk::TimeoutBudget{}, mk::TimeoutBudget{}};
#endif
}
