// SPDX-License-Identifier: BSL-1.0
#include <mirakuru.hpp>

namespace mk = mirakuru;

// error: mirakuru: a shared service outlives this program, so its output may not go to it

int main() {
#if defined(CONTROL)
  mk::Executor executor{"true", mk::Shared{.name = "a"}, mk::Discard{}};
#else
  mk::Executor executor{"true", mk::Shared{.name = "a"}, mk::Pty{}};
#endif
}
