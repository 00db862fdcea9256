// SPDX-License-Identifier: BSL-1.0
#pragma once

// Written on the public face alone.

#include <pwd.h>
#include <sys/shm.h>
#include <unistd.h>
#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <optional>
#include <sstream>
#include <string_view>
#include <system_error>
#include <utility>

#include <mirakuru.hpp>
#include <mirakuru/kit.hpp>
#include <mirakuru/services/postgres.hpp>

namespace mirakuru {

namespace detail {

/// The environment of PostgreSQL's programs: that of the test, without the settings for libpq.
inline Environment postgres_environment() {
  Environment changes{{"LC_ALL", "C"}, {"TZ", "UTC"}};
  for (char** variable = environ; variable != nullptr && *variable != nullptr; ++variable) {
    const std::string_view text{*variable};
    if (text.starts_with("PG")) changes[std::string{text.substr(0, text.find('='))}] = unset;
  }
  return changes;
}

/// The directory of the programs, in the first place that has them. Throws `ExecutorError`.
inline std::filesystem::path postgres_bin(const PostgresOptions& options) {
  namespace fs = std::filesystem;
  if (!options.bin.empty()) return fs::absolute(options.bin);
  const auto has_programs = [](const fs::path& bin) {
    return ::access((bin / "initdb").c_str(), X_OK) == 0 &&
           ::access((bin / "postgres").c_str(), X_OK) == 0;
  };
  const char* const path = std::getenv("PATH");
  std::istringstream places{options.version.empty() && path != nullptr ? path : ""};
  for (std::string place; std::getline(places, place, ':');)
    if (place.starts_with('/') && has_programs(place)) {
      // The other programs lie beside the one that a link leads to.
      const auto real = fs::canonical(fs::path{place} / "initdb").parent_path();
      return has_programs(real) ? real : fs::path{place};
    }
  std::pair<int, fs::path> newest;
  std::error_code none;
  for (const std::string above : {"/usr/lib/postgresql/", "/usr/pgsql-", "/usr/local/pgsql-"}) {
    const auto prefix = fs::path{above}.filename().native();
    for (const auto& entry : fs::directory_iterator{fs::path{above}.parent_path(), none}) {
      const auto name = entry.path().filename().native();
      if (!name.starts_with(prefix)) continue;
      const auto version = name.substr(prefix.size());
      if (!options.version.empty() && version != options.version) continue;
      const auto bin = entry.path() / "bin";
      if (has_programs(bin)) newest = std::max(newest, {std::atoi(version.c_str()), bin});
    }
  }
  if (!newest.second.empty()) return newest.second;
  throw ExecutorError{"cannot find PostgreSQL " + options.version +
                      ": no initdb in PATH or /usr/lib/postgresql/*/bin; Debian has it in the "
                      "package postgresql, or give PostgresOptions::bin"};
}

/// PostgreSQL refuses to run as root.
inline std::string postgres_user(const PostgresOptions& options) {
  if (::geteuid() != 0 || !options.user.empty()) return options.user;
  return ::getpwnam("postgres") != nullptr ? "postgres" : "nobody";
}

/// A name in the cache for the content that initdb makes.
inline std::string cluster_name(const std::string& version, const std::vector<std::string>& words) {
  std::uint64_t hash = 0xcbf29ce484222325;  // FNV-1a
  const auto add = [&hash](const std::string& text) {
    for (const char c : text + '\0') hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  };
  add(version);
  for (const auto& word : words) add(word);
  std::string program, brand, number;  // "postgres (PostgreSQL) 15.3 (Debian ...)"
  std::istringstream{version} >> program >> brand >> number;
  std::ostringstream name;
  name << "postgres/" << number << '-' << std::hex << hash;
  return name.str();
}

/// A value in postgresql.conf.
inline std::string quote_setting(const std::string& value) {
  std::string quoted = "'";
  for (const char c : value) quoted += c == '\'' || c == '\\' ? std::string(2, c) : std::string{c};
  return quoted + '\'';
}

/// An identifier in SQL.
inline std::string quote_name(const std::string& name) {
  std::string quoted = "\"";
  for (const char c : name) quoted += c == '"' ? std::string(2, c) : std::string{c};
  return quoted + '"';
}

/// Runs SQL by psql, from its standard input: the text may be of any size.
inline std::string run_psql(const std::string& psql, const std::string& url, const std::string& sql,
                            std::source_location where,
                            std::chrono::seconds limit = std::chrono::minutes{1}) {
  const Command command{.argv = {psql, "-XAtq", "-v", "ON_ERROR_STOP=1", "-d", url, "-f", "-"},
                        .env = postgres_environment()};
  return run({command, where}, InputText{sql}, TimeoutBudget{.start = limit}).output;
}

/// Removes the shared memory of a server that was killed: its next start would, but there is none.
inline void remove_shared_memory(const std::filesystem::path& data) {
  std::ifstream file{data / "postmaster.pid"};  // absent after a shutdown
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);) lines.push_back(line);
  if (lines.size() < 7) return;
  // Source: PostgreSQL, miscadmin.h, LOCK_FILE_LINE_SHMEM_KEY.
  long key = 0;
  int id = -1;
  shmid_ds status{};
  if (std::istringstream{lines[6]} >> key >> id && ::shmctl(id, IPC_STAT, &status) == 0 &&
      status.shm_nattch == 0 && std::to_string(status.shm_cpid) == lines[0])
    ::shmctl(id, IPC_RMID, nullptr);
}

}  // namespace detail

