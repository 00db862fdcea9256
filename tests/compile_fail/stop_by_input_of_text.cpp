// SPDX-License-Identifier: BSL-1.0
#include <mirakuru.hpp>

namespace mk = mirakuru;

// error: mirakuru: StopByInput closes the standard input

int main() {
#if defined(CONTROL)
  mk::Executor executor{"cat", mk::StopByInput{}};
#else
  mk::Executor executor{"cat", mk::StopByInput{}, mk::NoInput{}};
#endif
}
