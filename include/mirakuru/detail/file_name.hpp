// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <concepts>
#include <string>

#include <mirakuru/detail/config.hpp>

namespace mirakuru {

/// The name of a file, relative to the test's own directory. Throws `std::invalid_argument` for an
/// empty one.
class FileName {
 public:
  FileName(std::string name);                                  // NOLINT(*-explicit-*)
  FileName(const char* name) : FileName{std::string{name}} {}  // NOLINT(*-explicit-*)
  /// From a std::filesystem::path, say.
  template <class Text>
    requires std::convertible_to<const Text&, std::string>
  FileName(const Text& name) : FileName{static_cast<std::string>(name)} {}  // NOLINT(*-explicit-*)

  [[nodiscard]] const std::string& str() const noexcept { return name_; }

 private:
  std::string name_;
};

}  // namespace mirakuru

#if !defined(MIRAKURU_SEPARATE_COMPILATION)
#include <mirakuru/impl/file_name.ipp>
#endif
