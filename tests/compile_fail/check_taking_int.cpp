// SPDX-License-Identifier: BSL-1.0
#include <mirakuru.hpp>

namespace mk = mirakuru;

// error: mirakuru: a readiness check is called as check\(const mirakuru::Process&\)

int main() {
#if defined(CONTROL)
  mk::Executor executor{"true", [](const mk::Process& process) { return process.pid() > 0; }};
#else
  mk::Executor executor{"true", [](int pid) { return pid > 0; }};
#endif
}
