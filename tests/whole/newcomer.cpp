// SPDX-License-Identifier: BSL-1.0
// The servers of a newcomer's first day, each with at most five lines around it. The other ones of
// that day are in examples/. Skipped where a server is not installed.
#include <unistd.h>
#include <chrono>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include <mirakuru.hpp>
#include <mirakuru/kit.hpp>

#include "errors.hpp"
#include "words.hpp"

namespace mk = mirakuru;
using namespace std::chrono_literals;
using test::contains;

namespace {

constexpr mk::TimeoutBudget budget{.start = 60s, .stop = 30s};

/// For servers that refuse root.
std::string other_user() { return ::geteuid() == 0 ? "nobody" : ""; }

std::string url(const mk::FreePort& port) { return "http://127.0.0.1:" + port.str(); }

}  // namespace

TEST_CASE("Newcomer: Mosquitto, and a subscriber that connects again after a restart") {
  const mk::FreePort port;
  const mk::TempDir dir{"mosquitto"};
  const auto config = dir.write("mosquitto.conf", mk::render("listener ${port} 127.0.0.1\n"
                                                             "allow_anonymous true\n",
                                                             {{"port", port}}));
  mk::Executor broker{{"mosquitto", "-c", config}, mk::TCPCheck{"127.0.0.1", port}, budget};
  // A terminal: it would buffer its lines.
  mk::Executor subscriber{{"mosquitto_sub", "-d", "-p", port, "-t", "t"},
                          mk::Pty{},
                          mk::BannerCheck{"received SUBACK"},
                          budget};
  if (!test::starts_if_installed(broker) || !test::starts_if_installed(subscriber)) return;

  broker.stop().start();
  subscriber.wait_for(
      [](const mk::Process& process) {
        const auto text = process.output();
        return text.find("received SUBACK") != text.rfind("received SUBACK");
      },
      30s);
  mk::run({"mosquitto_pub", "-p", port, "-t", "t", "-m", "hello"});
  subscriber.wait_for([&] { return contains(subscriber.output(), "hello"); }, 30s);
}

TEST_CASE("Newcomer: three nodes of etcd start at once, and the cluster survives the loss of one") {
  const mk::FreePort ports[3], peers[3];
  const mk::TempDir dir{"etcd"};
  std::string cluster;
  for (int i = 0; i < 3; ++i)
    cluster += (i > 0 ? ",n" : "n") + std::to_string(i) + "=" + url(peers[i]);
  std::vector<mk::AnyExecutor> nodes;
  for (int i = 0; i < 3; ++i) {
    const auto name = "n" + std::to_string(i);
    nodes.push_back(mk::Executor{
        {"etcd", "--name", name, "--data-dir", dir / name, "--listen-client-urls", url(ports[i]),
         "--advertise-client-urls", url(ports[i]), "--listen-peer-urls", url(peers[i]),
         "--initial-advertise-peer-urls", url(peers[i]), "--initial-cluster", cluster},
        mk::HTTPCheck{.url = ports[i].url("/health"), .body = "\"health\":\"true\""},
        budget});
  }
  try {
    mk::start_all(nodes);  // none is ready without another one
  } catch (const mk::SpawnError& error) {
    MESSAGE("skipped: ", error.what());
    return;
  }
  nodes[0].kill();
  nodes[1].wait_for(mk::HTTPCheck{.url = ports[1].url("/health"), .body = "\"health\":\"true\""},
                    60s);
}

TEST_CASE("Newcomer: nginx before an API before Redis, in order, and stopped in reverse") {
  const mk::FreePort ports[3];
  const mk::TempDir dir{"stack"};
  const auto api_script = dir.write("api.py", R"(
import http.server, socket, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        with socket.create_connection(("127.0.0.1", int(sys.argv[2]))) as redis:
            redis.send(b"INCR visits\r\n")
            answer = redis.recv(64)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(answer)
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
)");
  const auto config = dir.write(
      "nginx.conf", mk::render("daemon off; pid ${dir}/pid; error_log stderr; events {}\n"
                               "http { access_log off; server { listen 127.0.0.1:${web};\n"
                               "location / { proxy_pass http://127.0.0.1:${api}; } } }\n",
                               {{"dir", dir}, {"web", ports[2]}, {"api", ports[1]}}));
  mk::Executor redis{{"redis-server", "--port", ports[0], "--save", "", "--dir", dir},
                     mk::TalkCheck{.port = ports[0], .send = "PING\r\n", .expect = "PONG"},
                     budget};
  mk::Executor api{
      {"python3", api_script, ports[1], ports[0]}, mk::TCPCheck{"127.0.0.1", ports[1]}, budget};
  mk::Executor nginx{mk::Command{.argv = {"nginx", "-p", dir, "-c", config}, .scratch = dir},
                     mk::HTTPCheck{.url = ports[2].url("/"), .body = "^:\\d+"}, budget};
  mk::Group stack;
  stack.add(redis);
  stack.add(api, mk::needs(redis));
  stack.add(nginx, mk::needs(api));
  try {
    stack.start();
  } catch (const mk::SpawnError& error) {
    MESSAGE("skipped: ", error.what());
    return;
  }
  CHECK(redis.timeline().ready <= api.timeline().spawned);
  CHECK(api.timeline().ready <= nginx.timeline().spawned);
  stack.stop();
  CHECK_FALSE((redis.running() || api.running() || nginx.running()));
}

