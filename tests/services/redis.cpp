// SPDX-License-Identifier: BSL-1.0
#include <sys/types.h>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>

#include <doctest/doctest.h>

#include <mirakuru.hpp>
#include <mirakuru/kit.hpp>
#include <mirakuru/services/redis.hpp>

#include "errors.hpp"
#include "files.hpp"
#include "net.hpp"
#include "process.hpp"
#include "words.hpp"

namespace mk = mirakuru;
namespace fs = std::filesystem;
using test::contains;

namespace {

/// A Redis; none, with a message, where it is not installed.
std::optional<mk::Redis> redis(const mk::Redis::Options& options = {}) {
  try {
    return mk::Redis{options};
  } catch (const mk::SpawnError& error) {
    MESSAGE("skipped: ", error.what());
    return {};
  }
}

}  // namespace

TEST_CASE("Redis: it is a server of its own, and nothing of it is left") {
  auto first = redis();
  auto second = redis();
  if (!first || !second) return;
  CHECK(first->port() != second->port());
  CHECK(first->url() == "redis://127.0.0.1:" + std::to_string(first->port()) + "/0");
  CHECK(first->url(3).ends_with("/3"));
  CHECK(first->cli({"set", "a key", "a value"}) == "OK\n");
  CHECK(first->cli({"get", "a key"}) == "a value\n");
  CHECK(second->cli({"dbsize"}) == "0\n");
  CHECK(mk::run({"redis-cli", "-s", first->socket(), "dbsize"}).output == "1\n");

  const pid_t pid = first->server().pid();
  const auto directory = first->socket().parent_path();
  CHECK(test::alive(pid));
  first.reset();
  CHECK_FALSE(test::alive(pid));
  CHECK_FALSE(fs::exists(directory));
  CHECK(second->cli({"ping"}) == "PONG\n");
}

TEST_CASE("Redis: an error of a command is thrown with its text, and names the call") {
  const auto cache = redis();
  if (!cache) return;
  const auto message =
      test::message_of<mk::ProcessExitedWithError>([&] { cache->cli({"lpush", "list"}); });
  CHECK(contains(message, "wrong number of arguments for 'lpush' command"));
  CHECK(contains(message, "redis.cpp:"));
}

TEST_CASE("Redis: settings replace the defaults, and saved data outlive a crash") {
  auto cache = redis({.settings = {{"appendonly", "yes"},
                                   {"appendfsync", "always"},
                                   {"databases", "3"},
                                   {"save", "3600 1 300 100"}}});
  if (!cache) return;
  CHECK(cache->cli({"config", "get", "databases"}) == "databases\n3\n");
  CHECK(cache->cli({"config", "get", "save"}) == "save\n3600 1 300 100\n");
  CHECK(cache->cli({"set", "key", "kept"}) == "OK\n");
  const pid_t before = cache->server().pid();
  cache->server().kill();
  CHECK_FALSE(cache->server().running());
  cache->start();
  CHECK(cache->server().pid() != before);
  CHECK(cache->cli({"get", "key"}) == "kept\n");
  cache->stop().start();
  CHECK(cache->cli({"get", "key"}) == "kept\n");

  CHECK_THROWS_AS(mk::Redis({.settings = {{"no-such-setting", "1"}}}), mk::ProcessExitedWithError);
}

TEST_CASE("Redis: it is ready with a password, too") {
  const auto cache = redis({.settings = {{"requirepass", "secret"}}});
  if (cache) CHECK(cache->cli({"--pass", "secret", "--no-auth-warning", "ping"}) == "PONG\n");
}

TEST_CASE("Redis: it can be moved") {
  auto cache = redis();
  if (!cache) return;
  mk::Redis moved{std::move(*cache)};
  CHECK(moved.cli({"ping"}) == "PONG\n");
  const pid_t pid = moved.server().pid();
  moved = mk::Redis{};
  CHECK_FALSE(test::alive(pid));
  CHECK(moved.cli({"ping"}) == "PONG\n");
}

TEST_CASE("Redis: it has no socket where $TMPDIR is too long for one") {
  const test::TempDir directory;
  const auto deep = directory / std::string(100, 'x');
  fs::create_directory(deep);
  ::setenv("TMPDIR", deep.c_str(), 1);
  {
    const auto cache = redis();
    if (cache) {
      CHECK(cache->socket().empty());
      CHECK(cache->cli({"ping"}) == "PONG\n");
    }
  }
  ::unsetenv("TMPDIR");
}

TEST_CASE("Redis: a directory without its programs is a SpawnError") {
  CHECK_THROWS_AS(mk::Redis({.bin = "/nonexistent"}), mk::SpawnError);
}
