// SPDX-License-Identifier: BSL-1.0
#include <mirakuru.hpp>

namespace mk = mirakuru;

// The class has the remedy beside its name, which Clang shows, too.
// error: Executor.* (without an argument|requires template argument)

struct Fixture {
#if defined(CONTROL)
  mk::AnyExecutor server{mk::Executor{"true", mk::TCPCheck{"localhost", 8080}, mk::NoInput{}}};
  mk::TCPExecutor other{"true", mk::TCPCheck{"localhost", 8080}};
#else
  mk::Executor server{"true", mk::TCPCheck{"localhost", 8080}, mk::NoInput{}};
#endif
};

int main() {}
