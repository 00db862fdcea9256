// SPDX-License-Identifier: BSL-1.0
#include <mirakuru.hpp>

namespace mk = mirakuru;

// error: mirakuru: wait_for\(\) takes a predicate that is called as

int main() {
#if defined(CONTROL)
  mk::SimpleExecutor executor{"true"};
  executor.wait_for([](const mk::Process&) { return true; });
#else
  mk::SimpleExecutor executor{"true"};
  executor.wait_for([](int) { return true; });
#endif
}
