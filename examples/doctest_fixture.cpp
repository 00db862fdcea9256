// SPDX-License-Identifier: BSL-1.0
// How do I use it in my test framework?
// Make the executor a member of the fixture. Start it in the constructor; the destructor stops it.

#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>
#include <asio/ip/tcp.hpp>
#include <mirakuru.hpp>

namespace mk = mirakuru;
using namespace std::chrono_literals;

/// A web server that chooses its own port. A member needs its type in full: an alias, such as
/// `mk::TCPExecutor`, or `mk::Executor<...>`.
struct WebServer {
  mk::TCPExecutor server{{"python3", "-m", "http.server", "0", "--bind", "127.0.0.1"},
                         mk::TCPCheck{"127.0.0.1", 0},  // it chooses the port
                         mk::TimeoutBudget{.start = 20s, .stop = 5s}};

  WebServer() { server.start(); }

  std::string get(const std::string& path) {
    asio::ip::tcp::iostream stream{"127.0.0.1", std::to_string(server.port())};
    stream << "GET " << path << " HTTP/1.0\r\n\r\n" << std::flush;
    std::string status;
    std::getline(stream, status, '\r');
    return status;
  }
};

TEST_CASE_FIXTURE(WebServer, "WebServer: the root page is there") {
  CHECK(get("/") == "HTTP/1.0 200 OK");
}

TEST_CASE_FIXTURE(WebServer, "WebServer: a missing page gives 404 and a line in the log") {
  CHECK(get("/missing") == "HTTP/1.0 404 File not found");
  CHECK(server.err_output().find("GET /missing") != std::string::npos);
}
