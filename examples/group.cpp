// SPDX-License-Identifier: BSL-1.0
// How do I start services that need each other, and see where the time goes?
#include <iostream>
#include <string>

#include <mirakuru.hpp>

namespace mk = mirakuru;

namespace {

/// A server that takes a while to come up, on a port of its own choice.
auto server(const std::string& delay) {
  return mk::Executor{
      mk::Shell{"sleep " + delay + "; exec python3 -m http.server 0 --bind 127.0.0.1"},
      mk::TCPCheck{"127.0.0.1", 0}};
}

}  // namespace

int main() {
  auto db = server("0.3"), cache = server("0.1");
  mk::Group stack;  // refers to these two, and owns the third
  stack.add(db);
  stack.add(cache);
  auto& api = stack.add(server("0"), mk::needs(db, cache));

  stack.start();  // db and cache at once; api when both are ready
  std::cout << stack.timeline().text() << "the api is on port " << api.port() << '\n';
  stack.stop();  // the api first
  return api.running() || db.running() ? 1 : 0;
}
