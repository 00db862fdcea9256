#include <mirakuru/executor.hpp>
#include <mirakuru/kit/free_port.hpp>
#include <mirakuru/ready/http/http.hpp>

namespace mk = mirakuru;

int main() {
  const mk::FreePort port;
  mk::Executor server{{"python3", "-m", "http.server", port, "--bind", "127.0.0.1"},
                      mk::HTTPCheck{port.url("/")}};
  server.start();
  if (!server.running()) return 1;
  server.stop();
  return server.running() ? 1 : 0;
}
