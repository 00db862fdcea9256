// SPDX-License-Identifier: BSL-1.0
#include <mirakuru.hpp>

namespace mk = mirakuru;

// error: mirakuru: two reporters are given; take one

int main() {
#if defined(CONTROL)
  mk::Executor executor{"true", [](const mk::Event&) {}};
#else
  mk::Executor executor{"true", [](const mk::Event&) {}, mk::Silent{}};
#endif
}
