// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cerrno>
#include <string>
#include <system_error>

namespace mirakuru::detail {

/// Throws `std::system_error` for the errno value `error`; `text` says which step has failed.
[[noreturn]] inline void throw_error(int error, const std::string& text) {
  throw std::system_error{error, std::generic_category(), text};
}

/// Throws `std::system_error` for the system call that has just failed.
[[noreturn]] inline void throw_errno(const char* call) { throw_error(errno, call); }

}  // namespace mirakuru::detail
