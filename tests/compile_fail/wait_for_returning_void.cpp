// SPDX-License-Identifier: BSL-1.0
#include <mirakuru.hpp>

namespace mk = mirakuru;

// error: mirakuru: wait_for\(\) takes a predicate .* returns bool

int main() {
#if defined(CONTROL)
  mk::SimpleExecutor executor{"true"};
  executor.wait_for([] { return true; });
#else
  mk::SimpleExecutor executor{"true"};
  executor.wait_for([] {});
#endif
}
