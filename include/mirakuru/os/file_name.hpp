// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <concepts>
#include <stdexcept>
#include <string>
#include <utility>

#include <mirakuru/os/printable.hpp>

namespace mirakuru {

/// The name of a file, relative to the working directory of the test.
class FileName {
 public:
  /// Throws `std::invalid_argument` for an empty name and for a name with a NUL byte.
  FileName(std::string name) : name_{std::move(name)} {
    if (name_.empty() || name_.find('\0') != std::string::npos)
      throw std::invalid_argument{"not a file name: '" + detail::one_line(name_) + "'"};
  }
  /// Takes a literal, a `std::filesystem::path`, and any other value that converts to a string.
  template <std::convertible_to<std::string> Text>
  FileName(const Text& name) : FileName{static_cast<std::string>(name)} {}

  /// The name as given.
  [[nodiscard]] const std::string& str() const noexcept { return name_; }

 private:
  std::string name_;
};

}  // namespace mirakuru
