// SPDX-License-Identifier: BSL-1.0
#include <mirakuru.hpp>

namespace mk = mirakuru;

// error: mirakuru: close_input\(\) needs an input policy that is held open

int main() {
#if defined(CONTROL)
  mk::Executor executor{"cat"};
  executor.close_input();
#else
  mk::Executor executor{"cat", mk::InputText{"x"}};
  executor.close_input();
#endif
}
