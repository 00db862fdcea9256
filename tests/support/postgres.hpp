// SPDX-License-Identifier: BSL-1.0
// Servers of PostgreSQL, with a cache of their own.

#pragma once

#include <sys/stat.h>
#include <sys/types.h>
#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>
#include <string>
#include <system_error>
#include <vector>

#include <doctest/doctest.h>

#include <mirakuru/services/postgres.hpp>

#include "files.hpp"

namespace test {

/// A directory for a cache and for programs, which other users may read.
struct PostgresCache {
  TempDir directory;
  std::filesystem::path cache = directory / "cache";

  PostgresCache() {
    ::chmod(directory.path().c_str(), 0755);
    use();
  }
  ~PostgresCache() { ::unsetenv("XDG_CACHE_HOME"); }
  PostgresCache(const PostgresCache&) = delete;
  PostgresCache& operator=(const PostgresCache&) = delete;

  void use() const { ::setenv("XDG_CACHE_HOME", cache.c_str(), 1); }
  /// The clusters in the cache.
  [[nodiscard]] std::vector<std::filesystem::path> clusters() const {
    std::vector<std::filesystem::path> found;
    for (const auto& entry : std::filesystem::directory_iterator{cache / "mirakuru/postgres"})
      if (entry.is_directory()) found.push_back(entry);
    return found;
  }
};

/// The directory of PostgreSQL's programs, the newest; empty, with a message, if it is not
/// installed where Debian has it.
inline std::filesystem::path postgres_programs() {
  std::filesystem::path newest;
  std::error_code none;
  for (const auto& entry : std::filesystem::directory_iterator{"/usr/lib/postgresql", none})
    if (std::filesystem::exists(entry.path() / "bin/initdb"))
      newest = std::max(newest, entry.path() / "bin");
  if (newest.empty()) MESSAGE("skipped: no PostgreSQL");
  return newest;
}

/// Programs with an initdb that counts its runs.
struct CountedPrograms {
  std::filesystem::path bin, log;

  CountedPrograms(const PostgresCache& place, const std::filesystem::path& real)
      : bin{place.directory / "bin"}, log{place.directory / "log"} {
    std::filesystem::create_directory(bin);
    for (const char* const name : {"postgres", "psql"})
      std::filesystem::create_symlink(real / name, bin / name);
    std::ofstream{log};
    ::chmod(log.c_str(), 0666);
    std::ofstream{bin / "initdb"} << "#!/bin/sh\necho run >> '" << log.native() << "'\nexec '"
                                  << (real / "initdb").native() << "' \"$@\"\n";
    ::chmod((bin / "initdb").c_str(), 0755);
  }
  [[nodiscard]] auto runs() const { return slurp(log).size() / 4; }
};

/// The tests that need no new cluster share a cache.
inline const PostgresCache& shared_postgres_cache() {
  static const PostgresCache place;
  place.use();
  return place;
}

/// A server; none, with a message, where PostgreSQL is not installed.
inline std::optional<mirakuru::Postgres> postgres(const mirakuru::Postgres::Options& options = {}) {
  if (postgres_programs().empty()) return {};
  shared_postgres_cache();
  return mirakuru::Postgres{options};
}

/// True if a shared memory segment was made by the process. Source: proc(5).
inline bool has_shared_memory(pid_t pid) {
  std::ifstream file{"/proc/sysvipc/shm"};
  std::string line;
  std::getline(file, line);
  while (std::getline(file, line)) {
    long key, id, mode, size, creator;
    if (std::istringstream{line} >> key >> id >> mode >> size >> creator && creator == pid)
      return true;
  }
  return false;
}

}  // namespace test
