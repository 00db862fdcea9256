// SPDX-License-Identifier: BSL-1.0
#include <mirakuru.hpp>

namespace mk = mirakuru;

// error: mirakuru: two shared services are given; take one

int main() {
#if defined(CONTROL)
  mk::Executor executor{"true", mk::Shared{.name = "a"}};
#else
  mk::Executor executor{"true", mk::Shared{.name = "a"}, mk::Shared{.name = "b"}};
#endif
}
