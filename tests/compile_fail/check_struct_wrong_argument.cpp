// SPDX-License-Identifier: BSL-1.0
#include <mirakuru.hpp>

namespace mk = mirakuru;

// error: mirakuru: a readiness check is called as check\(const mirakuru::Process&\)

struct HasPid {
#if defined(CONTROL)
  bool operator()(const mk::Process& process) const { return process.pid() > 0; }
#else
  bool operator()(mk::Process& process) const { return process.pid() > 0; }
#endif
};

int main() { mk::Executor executor{"true", HasPid{}}; }
