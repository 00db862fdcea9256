// SPDX-License-Identifier: BSL-1.0
#include <mirakuru.hpp>

namespace mk = mirakuru;

// error: mirakuru: two inputs are given; take one

int main() {
#if defined(CONTROL)
  mk::Executor executor{"true", mk::NoInput{}};
#else
  mk::Executor executor{"true", mk::NoInput{}, mk::HeldOpen{}};
#endif
}
