// SPDX-License-Identifier: BSL-1.0
// How do I read the port out of the banner?
// A callable on std::string_view takes the place of the regular expression.
#include <asio/ip/tcp.hpp>
#include <iostream>
#include <mirakuru.hpp>
#include <string>
#include <string_view>

namespace mk = mirakuru;

/// The port in "Serving HTTP on 127.0.0.1 port 40123 ...", or 0. A matcher of the CTRE library,
/// `ctre::search<"port (\\d+)">`, fits into a BannerCheck as well.
constexpr int port_in(std::string_view line) {
  constexpr std::string_view before = " port ";
  const auto at = line.find(before);
  if (!line.starts_with("Serving HTTP on ") || at == line.npos) return 0;
  int port = 0;
  for (const char c : line.substr(at + before.size())) {
    if (c < '0' || c > '9') break;
    port = 10 * port + (c - '0');
  }
  return port;
}
static_assert(port_in("Serving HTTP on 127.0.0.1 port 40123 (http://127.0.0.1:40123/)") == 40123);
static_assert(port_in("Traceback (most recent call last):") == 0);

int main() {
  int port = 0;
  const auto names_port = [&port](std::string_view line) { return (port = port_in(line)) != 0; };
  // Python buffers what it prints to a file; -u makes it print at once.
  mk::Executor server{{"python3", "-u", "-m", "http.server", "0", "--bind", "127.0.0.1"},
                      mk::BannerCheck{.pattern = names_port, .stream = mk::Stream::out}};
  server.start();
  std::cout << "it listens on port " << port << '\n';

  asio::ip::tcp::iostream client{"127.0.0.1", std::to_string(port)};
  return client ? 0 : 1;
}
