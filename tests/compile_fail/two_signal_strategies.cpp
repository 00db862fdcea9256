// SPDX-License-Identifier: BSL-1.0
#include <chrono>
#include <csignal>

#include <mirakuru.hpp>

namespace mk = mirakuru;

// error: mirakuru: two signal strategies are given; take one

int main() {
#if defined(CONTROL)
  mk::Executor executor{"true", mk::SignalLadder{{SIGINT, std::chrono::seconds{1}}}};
#else
  mk::Executor executor{"true", mk::Signals{}, mk::SignalLadder{{SIGINT, std::chrono::seconds{1}}}};
#endif
}
