// SPDX-License-Identifier: BSL-1.0
#include <mirakuru.hpp>

namespace mk = mirakuru;

// error: mirakuru: wait_for\(\) takes a predicate

int main() {
  mk::SimpleExecutor executor{"true"};
#if defined(CONTROL)
  executor.wait_for(mk::ExitCheck{});
#else
  executor.wait_for(mk::FailsOn{mk::ExitCheck{}});
#endif
}
