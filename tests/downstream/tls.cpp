// SPDX-License-Identifier: BSL-1.0
#include <mirakuru.hpp>
#include <mirakuru/tls.hpp>

int main() {
  const auto probe = &mirakuru::HTTPSCheck::probe;  // needs OpenSSL
  const mirakuru::HTTPSCheck check{"https://localhost/"};
  return probe != nullptr && check.describe() == "HEAD https://localhost/" ? 0 : 1;
}
