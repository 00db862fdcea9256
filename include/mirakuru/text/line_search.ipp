// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <algorithm>
#include <stdexcept>
#include <utility>

#include <mirakuru/text/line_search.hpp>

namespace mirakuru {

MIRAKURU_DECL LineMatcher::LineMatcher(const std::string& expression) : expression_{expression} {
  if (expression.empty()) throw std::invalid_argument{"the banner is empty"};
  if (expression.find('\n') != std::string::npos)
    throw std::invalid_argument{"the banner contains a newline; it is matched line by line"};
  if (expression.find_first_of("\\^$.|?*+()[]{}") != std::string::npos)
    pattern_ = std::make_shared<const detail::Pattern>(expression);
}

MIRAKURU_DECL LineSearch::LineSearch(const LineMatcher& matcher) : matcher_{&matcher} {
  if (matcher.pattern_) pattern_.emplace(*matcher.pattern_);
}

MIRAKURU_DECL std::size_t LineSearch::take(std::string_view piece,
                                           detail::Clock::time_point until) {
  if (pattern_) return pattern_->take(piece, until);
  if (matcher_->callable_) return take_for_callable(piece, until);
  take_text(piece);
  return piece.size();
}

MIRAKURU_DECL bool LineSearch::found() {
  if (pattern_) return pattern_->found();
  if (std::exchange(grown_, false)) found_so_far_ = !kept_.empty() && call(kept_);
  return found_ || found_so_far_;
}

MIRAKURU_DECL void LineSearch::restart() {
  if (pattern_) pattern_->restart();
  kept_.clear();
  found_ = found_so_far_ = grown_ = false;
}

MIRAKURU_DECL void LineSearch::take_text(std::string_view piece) {
  const auto& text = matcher_->expression_;
  // A match may cross the border of two pieces by up to this many bytes.
  const auto reach = text.size() - 1;
  kept_ += piece.substr(0, reach);
  found_ =
      found_ || piece.find(text) != std::string_view::npos || kept_.find(text) != std::string::npos;
  if (piece.size() > reach)
    kept_ = piece.substr(piece.size() - reach);
  else if (kept_.size() > reach)
    kept_.erase(0, kept_.size() - reach);
}

MIRAKURU_DECL std::size_t LineSearch::take_for_callable(std::string_view piece,
                                                        detail::Clock::time_point until) {
  const auto size = piece.size();
  grown_ = true;
  while (!piece.empty() && !found_) {
    const auto end = piece.find('\n');
    const auto part = piece.substr(0, std::min(end, longest_line / 2));
    const bool whole = part.size() == end;
    piece.remove_prefix(part.size() + (whole ? 1 : 0));
    if (whole && kept_.empty()) {
      found_ = call(part);
    } else {
      kept_ += part;
      if (!whole && kept_.size() <= longest_line / 2) continue;
      found_ = call(kept_);
      kept_.erase(0,
                  whole ? kept_.size() : kept_.size() - std::min(kept_.size(), longest_line / 2));
    }
    if (until != never && detail::Clock::now() >= until) break;
  }
  return size - piece.size();
}

/// Calls the callable with a line. A carriage return at its end belongs to the line's end.
MIRAKURU_DECL bool LineSearch::call(std::string_view line) const {
  if (line.ends_with('\r')) line.remove_suffix(1);
  return matcher_->call_(matcher_->callable_.get(), line);
}

}  // namespace mirakuru
