// SPDX-License-Identifier: BSL-1.0
// How do test programs that run side by side, as under `ctest -j`, share one service?
#include <filesystem>
#include <iostream>

#include <mirakuru.hpp>
#include <mirakuru/kit.hpp>

namespace mk = mirakuru;
using namespace std::chrono_literals;

namespace {

/// Each test program calls this. The first one's port counts, and the others are told of it.
auto shared_site(const mk::FreePort& port) {
  return mk::Executor{mk::Argv{"python3", "-m", "http.server", port, "--bind", "127.0.0.1"},
                      mk::TCPCheck{"127.0.0.1", port},
                      mk::Shared{.name = "site",
                                 .scope = std::filesystem::current_path(),  // this build alone
                                 .linger = 500ms,
                                 .publish = {{"port", port}}}};
}

}  // namespace

int main() {
  const mk::FreePort one_port, other_port;
  auto one = shared_site(one_port), other = shared_site(other_port);  // as in two programs
  one.start();                                                        // starts the service
  other.start();                                                      // joins it
  std::cout << "both use port " << other.published("port") << ", pid " << other.pid() << '\n';
  one.stop();  // leaves; the service ends half a second after the last one
  return other.running() && other.port() == one_port ? 0 : 1;
}
