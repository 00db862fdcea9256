// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <mirakuru/command.hpp>
#include <mirakuru/os/config.hpp>
#include <mirakuru/spawn/launch.hpp>

// Requests from commands.

namespace mirakuru::detail {

/// The request that asks a spawner for a command.
[[nodiscard]] LaunchRequest ask_for(const ResolvedCommand& command);
/// The request for a command beside a service, such as one that ends it: its output goes to
/// `output`. After the owner's death it is killed at once.
[[nodiscard]] LaunchRequest request_of(const ResolvedCommand& command, int input, int output);
/// The file without a name becomes `user`'s, so that the command can open it anew as /dev/stderr.
void give_to(const Identity& user, int fd);

}  // namespace mirakuru::detail

#if !defined(MIRAKURU_SEPARATE_COMPILATION)
#include <mirakuru/spawn/request.ipp>
#endif
