// SPDX-License-Identifier: BSL-1.0
#include <mirakuru.hpp>

namespace mk = mirakuru;

// error: mirakuru: a shared service is kept by a guardian of this machine, which the spawner

int main() {
#if defined(CONTROL)
  mk::Executor executor{"true", mk::Shared{.name = "a"}};
#else
  mk::Executor executor{"true", mk::Shared{.name = "a"}, mk::Podman{.image = "a"}};
#endif
}
