// SPDX-License-Identifier: BSL-1.0
#include <mirakuru.hpp>

namespace mk = mirakuru;

// error: mirakuru: two spawners are given; take one

struct MySpawner {
  mk::DirectProcess spawn(const mk::LaunchRequest& launch) const {
    return mk::DirectSpawner{}.spawn(launch);
  }
};

int main() {
#if defined(CONTROL)
  mk::Executor executor{"true", MySpawner{}};
#else
  mk::Executor executor{"true", mk::DirectSpawner{}, MySpawner{}};
#endif
}
