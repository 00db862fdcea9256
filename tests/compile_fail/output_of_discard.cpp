// SPDX-License-Identifier: BSL-1.0
#include <mirakuru.hpp>

namespace mk = mirakuru;

// error: mirakuru: output\(\) needs an output policy that keeps it, such as Capture

int main() {
#if defined(CONTROL)
  mk::Executor executor{"true", mk::Capture{}};
  return executor.output().empty();
#else
  mk::Executor executor{"true", mk::Discard{}};
  return executor.output().empty();
#endif
}
