// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include <mirakuru/budget/timeout.hpp>
#include <mirakuru/os/config.hpp>

namespace mirakuru {

/// The choices for a `Postgres`; each has a default.
struct PostgresOptions {
  /// The major version, such as "15"; empty: PATH's, or else the newest one.
  std::string version = {};
  /// The directory of `postgres` and `initdb`; empty: PATH, then the places of Debian, Fedora and a
  /// build from source.
  std::filesystem::path bin = {};
  /// Lines for postgresql.conf, such as {{"max_connections", "20"}}. They replace the defaults:
  /// fsync, full_page_writes and synchronous_commit are off. A `kill()` may then lose the last
  /// second; {"synchronous_commit", "on"} keeps it.
  std::map<std::string, std::string> settings = {};
  /// Further words for initdb. A copy in the cache is for the same words alone.
  std::vector<std::string> initdb = {};
  /// The user that runs the server, for root alone; empty: "postgres", or else "nobody".
  std::string user = {};
  /// False: initdb runs each time.
  bool cache = true;
  /// The time for a start, and for a stop.
  TimeoutBudget budget = {.start = std::chrono::minutes{1}, .stop = std::chrono::seconds{30}};
};

}  // namespace mirakuru
