// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <concepts>
#include <stdexcept>
#include <string>
#include <utility>

#include <mirakuru/os/printable.hpp>

namespace mirakuru {

/// The name of a file, relative to the test's own directory. Throws `std::invalid_argument` for an
/// empty one.
class FileName {
 public:
  FileName(std::string name) : name_{std::move(name)} {
    if (name_.empty() || name_.find('\0') != std::string::npos)
      throw std::invalid_argument{"not a file name: '" + detail::one_line(name_) + "'"};
  }
  FileName(const char* name) : FileName{std::string{name}} {}
  /// From a std::filesystem::path, say.
  template <class Text>
    requires std::convertible_to<const Text&, std::string>
  FileName(const Text& name) : FileName{static_cast<std::string>(name)} {}

  [[nodiscard]] const std::string& str() const noexcept { return name_; }

 private:
  std::string name_;
};

}  // namespace mirakuru
