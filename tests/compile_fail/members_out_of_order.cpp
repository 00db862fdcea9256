// SPDX-License-Identifier: BSL-1.0
#include <mirakuru.hpp>

namespace mk = mirakuru;

// Clang warns; as an error it names both members, too.
// error: declaration order

#if defined(__clang__)
#pragma clang diagnostic error "-Wreorder-init-list"
#endif

int main() {
#if defined(CONTROL)
  mk::HTTPCheck{.url = "http://localhost/", .status = "200", .method = "GET"};
#else
  mk::HTTPCheck{.url = "http://localhost/", .method = "GET", .status = "200"};
#endif
}
