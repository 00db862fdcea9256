// SPDX-License-Identifier: BSL-1.0
#include <mirakuru.hpp>

namespace mk = mirakuru;

// error: mirakuru: stragglers\(\) needs a spawner that can tell, such as GuardedSpawner

int main() {
#if defined(CONTROL)
  mk::Executor executor{"true", mk::GuardedSpawner{}};
  return executor.stragglers().empty();
#else
  mk::Executor executor{"true", mk::DirectSpawner{}};
  return executor.stragglers().empty();
#endif
}
