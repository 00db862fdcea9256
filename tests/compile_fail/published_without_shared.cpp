// SPDX-License-Identifier: BSL-1.0
#include <mirakuru.hpp>

namespace mk = mirakuru;

// error: mirakuru: published\(\) needs the policy Shared, which publishes values

int main() {
#if defined(CONTROL)
  mk::Executor executor{"true", mk::Shared{.name = "a"}};
#else
  mk::Executor executor{"true"};
#endif
  return executor.published("port").empty();
}
