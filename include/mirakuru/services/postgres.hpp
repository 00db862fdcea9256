// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <source_location>
#include <string>

#include <mirakuru/budget/timeout.hpp>
#include <mirakuru/executor.hpp>
#include <mirakuru/os/config.hpp>
#include <mirakuru/ready/composed/any_of.hpp>
#include <mirakuru/ready/file/banner.hpp>
#include <mirakuru/ready/notification/notify.hpp>
#include <mirakuru/services/postgres/database.hpp>
#include <mirakuru/services/postgres/options.hpp>

namespace mirakuru {

/// A PostgreSQL server of its own, on a free port of 127.0.0.1: `mk::Postgres db;`. It ends, with
/// all its files, at the end of the object.
///
/// initdb runs once for each version and options; later servers start from a copy (`DirCache`). As
/// root the server runs as another user. Any user of the machine may connect as "postgres", without
/// a password. Variables that begin with PG, such as PGHOST, have no effect. Needs PostgreSQL 13.
class Postgres {
 public:
  using Options = PostgresOptions;
  using Database = PostgresDatabase;
  using Server = Executor<AnyOf<NotifyCheck, BannerCheck>, Signals, TimeoutBudget>;

  /// Starts it. Throws `ExecutorError` if PostgreSQL is not installed, the errors of
  /// `Executor::start()` and `run()`, and `std::system_error`. The messages name `where`.
  explicit Postgres(const Options& options = {},
                    std::source_location where = std::source_location::current());
  Postgres(Postgres&& other) noexcept;
  Postgres& operator=(Postgres&& other) noexcept;
  ~Postgres();

  /// The address of the database "postgres": "postgresql://postgres@127.0.0.1:PORT/postgres".
  [[nodiscard]] std::string url() const;
  /// Runs SQL, or meta-commands of psql, in the database "postgres". Returns the output as `psql
  /// -At` prints it: a line for each row, with `|` between columns.
  ///
  /// Throws `ProcessExitedWithError` with the message of psql at the first error, and
  /// `TimeoutExpired` after 60 s.
  std::string psql(const std::string& sql,
                   std::source_location where = std::source_location::current()) const;
  /// Makes a database from a template: `from` is the name of another one, to which nobody is
  /// connected. Throws as `psql()` does.
  [[nodiscard]] Database database(
      const std::string& from = "template1",
      std::source_location where = std::source_location::current()) const;
  [[nodiscard]] Database database(
      const Database& from, std::source_location where = std::source_location::current()) const {
    return database(from.name(), where);
  }

  /// The executor: its pid, output, `stop()`, `kill()`, `start()`. The data stay.
  [[nodiscard]] Server& server() noexcept;
  /// Starts the server again after `stop()`, on the same port and data.
  Postgres& start(std::source_location where = std::source_location::current());
  /// Stops the server by its fast shutdown: clients are disconnected.
  Postgres& stop();
  /// The port on 127.0.0.1.
  [[nodiscard]] std::uint16_t port() const noexcept;
  /// The directory of its Unix socket, for libpq's `host`; empty if $TMPDIR is too long for one.
  [[nodiscard]] std::filesystem::path socket_directory() const;
  /// The data directory. It belongs to the user that runs the server.
  [[nodiscard]] std::filesystem::path data() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace mirakuru

#if !defined(MIRAKURU_SEPARATE_COMPILATION)
#include <mirakuru/services/postgres.ipp>
#endif
