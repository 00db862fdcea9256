// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include <mirakuru/os/config.hpp>
#include <mirakuru/output/streams.hpp>
#include <mirakuru/process.hpp>
#include <mirakuru/spawn/launch.hpp>

// Notes for error messages: the likely reasons of a failure. Each is empty if it has nothing to
// say, and never throws.

namespace mirakuru::detail {

/// Words that only a shell understands, in a command that no shell reads.
[[nodiscard]] std::string shell_advice(const std::vector<std::string>& words) noexcept;
/// The output's file system has no space left. Rests on `fstatvfs`.
[[nodiscard]] std::string disk_advice(const OutputStreams& streams) noexcept;
/// The output is kept, and there is none.
[[nodiscard]] std::string silence_advice(const OutputStreams& streams) noexcept;
/// The limits that the command has had, and the one that has ended it if the kernel tells.
[[nodiscard]] std::string limits_advice(std::span<const ResourceLimit> limits,
                                        std::optional<int> exit_code) noexcept;
/// The leader has ended with `exit_code`, and others of its tree live.
[[nodiscard]] std::string leader_advice(const Process& process, int exit_code) noexcept;

}  // namespace mirakuru::detail

#if !defined(MIRAKURU_SEPARATE_COMPILATION)
#include <mirakuru/report/advice.ipp>
#endif
