// SPDX-License-Identifier: BSL-1.0
// Regular expressions that are refused.

#pragma once

#include <stdexcept>
#include <string>

#include <mirakuru/text/pattern_parser.hpp>

namespace test {

/// The mistake that `expression` is refused for; "nothing" if it is accepted.
inline std::string refusal(const std::string& expression) {
  const auto begin = "the regular expression '" + expression + "' has ";
  try {
    const mirakuru::detail::Pattern pattern{expression};
  } catch (const std::invalid_argument& error) {
    const std::string message = error.what();
    return message.starts_with(begin) ? message.substr(begin.size()) : "another: " + message;
  }
  return "nothing";
}

}  // namespace test