struct Postgres::State {
  std::filesystem::path bin;
  std::string user;
  FreePort port = {};
  TempDir dir = TempDir{"pg"};
  std::filesystem::path data = dir / ("data-" + port.str()), sockets = {};  // a name of its own
  std::optional<DirCache> cache = {};
  std::optional<Server> server = {};

  explicit State(const Options& options)
      : bin{detail::postgres_bin(options)}, user{detail::postgres_user(options)} {
    // Source: unix(7), sun_path.
    if (dir.path().native().size() + std::string_view{"/.s.PGSQL.65535"}.size() <= 107)
      sockets = dir.path();
  }
  State(State&&) = delete;
  ~State() {
    server.reset();
    detail::remove_shared_memory(data);
  }

  [[nodiscard]] std::string url() const {
    return "postgresql://postgres@127.0.0.1:" + port.str() + '/';
  }
  [[nodiscard]] std::string psql() const {
    const auto beside = bin / "psql";  // Debian's in PATH is a slow script
    return ::access(beside.c_str(), X_OK) == 0 ? beside.native() : "psql";
  }
  [[nodiscard]] Command command(std::vector<std::string> words) const {
    return {.argv = std::move(words),
            .cwd = dir,
            .env = detail::postgres_environment(),
            .user = user,
            .scratch = dir};
  }

  /// Makes the data directory. True if it comes from the cache.
  bool fill(const Options& options, std::source_location where) {
    std::vector<std::string> words{bin / "initdb",    "-U", "postgres", "-A",
                                   "trust",           "-E", "UTF8",     "--locale=C",
                                   "--wal-segsize=1",  // there is less to copy
                                   "--no-sync"};
    words.insert(words.end(), options.initdb.begin(), options.initdb.end());
    const auto make = [this, &words, where] {
      auto all = words;
      all.insert(all.end(), {"-D", data});
      // A server of initdb that gets the signal may leave shared memory; initdb ends its servers.
      run({command(all), where}, Signals{.scope = Scope::leader});
    };
    if (options.cache) {
      const auto version = run({Argv{bin / "postgres", "--version"}, where}).output;
      cache.emplace(detail::cluster_name(version, words));
    }
    if (cache) return cache->fill(data, make, user);
    make();
    return false;
  }

  void configure(const Options& options) const {
    std::map<std::string, std::string> settings{
        {"fsync", "off"},
        {"full_page_writes", "off"},
        {"synchronous_commit", "off"},
        {"max_wal_size", "1GB"},
        {"listen_addresses", "127.0.0.1"},
        {"unix_socket_directories", sockets.empty() ? "" : detail::quote_name(sockets)},
        {"dynamic_shared_memory_type", "mmap"}};  // nothing is left in /dev/shm
    for (const auto& [name, value] : options.settings) settings[name] = value;
    settings["port"] = port.str();
    std::ofstream file{data / "postgresql.conf", std::ios::app};
    file << '\n';
    for (const auto& [name, value] : settings)
      file << name << " = " << detail::quote_setting(value) << '\n';
    if (!file.flush())
      throw std::filesystem::filesystem_error{"write", data / "postgresql.conf",
                                              std::make_error_code(std::errc::io_error)};
  }

