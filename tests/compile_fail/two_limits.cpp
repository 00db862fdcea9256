// SPDX-License-Identifier: BSL-1.0
#include <mirakuru.hpp>

namespace mk = mirakuru;

// error: mirakuru: two limits are given; take one

int main() {
#if defined(CONTROL)
  mk::Executor executor{"true", mk::Limits{}};
#else
  mk::Executor executor{"true", mk::Limits{}, mk::Unlimited{}};
#endif
}
