// SPDX-License-Identifier: BSL-1.0
#include <mirakuru.hpp>

namespace mk = mirakuru;

// error: mirakuru: wait_for\(\) takes a predicate

int main() {
#if defined(CONTROL)
  mk::SimpleExecutor executor{"true"};
  executor.wait_for([&] { return executor.running(); });
#else
  mk::SimpleExecutor executor{"true"};
  executor.wait_for(executor.running());
#endif
}
