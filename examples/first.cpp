// SPDX-License-Identifier: BSL-1.0
// How do I start a server of my own on a free port, and stop it again?
#include <iostream>
#include <mirakuru.hpp>
#include <mirakuru/kit.hpp>

namespace mk = mirakuru;

int main() {
  const mk::FreePort port;  // nobody else gets it as long as it lives
  mk::HTTPExecutor server{{"python3", "-m", "http.server", port, "--bind", "127.0.0.1"},
                          mk::HTTPCheck{port.url("/")}};
  server.start();  // returns the moment the server answers
  std::cout << server << ", at " << port.url() << '\n';
  server.stop();  // returns when the whole process tree has ended
  return server.running() ? 1 : 0;
}
