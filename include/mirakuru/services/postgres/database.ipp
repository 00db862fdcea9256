// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <unistd.h>
#include <atomic>
#include <utility>

#include <mirakuru.hpp>
#include <mirakuru/kit.hpp>
#include <mirakuru/services/postgres/database.hpp>
#include <mirakuru/services/postgres/environment.hpp>
#include <mirakuru/services/postgres/settings.hpp>

namespace mirakuru {

namespace detail {

MIRAKURU_DECL std::string PostgresClient::run(const std::string& database, const std::string& sql,
                                              std::source_location where,
                                              std::chrono::seconds limit) const {
  const Command command{
      .argv = {program, "-XAtq", "-v", "ON_ERROR_STOP=1", "-d", server + database, "-f", "-"},
      .env = postgres_environment()};
  // From its standard input the text may be of any size.
  return mirakuru::run({command, where}, InputText{sql}, TimeoutBudget{.start = limit}).output;
}

}  // namespace detail

MIRAKURU_DECL PostgresDatabase::PostgresDatabase(detail::PostgresClient client,
                                                 const std::string& from,
                                                 std::source_location where)
    : client_{std::move(client)}, owner_{::getpid()} {
  static std::atomic<unsigned> count = 0;
  auto name = "mirakuru_" + std::to_string(owner_) + '_' + std::to_string(++count);
  client_.run("postgres", "create database " + name + " template " + detail::quote_name(from),
              where);
  name_ = std::move(name);
}
MIRAKURU_DECL PostgresDatabase::PostgresDatabase(PostgresDatabase&& other) noexcept
    : client_{std::move(other.client_)},
      name_{std::exchange(other.name_, {})},
      owner_{other.owner_} {}
MIRAKURU_DECL PostgresDatabase& PostgresDatabase::operator=(PostgresDatabase&& other) noexcept {
  if (this == &other) return *this;
  drop();
  client_ = std::move(other.client_);
  name_ = std::exchange(other.name_, {});
  owner_ = other.owner_;
  return *this;
}
MIRAKURU_DECL PostgresDatabase::~PostgresDatabase() { drop(); }

MIRAKURU_DECL std::string PostgresDatabase::psql(const std::string& sql,
                                                 std::source_location where) const {
  return client_.run(name_, sql, where);
}
MIRAKURU_DECL void PostgresDatabase::drop() noexcept try {
  if (name_.empty() || owner_ != ::getpid()) return;
  client_.run("postgres", "drop database if exists " + name_ + " with (force)",
              std::source_location::current(), std::chrono::seconds{10});
} catch (const std::exception&) {  // the server does not run
}

}  // namespace mirakuru
