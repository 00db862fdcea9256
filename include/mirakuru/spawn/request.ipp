// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/stat.h>
#include <unistd.h>

#include <mirakuru/spawn/request.hpp>

namespace mirakuru::detail {

[[gnu::cold]] MIRAKURU_DECL LaunchRequest ask_for(const ResolvedCommand& command) {
  LaunchRequest request{.words = command.words(),
                        .cwd = command.cwd(),
                        .id = command.id(),
                        .clean_env = command.clean_env(),
                        .user = command.user()};
  for (const auto& [name, value] : command.env())
    if (value.text())
      request.env.emplace(name, *value.text());
    else
      request.unset.push_back(name);
  // The test itself may be a service, whose supervisor must not hear of this one.
  constexpr auto supervisor = "NOTIFY_SOCKET";
  if (!command.env().contains(supervisor)) request.unset.push_back(supervisor);
  return request;
}

MIRAKURU_DECL LaunchRequest request_of(const ResolvedCommand& command, int input, int output) {
  auto request = ask_for(command);
  request.in = input;
  request.out = request.err = output;
  request.steps = {{SIGKILL, std::chrono::nanoseconds::max()}};
  return request;
}

MIRAKURU_DECL void give_to(const Identity& user, int fd) {
  struct stat status{};
  if (::fstat(fd, &status) == 0 && status.st_nlink == 0) (void)!::fchown(fd, user.user, user.group);
}

}  // namespace mirakuru::detail
