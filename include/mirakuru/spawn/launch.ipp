// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>
#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <string_view>

#include <mirakuru/os/printable.hpp>
#include <mirakuru/spawn/launch.hpp>
#include <mirakuru/text/phrases.hpp>

namespace mirakuru {

[[gnu::cold]] MIRAKURU_DECL SpawnFailure::SpawnFailure(const std::string& step,
                                                       std::error_code code,
                                                       const std::string& reason)
    : system_error{code},
      text_{step + ": " + (reason.empty() ? detail::reason_text(code) : reason)} {}

namespace detail {

[[gnu::cold]] MIRAKURU_DECL SpawnFailure exec_failure(const std::string& program, int error) {
  // The program was found, so the missing file is the one in its first line.
  std::string reason, line;
  if (error == ENOENT && std::getline(std::ifstream{program}, line) && line.starts_with("#!"))
    reason = "its interpreter '" + one_line(line.substr(2)) + "' is not there";
  else if (error == ENOENT)
    reason = "its interpreter is not there";
  return {"cannot run " + program, {error, std::generic_category()}, reason};
}

[[gnu::cold]] inline void check_launch(int error, const std::string& step) {
  if (error != 0) throw SpawnFailure{step, {error, std::generic_category()}};
}

/// The errno value of why a directory or a file cannot be entered or executed; 0 if it can.
[[gnu::cold]] inline int access_error(const std::string& path, mode_t type, int error_of_type) {
  struct stat status{};
  int error = 0;
  if (::stat(path.c_str(), &status) != 0)
    error = errno;
  else if ((status.st_mode & S_IFMT) != type)
    return error_of_type;
  else if (::faccessat(AT_FDCWD, path.c_str(), X_OK, AT_EACCESS) != 0)
    error = errno;
  // An old container refuses calls that it does not know. `execve` has the last word.
  return error == EPERM || error == ENOSYS ? 0 : error;
}

/// The reason why a file cannot be executed, if it lacks the permission of everybody; else empty.
[[gnu::cold]] inline std::string permission_advice(const std::string& path) {
  struct stat status{};
  if (::stat(path.c_str(), &status) != 0) return {};
  if (S_ISDIR(status.st_mode)) return ", it is a directory";
  return S_ISREG(status.st_mode) && (status.st_mode & 0111) == 0 ? ", not executable (chmod +x)"
                                                                 : "";
}

[[noreturn, gnu::cold]] inline void throw_not_runnable(const std::string& name, int error,
                                                       const std::string& advice) {
  const std::error_code code{error, std::generic_category()};
  throw SpawnFailure{"cannot run " + name, code, reason_text(code) + advice};
}

[[gnu::cold]] inline std::string resolve_program(const LaunchRequest& request) {
  const auto& cwd = request.cwd;
  if (!cwd.empty())
    check_launch(access_error(cwd, S_IFDIR, ENOTDIR), "cannot run in the directory " + cwd);

  // A relative name starts at the directory that the command runs in.
  const auto place = [&cwd](const std::string& path) {
    return cwd.empty() || path[0] == '/' ? path : cwd + '/' + path;
  };
  const auto program_error = [&place](const std::string& path) {
    return access_error(place(path), S_IFREG, EACCES);
  };
  const std::string& name = request.words.at(0);
  if (name.find('/') != std::string::npos) {
    if (const int error = program_error(name); error != 0)
      throw_not_runnable(
          name, error,
          permission_advice(place(name)) +
              (place(name) != name ? "\nlooked up in " + cwd + " (Command::cwd)" : ""));
    return name;
  }

  const auto given = request.env.find("PATH");
  const bool inherits = !request.clean_env && std::ranges::count(request.unset, "PATH") == 0;
  const char* const inherited = inherits ? ::getenv("PATH") : nullptr;
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
  throw_not_runnable(name, error, "\nlooked up in PATH=" + path);
}

[[gnu::cold]] inline std::vector<std::string> full_environment(const LaunchRequest& request) {
  constexpr std::string_view mark = "mirakuru_uuid";
  const auto is_added = [&](std::string_view name) {
    const auto is = [name](const auto& variable) { return variable.first == name; };
    return (name == mark && !request.id.empty()) || std::ranges::any_of(request.env, is);
  };
  std::vector<std::string> result;
  result.reserve(64);
  char** const inherited = request.clean_env ? nullptr : environ;
  for (char** entry = inherited; entry != nullptr && *entry != nullptr; ++entry) {
    const std::string_view text{*entry};
    const auto name = text.substr(0, text.find('='));
    if (!is_added(name) && std::ranges::count(request.unset, name) == 0)
      result.push_back(std::string{text});
  }
  for (const auto& [name, value] : request.env)
    if (name != mark || request.id.empty()) result.push_back(name + '=' + value);
  if (!request.id.empty()) result.push_back(std::string{mark} + '=' + request.id);
  return result;
}

[[gnu::cold]] MIRAKURU_DECL std::string place_step(const LaunchRequest& request) {
  return "cannot run in the directory " + request.cwd +
         (request.user.empty() ? "" : " as the user " + one_line(request.user));
}

[[gnu::cold]] MIRAKURU_DECL std::optional<Identity> identity_of(const std::string& name) {
  if (name.empty()) return {};
  const auto step = "cannot run as the user " + one_line(name);
  std::string buffer(16 * 1024, '\0');
  passwd entry{}, *found = nullptr;
  const int error = ::getpwnam_r(name.c_str(), &entry, buffer.data(), buffer.size(), &found);
  if (found == nullptr)
    throw SpawnFailure{step,
                       {error == 0 ? ENOENT : error, std::generic_category()},
                       error == 0 ? "there is no such user" : ""};
  if (entry.pw_uid == ::geteuid()) return {};
  if (::geteuid() != 0)
    throw SpawnFailure{step, {EPERM, std::generic_category()}, "only root may change the user"};
  Identity identity{.user = entry.pw_uid, .group = entry.pw_gid, .groups = {}};
  int count = 64;
  for (bool fits = false; !fits;) {
    identity.groups.resize(static_cast<std::size_t>(count));
    fits = ::getgrouplist(name.c_str(), entry.pw_gid, identity.groups.data(), &count) >= 0;
  }
  identity.groups.resize(static_cast<std::size_t>(count));
  return identity;
}

}  // namespace detail

[[gnu::cold]] MIRAKURU_DECL LocalExec local_exec(const LaunchRequest& request) {
  const auto& given = request.descriptors;
  if (given.size() > LaunchRequest::most_descriptors ||
      (!given.empty() && given.begin()->first < 3))
    throw SpawnFailure{"cannot give it these descriptors",
                       std::make_error_code(std::errc::invalid_argument)};
  return {detail::resolve_program(request), detail::full_environment(request),
          detail::identity_of(request.user)};
}

}  // namespace mirakuru
