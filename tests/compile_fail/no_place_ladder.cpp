// SPDX-License-Identifier: BSL-1.0
#include <chrono>
#include <csignal>

#include <mirakuru.hpp>

namespace mk = mirakuru;

// error: mirakuru: this executor's type has no place for a policy that was given

int main() {
#if defined(CONTROL)
  mk::Executor executor{"true", mk::SignalLadder{{SIGINT, std::chrono::seconds{1}}}};
#else
  mk::SimpleExecutor executor{"true", mk::SignalLadder{{SIGINT, std::chrono::seconds{1}}}};
#endif
}
