// SPDX-License-Identifier: BSL-1.0
// A Node service that chooses its port: the test asks for the number when it is ready.
#include <iostream>
#include <mirakuru.hpp>

namespace mk = mirakuru;

int main() {
  mk::Executor node{
      {"node", "-e", "require('http').createServer((q, a) => a.end('hello')).listen(0)"},
      mk::TCPCheck{"localhost", 0}};
  node.start();
  std::cout << "it listens on port " << node.port() << '\n';
  for (const auto& socket : node.ports())
    std::cout << socket.address << " is held by pid " << socket.pid << '\n';
}
