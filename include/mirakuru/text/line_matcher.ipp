// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <mirakuru/text/line_matcher.hpp>
#include <mirakuru/text/line_search.hpp>
#include <mirakuru/text/pattern_parser.hpp>

namespace mirakuru {

MIRAKURU_DECL detail::TextSearch detail::search_of(const LineMatcher& matcher) {
  return TextSearch{std::make_shared<LineSearch>(matcher)};
}

MIRAKURU_DECL LineMatcher::LineMatcher(const std::string& expression) : expression_{expression} {
  if (expression.empty()) throw std::invalid_argument{"the banner is empty"};
  if (expression.find('\n') != std::string::npos)
    throw std::invalid_argument{"the banner contains a newline; it is matched line by line"};
  if (expression.find_first_of("\\^$.|?*+()[]{}") != std::string::npos)
    pattern_ = std::make_shared<const detail::Pattern>(expression);
}

}  // namespace mirakuru
