// SPDX-License-Identifier: BSL-1.0
#include <chrono>

#include <mirakuru.hpp>

namespace mk = mirakuru;

// error: mirakuru: a policy of this executor's type has to be given

struct Within {
  explicit Within(std::chrono::seconds time) : start{time}, stop{time} {}

  std::chrono::seconds start, stop;
};

int main() {
#if defined(CONTROL)
  mk::Executor<Within> executor{"true", Within{std::chrono::seconds{1}}};
#else
  mk::Executor<Within> executor{"true"};
#endif
}
