// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <pwd.h>
#include <unistd.h>
#include <algorithm>
#include <cstdlib>
#include <sstream>
#include <system_error>
#include <utility>

#include <mirakuru/error.hpp>
#include <mirakuru/services/postgres/environment.hpp>
#include <mirakuru/services/postgres/programs.hpp>

namespace mirakuru::detail {

inline bool has_postgres(const std::filesystem::path& bin) {
  return ::access((bin / "initdb").c_str(), X_OK) == 0 &&
         ::access((bin / "postgres").c_str(), X_OK) == 0;
}

/// The first directory of PATH with the programs; empty if there is none.
inline std::filesystem::path postgres_in_path() {
  namespace fs = std::filesystem;
  const char* const path = std::getenv("PATH");
  std::istringstream places{path != nullptr ? path : ""};
  for (std::string place; std::getline(places, place, ':');)
    if (place.starts_with('/') && has_postgres(place)) {
      // The other programs lie beside the one that a link leads to.
      const auto real = fs::canonical(fs::path{place} / "initdb").parent_path();
      return has_postgres(real) ? real : fs::path{place};
    }
  return {};
}

/// The programs of a version, or the newest, where Debian, Fedora and a build from source put them.
inline std::filesystem::path installed_postgres(const std::string& wanted) {
  namespace fs = std::filesystem;
  std::pair<int, fs::path> newest;
  std::error_code none;
  for (const std::string above : {"/usr/lib/postgresql/", "/usr/pgsql-", "/usr/local/pgsql-"}) {
    const auto prefix = fs::path{above}.filename().native();
    for (const auto& entry : fs::directory_iterator{fs::path{above}.parent_path(), none}) {
      const auto name = entry.path().filename().native();
      if (!name.starts_with(prefix)) continue;
      const auto version = name.substr(prefix.size());
      if (!wanted.empty() && version != wanted) continue;
      const auto bin = entry.path() / "bin";
      if (has_postgres(bin)) newest = std::max(newest, {std::atoi(version.c_str()), bin});
    }
  }
  return newest.second;
}

MIRAKURU_DECL PostgresPrograms::PostgresPrograms(const PostgresOptions& options)
    : user{options.user} {
  if (!options.bin.empty()) bin = std::filesystem::absolute(options.bin);
  if (bin.empty() && options.version.empty()) bin = postgres_in_path();
  if (bin.empty()) bin = installed_postgres(options.version);
  if (bin.empty())
    throw ExecutorError{"cannot find PostgreSQL" +
                        (options.version.empty() ? "" : ' ' + options.version) +
                        ": no initdb in PATH or /usr/lib/postgresql/*/bin; Debian has it in the "
                        "package postgresql, or give PostgresOptions::bin"};
  if (user.empty() && ::geteuid() == 0)  // PostgreSQL refuses to run as root
    user = ::getpwnam("postgres") != nullptr ? "postgres" : "nobody";
}

MIRAKURU_DECL std::string PostgresPrograms::psql() const {
  const auto beside = bin / "psql";  // Debian's in PATH is a slow script
  return ::access(beside.c_str(), X_OK) == 0 ? beside.native() : "psql";
}

MIRAKURU_DECL Command PostgresPrograms::command(std::vector<std::string> words,
                                                const std::filesystem::path& dir) const {
  return {.argv = std::move(words),
          .cwd = dir,
          .env = postgres_environment(),
          .user = user,
          .scratch = dir};
}

}  // namespace mirakuru::detail
