// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <mirakuru/services/postgres/settings.hpp>

namespace mirakuru::detail {

/// A value in postgresql.conf.
inline std::string quote_setting(const std::string& value) {
  std::string quoted = "'";
  for (const char c : value) quoted += c == '\'' || c == '\\' ? std::string(2, c) : std::string{c};
  return quoted + '\'';
}

MIRAKURU_DECL std::string quote_name(const std::string& name) {
  std::string quoted = "\"";
  for (const char c : name) quoted += c == '"' ? std::string(2, c) : std::string{c};
  return quoted + '"';
}

MIRAKURU_DECL std::string postgres_settings(const std::map<std::string, std::string>& of_user,
                                            const std::string& port,
                                            const std::filesystem::path& sockets) {
  std::map<std::string, std::string> settings{
      {"fsync", "off"},
      {"full_page_writes", "off"},
      {"synchronous_commit", "off"},
      {"max_wal_size", "1GB"},
      {"listen_addresses", "127.0.0.1"},
      {"unix_socket_directories", sockets.empty() ? "" : quote_name(sockets)},
      {"dynamic_shared_memory_type", "mmap"}};  // nothing is left in /dev/shm
  for (const auto& [name, value] : of_user) settings[name] = value;
  settings["port"] = port;
  std::string lines = "\n";
  for (const auto& [name, value] : settings) lines += name + " = " + quote_setting(value) + '\n';
  return lines;
}

}  // namespace mirakuru::detail
