// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <filesystem>
#include <map>
#include <string>

#include <mirakuru/os/config.hpp>

namespace mirakuru::detail {

/// An identifier in SQL.
[[nodiscard]] std::string quote_name(const std::string& name);

/// Lines for postgresql.conf: the defaults of a `Postgres`, replaced by the user's settings.
///
/// `sockets`: the directory of the Unix socket; empty: it has none.
[[nodiscard]] std::string postgres_settings(const std::map<std::string, std::string>& of_user,
                                            const std::string& port,
                                            const std::filesystem::path& sockets);

}  // namespace mirakuru::detail

#if !defined(MIRAKURU_SEPARATE_COMPILATION)
#include <mirakuru/services/postgres/settings.ipp>
#endif
