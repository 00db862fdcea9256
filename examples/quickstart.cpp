// SPDX-License-Identifier: BSL-1.0
// Starts a real HTTP server, waits until it answers, talks to it and stops it. Then does the same
// with an executor that is composed of other policies, and with a group of two services.

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <iostream>
#include <string>
#include <string_view>
#include <vector>

#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/steady_timer.hpp>

#include <mirakuru.hpp>

namespace mk = mirakuru;
using namespace std::chrono_literals;
using asio::ip::tcp;

namespace {

/// The server for a machine without Python: answers each request with 200, and logs it.
int serve(unsigned short port) {
  asio::io_context context;
  asio::steady_timer{context, 200ms}.wait();  // it takes a while to come up
  tcp::acceptor acceptor{context, {asio::ip::address_v4::loopback(), port}};
  for (;;) {
    tcp::iostream client;
    acceptor.accept(client.socket());
    std::string request, header;
    std::getline(client, request);
    while (std::getline(client, header) && header != "\r") {
    }
    std::cerr << request << std::endl;
    client << "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n" << std::flush;
  }
}

/// A port that is free now.
unsigned short free_port() {
  asio::io_context context;
  return tcp::acceptor{context, {asio::ip::address_v4::loopback(), 0}}.local_endpoint().port();
}

bool python_has_a_server() {
  try {
    return mk::SimpleExecutor{"python3 -c 'import http.server'"}.start().wait().exit_code() == 0;
  } catch (const mk::SpawnError&) {
    return false;
  }
}

/// The command that starts a server on `port`.
std::vector<std::string> server_on(unsigned short port) {
  static const bool python = python_has_a_server();
  const auto number = std::to_string(port);
  if (python) return {"python3", "-m", "http.server", number, "--bind", "127.0.0.1"};
  return {"/proc/self/exe", "serve", number};
}

/// The status line of the answer to a GET of /.
std::string get(unsigned short port) {
  tcp::iostream server{"127.0.0.1", std::to_string(port)};
  server << "GET / HTTP/1.0\r\n\r\n" << std::flush;
  std::string status;
  std::getline(server, status);
  while (!status.empty() && status.back() == '\r') status.pop_back();
  return status;
}

/// "check 1 held after 203 ms (22 attempts), check 2 after 205 ms (1 attempt)".
std::string moments(const mk::Timeline& timeline) {
  std::string text;
  for (std::size_t i = 0; i < timeline.checks.size(); ++i) {
    const auto& check = timeline.checks[i];
    text += (i > 0 ? ", check " : "check ") + std::to_string(i + 1) + " held after " +
            std::to_string((check.passed - timeline.spawned) / 1ms) + " ms (" +
            std::to_string(check.attempts) + (check.attempts == 1 ? " attempt)" : " attempts)");
  }
  return text;
}

template <class Executor>
int show(Executor& server, unsigned short port, std::string_view awaited) {
  using Clock = std::chrono::steady_clock;
  const auto since = [](Clock::time_point begin) {
    return std::to_string((Clock::now() - begin) / 1ms) + " ms";
  };
  std::cout << "  starting     " << server.command() << "\n  waiting for  " << awaited << std::endl;
  auto begin = Clock::now();
  server.start();
  const auto pid = server.pid();
  std::cout << "  ready        after " << since(begin) << ", pid " << pid << '\n'
            << "  in detail    " << moments(server.timeline()) << '\n'
            << "  GET /        " << get(port) << std::endl;
  begin = Clock::now();
  server.stop();
  const bool process_left = ::kill(pid, 0) == 0 || errno != ESRCH;
  const bool port_open = !get(port).empty();
  std::cout << "  stopped      after " << since(begin) << "; the process is "
            << (process_left ? "still there" : "gone") << ", the port is "
            << (port_open ? "open" : "closed") << "\n\n";
  return process_left || port_open ? 1 : 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 3 && std::string_view{argv[1]} == "serve")
    return serve(static_cast<unsigned short>(std::stoi(argv[2])));

  std::cout << "An HTTPExecutor: ready when the port is open and the URL answers\n";
  auto port = free_port();
  auto url = "http://127.0.0.1:" + std::to_string(port) + "/";
  mk::HTTPExecutor ready_made{server_on(port), mk::HTTPCheck{url}};
  int left = show(ready_made, port, "the port, then a 2xx for HEAD " + url);

  std::cout << "An executor of your own: checks, budget and signals in any order\n";
  port = free_port();
  url = "http://127.0.0.1:" + std::to_string(port) + "/";
  const auto has_logged = [](const mk::Process& process) {
    return process.err_output().find("GET /") != std::string::npos;
  };
  mk::Executor composed{server_on(port), mk::TimeoutBudget{.start = 10s, .stop = 2s},
                        mk::HTTPCheck{.url = url, .status = "(200|404)", .method = "GET"},
                        has_logged, mk::Signals{.stop = SIGINT}};
  left +=
      show(composed, port, "a 200 or 404 for GET " + url + ", and its line in the server's log");

  std::cout << "A group: the second service starts when the first is ready\n";
  const auto on = [](unsigned short number) {
    return mk::TCPExecutor{server_on(number), mk::TCPCheck{"127.0.0.1", number}};
  };
  auto first = on(free_port()), second = on(free_port());
  mk::Group group;
  group.add(first);
  group.add(second, mk::needs(first));
  group.start();
  std::cout << group.timeline().text();
  group.stop();
  return left + (first.running() || second.running() ? 1 : 0);
}
