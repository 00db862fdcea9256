// SPDX-License-Identifier: BSL-1.0
#include <mirakuru.hpp>

namespace mk = mirakuru;

// error: mirakuru: a text or a number is no policy: the words of a command stand in braces

int main() {
#if defined(CONTROL)
  mk::Executor executor{{"server", "--port", "80"}};
#else
  mk::Executor executor{"server", "--port"};
#endif
}
