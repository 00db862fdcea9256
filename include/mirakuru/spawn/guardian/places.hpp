// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <string>

#include <mirakuru/os/unique_fd.hpp>

// The directories that a guardian removes at the end.

namespace mirakuru::detail {

/// The control group of a command; empty for none.
struct Cgroup {
  std::string path = {};
  UniqueFd directory = {}, kill = {};
};

/// A directory that goes after the owner's death; empty for none.
struct Scratch {
  UniqueFd directory = {}, lock = {};
  std::string lock_path = {};  // empty if it has no lock file
};

}  // namespace mirakuru::detail
