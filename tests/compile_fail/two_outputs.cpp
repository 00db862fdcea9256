// SPDX-License-Identifier: BSL-1.0
#include <mirakuru.hpp>

namespace mk = mirakuru;

// error: mirakuru: two outputs are given; take one

int main() {
#if defined(CONTROL)
  mk::Executor executor{"true", mk::Inherit{}};
#else
  mk::Executor executor{"true", mk::Inherit{}, mk::Discard{}};
#endif
}
