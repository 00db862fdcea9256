// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <string_view>

#include <mirakuru/error.hpp>
#include <mirakuru/spawn/launch.hpp>

namespace mirakuru {

MIRAKURU_DECL SpawnFailure::SpawnFailure(const std::string& step, std::error_code code,
                                         const std::string& reason)
    : system_error{code},
      text_{step + ": " + (reason.empty() ? detail::reason_text(code) : reason)} {}

namespace detail {

MIRAKURU_DECL SpawnFailure exec_failure(const std::string& program, int error) {
  // The program was found, so the missing file is the one in its first line.
  return {"cannot run " + program,
          {error, std::generic_category()},
          error == ENOENT ? "its interpreter is not there" : ""};
}

[[noreturn]] inline void throw_spawn_failure(int error, const std::string& step) {
  throw SpawnFailure{step, {error, std::generic_category()}};
}

/// The errno value of why a directory or a file cannot be entered or executed; 0 if it can.
inline int access_error(const std::string& path, mode_t type, int error_of_type) {
  struct stat status{};
  if (::stat(path.c_str(), &status) != 0) return errno;
  if ((status.st_mode & S_IFMT) != type) return error_of_type;
  return ::faccessat(AT_FDCWD, path.c_str(), X_OK, AT_EACCESS) == 0 ? 0 : errno;
}

inline std::string resolve_program(const LaunchRequest& request) {
  const auto& cwd = request.cwd;
  if (!cwd.empty())
    if (const int error = access_error(cwd, S_IFDIR, ENOTDIR); error != 0)
      throw_spawn_failure(error, "cannot run in the directory " + cwd);

  // A relative name starts at the directory that the command runs in.
  const auto program_error = [&cwd](const std::string& path) {
    return access_error(cwd.empty() || path[0] == '/' ? path : cwd + '/' + path, S_IFREG, EACCES);
  };
  const std::string& name = request.words.at(0);
  if (name.find('/') != std::string::npos) {
    if (const int error = program_error(name); error != 0)
      throw_spawn_failure(error, "cannot run " + name);
    return name;
  }

  const auto given = request.env.find("PATH");
  const char* const inherited = ::getenv("PATH");
  const std::string path = given != request.env.end() ? given->second
                           : inherited != nullptr     ? inherited
                                                      : "/usr/local/bin:/usr/bin:/bin";
  int error = ENOENT;
  for (std::size_t begin = 0; begin <= path.size();) {
    const auto end = std::min(path.find(':', begin), path.size());
    // An empty entry is the current directory.
    auto candidate = (end == begin ? "." : path.substr(begin, end - begin)) + '/' + name;
    const int its_error = program_error(candidate);
    if (its_error == 0) return candidate;
    if (its_error == EACCES) error = EACCES;
    begin = end + 1;
  }
  throw_spawn_failure(error, "cannot run " + name + ", looked up in PATH=" + path);
}

inline std::vector<std::string> full_environment(const LaunchRequest& request) {
  auto added = request.env;
  if (!request.id.empty()) added.insert_or_assign("mirakuru_uuid", request.id);
  std::vector<std::string> result;
  result.reserve(64);
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    const std::string_view text{*entry};
    const auto has_its_name = [text](const auto& variable) {
      const auto size = variable.first.size();
      return text.starts_with(variable.first) && (text.size() == size || text[size] == '=');
    };
    if (std::none_of(added.begin(), added.end(), has_its_name)) result.emplace_back(text);
  }
  for (const auto& [name, value] : added) result.push_back(name + '=' + value);
  return result;
}

}  // namespace detail

MIRAKURU_DECL LocalExec local_exec(const LaunchRequest& request) {
  return {detail::resolve_program(request), detail::full_environment(request)};
}

}  // namespace mirakuru
