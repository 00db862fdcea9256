// SPDX-License-Identifier: BSL-1.0
// How do I test with a Redis that keeps its data over a restart?
#include <iostream>
#include <mirakuru/services.hpp>

namespace mk = mirakuru;

int main() {
  mk::Redis cache{{.settings = {{"appendonly", "yes"}, {"appendfsync", "always"}}}};
  cache.cli({"set", "key", "a value"});

  cache.server().kill().start();  // a crash
  cache.server().stopped([] {});  // a restart
  cache.server().pause();         // it hangs for a while; stop() would not wait for it
  cache.server().resume();

  std::cout << cache.url() << ": " << cache.cli({"get", "key"});
  return cache.cli({"get", "key"}) == "a value\n" ? 0 : 1;
}
