// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <filesystem>
#include <optional>
#include <source_location>
#include <string>
#include <utility>

#include <mirakuru/kit/dir_cache.hpp>
#include <mirakuru/os/config.hpp>
#include <mirakuru/services/postgres/options.hpp>
#include <mirakuru/services/postgres/programs.hpp>

namespace mirakuru::detail {

/// The data of a server, in a directory that initdb makes, or that is a copy from the cache.
class PostgresCluster {
 public:
  /// `data`: the directory; it does not exist yet.
  explicit PostgresCluster(std::filesystem::path data) : data_{std::move(data)} {}
  PostgresCluster(PostgresCluster&&) = delete;
  /// Removes the shared memory of a server that was killed. The files stay.
  ~PostgresCluster();

  /// Makes the directory. Throws the errors of `run()`, and `std::system_error`.
  void make(const PostgresPrograms& programs, const PostgresOptions& options,
            std::source_location where);
  /// Adds lines to postgresql.conf. The last line of a setting counts.
  void configure(const std::string& settings) const;

  /// True if it is a copy from the cache.
  [[nodiscard]] bool cached() const noexcept { return cached_; }
  /// Throws the copy in the cache away.
  void drop_cached() const noexcept { cache_->drop(); }
  [[nodiscard]] const std::filesystem::path& data() const noexcept { return data_; }

 private:
  std::filesystem::path data_;
  std::optional<DirCache> cache_ = {};
  bool cached_ = false;
};

}  // namespace mirakuru::detail

#if !defined(MIRAKURU_SEPARATE_COMPILATION)
#include <mirakuru/services/postgres/cluster.ipp>
#endif
