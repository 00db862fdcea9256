// SPDX-License-Identifier: BSL-1.0
// A Node service: a port in its environment, no variable of the test's own, and a line after an
// action.
#include <iostream>
#include <mirakuru.hpp>
#include <mirakuru/kit.hpp>

namespace mk = mirakuru;

int main() {
  const mk::FreePort port;
  const mk::TempDir dir{"node"};
  const auto script = dir.write("server.js", R"(
require('http').createServer((request, response) => {
  console.log('asked for ' + request.url, process.env.SECRET);
  response.end('hello');
}).listen(process.env.PORT, '127.0.0.1');
)");

  mk::HTTPExecutor node{
      mk::Command{.argv = {"node", script}, .env = {{"PORT", port}, {"SECRET", mk::unset}}},
      mk::HTTPCheck{port.url("/ready")}};
  node.start();

  node.wait_for(
      [&] { return node.output().find("asked for /ready undefined") != std::string::npos; });
  std::cout << node.output();
}
