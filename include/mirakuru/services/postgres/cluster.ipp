// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/shm.h>
#include <chrono>
#include <fstream>
#include <sstream>
#include <system_error>
#include <vector>

#include <mirakuru.hpp>
#include <mirakuru/kit.hpp>
#include <mirakuru/services/postgres/cluster.hpp>

namespace mirakuru::detail {

/// The copy in the cache for the words of initdb.
inline DirCache cluster_cache(const PostgresPrograms& programs, std::vector<std::string> words,
                              std::source_location where) {
  const auto version = mirakuru::run({Argv{programs.bin / "postgres", "--version"}, where}).output;
  std::string program, brand, number;  // "postgres (PostgreSQL) 15.3 (Debian ...)"
  std::istringstream{version} >> program >> brand >> number;
  words.insert(words.begin(), version);
  return DirCache{"postgres/" + number, words};
}

MIRAKURU_DECL void PostgresCluster::make(const PostgresPrograms& programs,
                                         const PostgresOptions& options,
                                         std::source_location where) {
  // A small segment of its log leaves less to copy.
  std::vector<std::string> words{programs.bin / "initdb"};
  words.insert(words.end(), {"-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C",
                             "--wal-segsize=1", "--no-sync"});
  words.insert(words.end(), options.initdb.begin(), options.initdb.end());
  const auto initdb = [&] {
    auto all = words;
    all.insert(all.end(), {"-D", data_});
    // A server of initdb that gets the signal may leave shared memory; initdb ends its servers.
    mirakuru::run({programs.command(all, data_.parent_path()), where},
                  Signals{.scope = Scope::leader});
  };
  if (!options.cache) return initdb();
  cache_ = cluster_cache(programs, words, where);
  // A test that is stopped in a debugger may hold the cache, and initdb takes a second.
  cached_ = cache_->fill(data_, initdb, programs.user, std::chrono::seconds{20});
}

MIRAKURU_DECL void PostgresCluster::configure(const std::string& settings) const {
  const auto path = data_ / "postgresql.conf";
  std::ofstream file{path, std::ios::app};
  file << settings;
  if (!file.flush())
    throw std::filesystem::filesystem_error{"write", path,
                                            std::make_error_code(std::errc::io_error)};
}

MIRAKURU_DECL PostgresCluster::~PostgresCluster() {
  std::ifstream file{data_ / "postmaster.pid"};  // absent after a shutdown
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);) lines.push_back(line);
  if (lines.size() < 7) return;
  // The server's next start would remove it, but there is none.
  // Source: PostgreSQL, miscadmin.h, LOCK_FILE_LINE_SHMEM_KEY.
  long key = 0;
  int id = -1;
  shmid_ds status{};
  if (std::istringstream{lines[6]} >> key >> id && ::shmctl(id, IPC_STAT, &status) == 0 &&
      status.shm_nattch == 0 && std::to_string(status.shm_cpid) == lines[0])
    ::shmctl(id, IPC_RMID, nullptr);
}

}  // namespace mirakuru::detail