TEST_CASE("Newcomer: sshd with keys of its own") {
  const mk::FreePort port;
  const mk::TempDir dir{"sshd"};
  const auto user = other_user();
  const auto config = dir.write("config", mk::render("Port ${port}\nListenAddress 127.0.0.1\n"
                                                     "HostKey ${dir}/key\nPidFile none\n",
                                                     {{"port", port}, {"dir", dir}}));
  mk::Executor sshd{
      mk::Command{
          .argv = {"/usr/sbin/sshd", "-D", "-e", "-f", config}, .user = user, .scratch = dir},
      mk::TalkCheck{.port = port, .expect = "^SSH-2\\.0-"}, mk::Signals{.accept = {255}}, budget};
  try {
    mk::run(mk::Command{.argv = {"ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", dir / "key"},
                        .user = user,
                        .scratch = dir});
  } catch (const mk::SpawnError& error) {
    MESSAGE("skipped: ", error.what());
    return;
  }
  if (!test::starts_if_installed(sshd)) return;
  CHECK(contains(mk::run({"ssh-keyscan", "-p", port, "127.0.0.1"}).output, "ssh-ed25519"));
}

TEST_CASE("Newcomer: MariaDB on a Unix socket") {
  const mk::TempDir dir{"maria"};
  const auto user = other_user();
  const auto socket = dir / "s";
  mk::Executor server{
      mk::Command{.argv = {"mariadbd", "--no-defaults", "--datadir", dir / "data", "--socket",
                           socket, "--skip-networking"},
                  .env = {{"TMPDIR", dir}},  // the test's may be for another user alone
                  .user = user,
                  .scratch = dir},
      mk::ExecCheck{{"mariadb", "--no-defaults", "-uroot", "-S", socket, "-e", "select 1"}},
      budget};
  try {
    mk::run(mk::Command{.argv = {"mariadb-install-db", "--no-defaults", "--skip-test-db",
                                 "--auth-root-authentication-method=normal",
                                 "--datadir=" + (dir / "data").string()},
                        .env = {{"TMPDIR", dir}},
                        .user = user,
                        .scratch = dir},
            budget);
  } catch (const mk::SpawnError& error) {
    MESSAGE("skipped: ", error.what());
    return;
  }
  if (!test::starts_if_installed(server)) return;
  const auto sql = mk::run({"mariadb", "--no-defaults", "-uroot", "-S", socket, "-Ne", "select 7"});
  CHECK(sql.output == "7\n");
}

TEST_CASE("Newcomer: memcached, with a clean environment and as another user") {
  const mk::FreePort port;
  mk::Executor server{mk::Command{.argv = {"/usr/bin/memcached", "-l", "127.0.0.1", "-p", port},
                                  .clean_env = true,
                                  .user = other_user()},
                      mk::TalkCheck{.port = port, .send = "version\r\n", .expect = "^VERSION "},
                      budget};
  if (!test::starts_if_installed(server)) return;
  CHECK(server.port() == port.number());
}

TEST_CASE("Newcomer: a server of frames that says BUSY until it is warm") {
  const mk::FreePort port;
  const auto frame = [](const std::string& text) {
    return std::string(3, '\0') + static_cast<char>(text.size()) + text;
  };
  mk::Executor server{{"python3", "-c", R"(
import socket, sys
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
answers = [b"BUSY", b"BUSY", b"READY"]
while True:
    connection = listener.accept()[0]
    if connection.recv(8) == b"\0\0\0\4PING":
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        connection.send(len(answer).to_bytes(4, "big") + answer)
)",
                       port},
                      mk::TalkCheck{.port = port, .send = frame("PING"), .expect = "READY"},
                      budget};
  if (!test::starts_if_installed(server)) return;
  server.wait_for(mk::TalkCheck{.port = port, .send = frame("PING"), .expect = "READY$"}, 30s);
}
