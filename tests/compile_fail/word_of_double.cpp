// SPDX-License-Identifier: BSL-1.0
#include <mirakuru.hpp>

namespace mk = mirakuru;

// error: mirakuru: a word is a string, a path, an integer or a port

int main() {
#if defined(CONTROL)
  mk::Executor executor{{"sleep", 3}};
#else
  mk::Executor executor{{"sleep", 0.5}};
#endif
}