  void start(const Options& options, std::source_location where) {
    configure(options);
    server.emplace(command({bin / "postgres", "-D", data}),
                   AnyOf{NotifyCheck{},  // where it is built with systemd
                         BannerCheck{.pattern = "ready to accept (read.only )?connections",
                                     .stream = Stream::err}},
                   Signals{.stop = SIGINT, .scope = Scope::leader}, options.budget);
    server->start(where);
  }
};

MIRAKURU_DECL Postgres::Postgres(const Options& options, std::source_location where)
    : state_{std::make_unique<State>(options)} {
  const bool cached = state_->fill(options, where);
  try {
    state_->start(options, where);
  } catch (const ProcessExitedWithError&) {
    if (!cached) throw;
    state_->cache->drop();  // it may be the reason
    state_ = std::make_unique<State>(options);
    state_->fill(options, where);
    state_->start(options, where);
  }
}
MIRAKURU_DECL Postgres::Postgres(Postgres&& other) noexcept = default;
MIRAKURU_DECL Postgres& Postgres::operator=(Postgres&& other) noexcept = default;
MIRAKURU_DECL Postgres::~Postgres() = default;

MIRAKURU_DECL std::string Postgres::url() const { return state_->url() + "postgres"; }
MIRAKURU_DECL std::string Postgres::psql(const std::string& sql, std::source_location where) const {
  return detail::run_psql(state_->psql(), url(), sql, where);
}
MIRAKURU_DECL PostgresDatabase Postgres::database(const std::string& from,
                                                  std::source_location where) const {
  return {state_->psql(), state_->url(), from, where};
}
MIRAKURU_DECL Postgres::Server& Postgres::server() noexcept { return *state_->server; }
MIRAKURU_DECL Postgres& Postgres::start(std::source_location where) {
  server().start(where);
  return *this;
}
MIRAKURU_DECL Postgres& Postgres::stop() {
  server().stop();
  return *this;
}
MIRAKURU_DECL std::uint16_t Postgres::port() const noexcept { return state_->port.number(); }
MIRAKURU_DECL std::filesystem::path Postgres::socket_directory() const { return state_->sockets; }
MIRAKURU_DECL std::filesystem::path Postgres::data() const { return state_->data; }

MIRAKURU_DECL PostgresDatabase::PostgresDatabase(std::string psql, std::string server,
                                                 const std::string& from,
                                                 std::source_location where)
    : psql_{std::move(psql)}, server_{std::move(server)}, owner_{::getpid()} {
  static std::atomic<unsigned> count = 0;
  auto name = "mirakuru_" + std::to_string(owner_) + '_' + std::to_string(++count);
  detail::run_psql(psql_, server_ + "postgres",
                   "create database " + name + " template " + detail::quote_name(from), where);
  name_ = std::move(name);
}
MIRAKURU_DECL PostgresDatabase::PostgresDatabase(PostgresDatabase&& other) noexcept
    : psql_{std::move(other.psql_)},
      server_{std::move(other.server_)},
      name_{std::exchange(other.name_, {})},
      owner_{other.owner_} {}
MIRAKURU_DECL PostgresDatabase& PostgresDatabase::operator=(PostgresDatabase&& other) noexcept {
  if (this == &other) return *this;
  drop();
  psql_ = std::move(other.psql_);
  server_ = std::move(other.server_);
  name_ = std::exchange(other.name_, {});
  owner_ = other.owner_;
  return *this;
}
MIRAKURU_DECL PostgresDatabase::~PostgresDatabase() { drop(); }
MIRAKURU_DECL std::string PostgresDatabase::psql(const std::string& sql,
                                                 std::source_location where) const {
  return detail::run_psql(psql_, url(), sql, where);
}
MIRAKURU_DECL void PostgresDatabase::drop() noexcept try {
  if (name_.empty() || owner_ != ::getpid()) return;
  detail::run_psql(psql_, server_ + "postgres",
                   "drop database if exists " + name_ + " with (force)",
                   std::source_location::current(), std::chrono::seconds{10});
} catch (const std::exception&) {  // the server does not run
}

}  // namespace mirakuru
