// SPDX-License-Identifier: BSL-1.0
#include <mirakuru.hpp>

namespace mk = mirakuru;

// error: mirakuru: a readiness check is called .* returns bool, mirakuru::Readiness or

int main() {
#if defined(CONTROL)
  mk::Executor executor{"true", [](const mk::Process&) { return true; }};
#else
  mk::Executor executor{"true", [](const mk::Process&) {}};
#endif
}
