// SPDX-License-Identifier: BSL-1.0
#include <mirakuru.hpp>

namespace mk = mirakuru;

// error: mirakuru: err_output\(\) needs an output policy that keeps it, such as Capture

int main() {
#if defined(CONTROL)
  mk::Executor executor{"true", mk::Capture{}};
  return executor.err_output().empty();
#else
  mk::Executor executor{"true", mk::Inherit{}};
  return executor.err_output().empty();
#endif
}
