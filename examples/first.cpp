#include <iostream>
#include <mirakuru.hpp>

namespace mk = mirakuru;

int main(int argc, char** argv) {
  const std::string port = argc > 1 ? argv[1] : "8000";
  mk::HTTPExecutor server{{"python3", "-m", "http.server", port, "--bind", "127.0.0.1"},
                          mk::HTTPCheck{"http://127.0.0.1:" + port + "/"}};
  server.start();  // returns the moment the server answers
  std::cout << server.command() << ": pid " << server.pid() << '\n';
  server.stop();  // returns when the whole process tree has ended
  std::cout << (server.running() ? "still there" : "gone") << '\n';
}
