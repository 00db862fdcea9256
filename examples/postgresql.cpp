// SPDX-License-Identifier: BSL-1.0
// PostgreSQL as a test needs it: a cluster of its own, as another user if the test is root, and a
// recovery after a crash.
#include <unistd.h>
#include <iostream>
#include <mirakuru.hpp>
#include <mirakuru/kit.hpp>

namespace mk = mirakuru;

int main() {
  const std::string user = ::geteuid() == 0 ? "postgres" : "";  // it refuses to run as root
  const mk::FreePort port;
  const mk::TempDir dir{"pg"};
  mk::run(mk::Command{.argv = {"initdb", "-D", dir / "data", "-U", "test", "-A", "trust", "-N"},
                      .user = user,
                      .scratch = dir});

  mk::Executor postgres{
      mk::Command{.argv = {"postgres", "-D", dir / "data", "-p", port, "-k", dir},
                  .user = user,
                  .scratch = dir},
      mk::BannerCheck{.pattern = "ready to accept connections", .stream = mk::Stream::err},
      mk::Signals{.stop = SIGINT}};  // its fast shutdown
  postgres.start();

  const auto sql = [&](const char* text) {
    return mk::run({"psql", "-h", dir, "-p", port, "-U", "test", "-Atc", text, "postgres"}).output;
  };
  sql("create table t as select 7 as x");
  postgres.kill().start();  // a crash, and the recovery
  std::cout << sql("select x from t");
  return sql("select x from t") == "7\n" ? 0 : 1;
}
