// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <stdexcept>

#include <mirakuru/detail/line_matcher.hpp>
#include <mirakuru/detail/pattern.hpp>

namespace mirakuru {

MIRAKURU_DECL LineMatcher::LineMatcher(const std::string& expression) : expression_{expression} {
  if (expression.empty()) throw std::invalid_argument{"the banner is empty"};
  if (expression.find('\n') != std::string::npos)
    throw std::invalid_argument{"no line can have the line end in it that this banner has"};
  if (expression.find_first_of("\\^$.|?*+()[]{}") != std::string::npos)
    pattern_ = std::make_shared<const detail::Pattern>(expression);
}

}  // namespace mirakuru
