// SPDX-License-Identifier: BSL-1.0
#include <mirakuru.hpp>

namespace mk = mirakuru;

// error: mirakuru: write\(\) needs an input policy that is held open

int main() {
#if defined(CONTROL)
  mk::Executor executor{"cat"};
  executor.start().write("x");
#else
  mk::Executor executor{"cat", mk::NoInput{}};
  executor.start().write("x");
#endif
}
