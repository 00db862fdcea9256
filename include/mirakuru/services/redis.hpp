// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <source_location>
#include <string>
#include <vector>

#include <mirakuru/budget/timeout.hpp>
#include <mirakuru/executor.hpp>
#include <mirakuru/os/config.hpp>
#include <mirakuru/ready/net/talk.hpp>

namespace mirakuru {

/// The choices for a `Redis`; each has a default.
struct RedisOptions {
  /// The directory of `redis-server` and `redis-cli`; empty: PATH.
  std::filesystem::path bin = {};
  /// Lines for redis.conf, such as {{"appendonly", "yes"}}. They replace the defaults: it saves
  /// nothing, and has 16 databases.
  std::map<std::string, std::string> settings = {};
  /// The time for a start, and for a stop.
  TimeoutBudget budget = {.start = std::chrono::seconds{30}, .stop = std::chrono::seconds{10}};
};

/// A Redis server of its own, on a free port of 127.0.0.1: `mk::Redis cache;`. It ends, with all
/// its files, at the end of the object.
class Redis {
 public:
  using Options = RedisOptions;
  using Server = Executor<TalkCheck, TimeoutBudget>;

  /// Starts it. Throws the errors of `Executor::start()`: `SpawnError` if Redis is not installed.
  /// The messages name `where`.
  explicit Redis(const Options& options = {},
                 std::source_location where = std::source_location::current());
  Redis(Redis&& other) noexcept;
  Redis& operator=(Redis&& other) noexcept;
  ~Redis();

  /// "redis://127.0.0.1:PORT/0"; `database` is 0 to 15.
  [[nodiscard]] std::string url(int database = 0) const;
  /// Runs a command of Redis: `cli({"set", "key", "a value"})`. Returns the answer as redis-cli
  /// prints it to a file, with the newline. Throws `ProcessExitedWithError` with the answer if it
  /// is an error, and `TimeoutExpired` after 60 s. Needs redis-cli 7.
  std::string cli(const std::vector<std::string>& words,
                  std::source_location where = std::source_location::current()) const;

  /// The executor: its pid, output, `stop()`, `kill()`, `start()`.
  [[nodiscard]] Server& server() noexcept;
  /// Starts the server again after `stop()`, on the same port. The data stay if it saves them.
  Redis& start(std::source_location where = std::source_location::current());
  /// Stops the server. It saves first if it has a `save` setting.
  Redis& stop();
  /// The port on 127.0.0.1.
  [[nodiscard]] std::uint16_t port() const noexcept;
  /// Its Unix socket; empty if $TMPDIR is too long for one.
  [[nodiscard]] std::filesystem::path socket() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace mirakuru

#if !defined(MIRAKURU_SEPARATE_COMPILATION)
#include <mirakuru/services/redis.ipp>
#endif
