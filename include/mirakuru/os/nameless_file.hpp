// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <string>
#include <vector>

#include <mirakuru/os/config.hpp>
#include <mirakuru/os/unique_fd.hpp>

namespace mirakuru::detail {

/// The directories for temporary files: $TMPDIR if it is set, /tmp, /var/tmp and /dev/shm.
[[gnu::cold]] std::vector<std::string> temporary_directories();

/// Makes a file without a name in $TMPDIR, else in /tmp, /var/tmp or /dev/shm. It is open for
/// reading and writing, with more `flags` such as O_APPEND. Throws `std::system_error` that names
/// the `purpose`. Rests on `O_TMPFILE`, or on an unlinked `mkostemp` file.
[[gnu::cold]] UniqueFd nameless_file(const char* purpose, int flags);

}  // namespace mirakuru::detail

#if !defined(MIRAKURU_SEPARATE_COMPILATION)
#include <mirakuru/os/nameless_file.ipp>
#endif
