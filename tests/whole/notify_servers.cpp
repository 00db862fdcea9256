// SPDX-License-Identifier: BSL-1.0
// Servers that say when they are ready, as systemd asks for it.

#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <chrono>
#include <string>

#include <doctest/doctest.h>

#include <mirakuru.hpp>
#include <mirakuru/kit.hpp>

#include "errors.hpp"
#include "net.hpp"
#include "words.hpp"

namespace mk = mirakuru;
using namespace std::chrono_literals;
using test::contains;

namespace {

// A busy disk delays the first start of a database.
constexpr mk::TimeoutBudget budget{.start = 60s, .stop = 30s};

/// True if somebody accepts a connection there, without another try.
bool accepts(const mk::FreePort& port) {
  return test::Endpoint{"127.0.0.1", port.number()}.connect();
}

/// True if Mosquitto answers a client. Source: MQTT 3.1.1, sections 3.1 and 3.2.
bool answers_mqtt(const mk::FreePort& port) {
  const test::Endpoint client{"127.0.0.1", port.number()};
  const timeval limit{.tv_sec = 10, .tv_usec = 0};
  ::setsockopt(client.fd(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  constexpr unsigned char connect[] = {0x10, 12, 0, 4, 'M', 'Q', 'T', 'T', 4, 2, 0, 60, 0, 0};
  unsigned char answer[4] = {};
  return client.connect() && ::send(client.fd(), connect, sizeof connect, MSG_NOSIGNAL) > 0 &&
         ::recv(client.fd(), answer, sizeof answer, MSG_WAITALL) == sizeof answer &&
         answer[0] == 0x20 && answer[3] == 0;
}

/// Starts the server twice. Each time it serves as soon as start() is back. Skipped where it is not
/// installed.
template <class Executor>
void check_ready(Executor& server, const mk::FreePort& port,
                 bool (*serves)(const mk::FreePort&) = accepts) {
  if (!test::starts_if_installed(server)) return;
  CHECK(serves(port));
  server.stop();
  CHECK_FALSE(accepts(port));
  server.start();
  CHECK(serves(port));
  server.stop();
}

}  // namespace

TEST_CASE("NotifyCheck: Redis") {
  const mk::FreePort port;
  const mk::TempDir dir{"redis"};
  auto words = test::redis_server(std::to_string(port.number()), dir.path());
  for (const auto* const word : {"--supervised", "systemd", "--daemonize", "no"})
    words.emplace_back(word);
  mk::Executor redis{words, mk::NotifyCheck{}, budget};
  check_ready(redis, port);

  // Without its option it says nothing, and the message tells so.
  words.resize(words.size() - 4);
  mk::Executor silent{words, mk::NotifyCheck{}, mk::TimeoutBudget{.start = 1s}};
  try {
    silent.start();
    FAIL("it is ready");
  } catch (const mk::TimeoutExpired& error) {
    CHECK(contains(error.what(), "nothing was sent to NOTIFY_SOCKET"));
  } catch (const mk::SpawnError& error) {
    MESSAGE("skipped: ", error.what());
  }
}

TEST_CASE("NotifyCheck: PostgreSQL, as another user") {
  const std::string user = ::geteuid() == 0 ? "postgres" : "";  // it refuses to run as root
  const mk::FreePort port;
  const mk::TempDir dir{"pg"};
  try {
    mk::run(mk::Command{.argv = {"initdb", "-D", dir / "data", "-U", "test", "-A", "trust", "-N"},
                        .user = user,
                        .scratch = dir});
  } catch (const mk::SpawnError& error) {
    MESSAGE("skipped: ", error.what());
    return;
  }
  mk::Executor postgres{
      mk::Command{.argv = {"postgres", "-D", dir / "data", "-p", port, "-k", dir, "-F"},
                  .user = user,
                  .scratch = dir},
      mk::NotifyCheck{}, budget, mk::Signals{.stop = SIGINT}};
  check_ready(postgres, port);

  // One that gives up tells why by its exit code.
  mk::Executor wrong{
      mk::Command{.argv = {"postgres", "-D", dir / "none"}, .user = user, .scratch = dir},
      mk::NotifyCheck{}, budget};
  CHECK_THROWS_AS(wrong.start(), mk::ProcessExitedWithError);
}

TEST_CASE("NotifyCheck: etcd") {
  const mk::FreePort port, peer;
  const auto url = [](const mk::FreePort& of) {  // it takes none with a path
    return "http://127.0.0.1:" + std::to_string(of.number());
  };
  const mk::TempDir dir{"etcd"};
  mk::Executor etcd{
      {"etcd", "--data-dir", dir / "data", "--listen-client-urls", url(port),
       "--advertise-client-urls", url(port), "--listen-peer-urls", url(peer),
       "--initial-advertise-peer-urls", url(peer), "--initial-cluster", "default=" + url(peer)},
      mk::NotifyCheck{},
      budget};
  check_ready(etcd, port);
}

TEST_CASE("NotifyCheck: Mosquitto") {
  const mk::FreePort port;
  const mk::TempDir dir{"mosquitto"};
  const auto config = dir.write("mosquitto.conf", "listener " + std::to_string(port.number()) +
                                                      " 127.0.0.1\nallow_anonymous true\n");
  mk::Executor mosquitto{{"mosquitto", "-c", config}, mk::NotifyCheck{}, budget};
  // It may lose a SIGTERM between its READY=1 and its first client.
  check_ready(mosquitto, port, answers_mqtt);
}
