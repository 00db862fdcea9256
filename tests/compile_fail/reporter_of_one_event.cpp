// SPDX-License-Identifier: BSL-1.0
#include <mirakuru.hpp>

namespace mk = mirakuru;

// error: mirakuru: .*a reporter is called as reporter\(const mirakuru::Event&\)

int main() {
#if defined(CONTROL)
  mk::Executor executor{"true", [](const mk::Event&) {}};
#else
  mk::Executor executor{"true", [](const mk::StillWaiting&) {}};
#endif
}
