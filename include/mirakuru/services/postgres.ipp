// SPDX-License-Identifier: BSL-1.0
#pragma once

// Written on the public face alone.

#include <csignal>
#include <string_view>
#include <utility>

#include <mirakuru.hpp>
#include <mirakuru/kit.hpp>
#include <mirakuru/services/postgres.hpp>
#include <mirakuru/services/postgres/cluster.hpp>
#include <mirakuru/services/postgres/programs.hpp>
#include <mirakuru/services/postgres/settings.hpp>

namespace mirakuru {

struct Postgres::State {
  detail::PostgresPrograms programs;
  FreePort port = {};
  TempDir dir = TempDir{"pg"};
  detail::PostgresCluster cluster{dir / ("data-" + port.str())};  // a name of its own
  Server server;

  explicit State(const Options& options)
      : programs{options},
        server{programs.command({programs.bin / "postgres", "-D", cluster.data()}, dir),
               AnyOf{NotifyCheck{},  // where it is built with systemd
                     BannerCheck{.pattern = "ready to accept (read.only )?connections",
                                 .stream = Stream::err}},
               Signals{.stop = SIGINT, .scope = Scope::leader}, options.budget} {}

  [[nodiscard]] detail::PostgresClient client() const {
    return {programs.psql(), "postgresql://postgres@127.0.0.1:" + port.str() + '/'};
  }
  /// Empty if the path is too long for a socket. Source: unix(7), sun_path.
  [[nodiscard]] std::filesystem::path sockets() const {
    const auto size = dir.path().native().size() + std::string_view{"/.s.PGSQL.65535"}.size();
    return size <= 107 ? dir.path() : std::filesystem::path{};
  }
  void start(const Options& options, std::source_location where) {
    cluster.make(programs, options, where);
    cluster.configure(detail::postgres_settings(options.settings, port.str(), sockets()));
    server.start(where);
  }
};

MIRAKURU_DECL Postgres::Postgres(const Options& options, std::source_location where)
    : state_{std::make_unique<State>(options)} {
  try {
    state_->start(options, where);
  } catch (const ProcessExitedWithError&) {
    if (!state_->cluster.cached()) throw;
    state_->cluster.drop_cached();  // it may be the reason
    state_ = std::make_unique<State>(options);
    state_->start(options, where);
  }
}
MIRAKURU_DECL Postgres::Postgres(Postgres&& other) noexcept = default;
MIRAKURU_DECL Postgres& Postgres::operator=(Postgres&& other) noexcept = default;
MIRAKURU_DECL Postgres::~Postgres() = default;

MIRAKURU_DECL std::string Postgres::url() const { return state_->client().server + "postgres"; }
MIRAKURU_DECL std::string Postgres::psql(const std::string& sql, std::source_location where) const {
  return state_->client().run("postgres", sql, where);
}
MIRAKURU_DECL PostgresDatabase Postgres::database(const std::string& from,
                                                  std::source_location where) const {
  return {state_->client(), from, where};
}
MIRAKURU_DECL Postgres::Server& Postgres::server() noexcept { return state_->server; }
MIRAKURU_DECL Postgres& Postgres::start(std::source_location where) {
  server().start(where);
  return *this;
}
MIRAKURU_DECL Postgres& Postgres::stop() {
  server().stop();
  return *this;
}
MIRAKURU_DECL std::uint16_t Postgres::port() const noexcept { return state_->port.number(); }
MIRAKURU_DECL std::filesystem::path Postgres::socket_directory() const { return state_->sockets(); }
MIRAKURU_DECL std::filesystem::path Postgres::data() const { return state_->cluster.data(); }

}  // namespace mirakuru
