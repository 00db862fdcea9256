// SPDX-License-Identifier: BSL-1.0
#include <chrono>

#include <mirakuru.hpp>

namespace mk = mirakuru;

// error: mirakuru: two budgets are given; take one

struct Hurried {
  std::chrono::seconds start{1}, stop{1};
};

int main() {
#if defined(CONTROL)
  mk::Executor executor{"true", Hurried{}};
#else
  mk::Executor executor{"true", Hurried{}, mk::TimeoutBudget{}};
#endif
}
