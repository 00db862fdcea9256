// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/types.h>
#include <chrono>
#include <source_location>
#include <string>

#include <mirakuru/os/config.hpp>

namespace mirakuru {

namespace detail {

/// Runs SQL by psql.
struct PostgresClient {
  std::string program;  ///< psql
  std::string server;   ///< the URL without the database: "postgresql://postgres@127.0.0.1:PORT/"

  std::string run(const std::string& database, const std::string& sql, std::source_location where,
                  std::chrono::seconds limit = std::chrono::minutes{1}) const;
};

}  // namespace detail

/// A database that is dropped at its end, with all its connections: `Postgres::database()`.
class PostgresDatabase {
 public:
  PostgresDatabase(PostgresDatabase&& other) noexcept;
  PostgresDatabase& operator=(PostgresDatabase&& other) noexcept;
  /// Drops it. Never throws; does nothing if the server does not run.
  ~PostgresDatabase();

  /// "mirakuru_PID_N"
  [[nodiscard]] const std::string& name() const noexcept { return name_; }
  /// "postgresql://postgres@127.0.0.1:PORT/NAME", for libpq and `psql`.
  [[nodiscard]] std::string url() const { return client_.server + name_; }
  /// Runs SQL in it, as `Postgres::psql()` does.
  std::string psql(const std::string& sql,
                   std::source_location where = std::source_location::current()) const;

 private:
  friend class Postgres;
  PostgresDatabase(detail::PostgresClient client, const std::string& from,
                   std::source_location where);
  void drop() noexcept;

  detail::PostgresClient client_;
  std::string name_;  // empty: there is nothing to drop
  pid_t owner_;       // a fork must not drop it
};

}  // namespace mirakuru

#if !defined(MIRAKURU_SEPARATE_COMPILATION)
#include <mirakuru/services/postgres/database.ipp>
#endif
