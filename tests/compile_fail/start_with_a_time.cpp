// SPDX-License-Identifier: BSL-1.0
#include <mirakuru.hpp>

namespace mk = mirakuru;
using namespace std::chrono_literals;

// error: mirakuru: start\(\) takes no time; give the executor a TimeoutBudget

int main() {
#if defined(CONTROL)
  mk::Executor{"true", mk::TimeoutBudget{.start = 5s}}.start();
#else
  mk::Executor{"true"}.start(5s);
#endif
}
