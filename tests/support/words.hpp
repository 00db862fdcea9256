// SPDX-License-Identifier: BSL-1.0
// Words of commands, above all of the helper program's, and texts.

#pragma once

#include <errno.h>
#include <unistd.h>

#include <cstddef>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <vector>

#include <mirakuru/command.hpp>

namespace test {

/// The path of the helper program; `helper help` lists its verbs.
inline std::string helper() {
  const char* path = std::getenv("MIRAKURU_TEST_HELPER");
  if (path == nullptr || *path == '\0')
    throw std::runtime_error{"MIRAKURU_TEST_HELPER is not set: it is the path of the helper"};
  return path;
}

/// The words that run the helper program.
template <class... Words>
  requires(sizeof...(Words) > 0)
std::vector<std::string> helper(Words... words) {
  return {helper(), words...};
}

/// The words that run Python's HTTP server on 127.0.0.1, for the files of a directory.
inline std::vector<std::string> python_server(const std::string& port,
                                              const std::string& directory) {
  return {"python3", "-m", "http.server", "--bind", "127.0.0.1", port, "--directory", directory};
}

/// The words that run Redis on 127.0.0.1, without saved data.
inline std::vector<std::string> redis_server(const std::string& port,
                                             const std::string& directory) {
  return {"redis-server", "--port", port,    "--bind", "127.0.0.1", "--save", "",
          "--appendonly", "no",     "--dir", directory};
}

/// A marker for a command's words: no other test finds the process by it.
inline std::string mark() {
  static int count = 0;
  return std::string{"mark="} + program_invocation_short_name + '-' + std::to_string(getpid()) +
         '-' + std::to_string(++count) + '-';
}

/// The words as a shell reads them.
inline std::string line(const std::vector<std::string>& words) {
  return mirakuru::Argv{words}.line();
}

/// The lines as one text.
inline std::string text_of(const std::vector<std::string>& lines) {
  std::string text;
  for (const auto& text_line : lines) text += (text.empty() ? "" : "\n") + text_line;
  return text;
}

/// How often the part is in the text.
inline std::size_t count(const std::string& text, const std::string& part) {
  std::size_t found = 0;
  for (auto at = text.find(part); at != text.npos; at = text.find(part, at + part.size())) ++found;
  return found;
}

inline bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != text.npos;
}

}  // namespace test
