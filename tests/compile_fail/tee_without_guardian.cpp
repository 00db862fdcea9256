// SPDX-License-Identifier: BSL-1.0
#include <mirakuru.hpp>

namespace mk = mirakuru;

// error: mirakuru: this output is copied by a guardian

int main() {
#if defined(CONTROL)
  mk::Executor executor{"true", mk::Tee{}};
#else
  mk::Executor executor{"true", mk::Tee{}, mk::DirectSpawner{}};
#endif
}
