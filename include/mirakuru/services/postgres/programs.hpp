// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include <mirakuru/command.hpp>
#include <mirakuru/os/config.hpp>
#include <mirakuru/services/postgres/options.hpp>

namespace mirakuru::detail {

/// The installed programs of PostgreSQL, and the user that runs them.
struct PostgresPrograms {
  /// Throws `ExecutorError` if they are not installed.
  explicit PostgresPrograms(const PostgresOptions& options);

  /// The program psql: its path, or its name if it lies elsewhere.
  [[nodiscard]] std::string psql() const;
  /// A command of that user, below the directory of a server.
  [[nodiscard]] Command command(std::vector<std::string> words,
                                const std::filesystem::path& dir) const;

  std::filesystem::path bin;
  std::string user;  ///< empty: the test's own
};

}  // namespace mirakuru::detail

#if !defined(MIRAKURU_SEPARATE_COMPILATION)
#include <mirakuru/services/postgres/programs.ipp>
#endif
