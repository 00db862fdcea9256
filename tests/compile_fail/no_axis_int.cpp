// SPDX-License-Identifier: BSL-1.0
#include <mirakuru.hpp>

namespace mk = mirakuru;

// error: mirakuru: a text or a number is no policy

int main() {
#if defined(CONTROL)
  mk::Executor executor{"true"};
#else
  mk::Executor executor{"true", 8080};
#endif
}
