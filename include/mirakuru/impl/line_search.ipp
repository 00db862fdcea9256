// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <algorithm>

#include <mirakuru/detail/line_search.hpp>

namespace mirakuru {

MIRAKURU_DECL LineSearch::LineSearch(const LineMatcher& matcher) : matcher_{&matcher} {
  if (matcher.pattern_) pattern_.emplace(*matcher.pattern_);
}

MIRAKURU_DECL bool LineSearch::feed(std::string_view piece) {
  if (pattern_) return pattern_->feed(piece);
  return matcher_->callable_ ? feed_callable(piece) : feed_text(piece);
}

MIRAKURU_DECL bool LineSearch::feed_text(std::string_view piece) {
  const auto& text = matcher_->expression_;
  if (piece.find(text) != std::string_view::npos) return true;
  // It may lie across the pieces' border: so many bytes of each side are of interest.
  const auto reach = text.size() - 1;
  kept_ += piece.substr(0, reach);
  if (kept_.find(text) != std::string::npos) return true;
  if (piece.size() > reach)
    kept_ = piece.substr(piece.size() - reach);
  else if (kept_.size() > reach)
    kept_.erase(0, kept_.size() - reach);
  return false;
}

MIRAKURU_DECL bool LineSearch::feed_callable(std::string_view piece) {
  while (!piece.empty()) {
    const auto end = piece.find('\n');
    const auto part = piece.substr(0, std::min(end, longest_line / 2));
    const bool whole = part.size() == end;
    piece.remove_prefix(part.size() + (whole ? 1 : 0));
    if (whole && kept_.empty()) {
      if (call(part)) return true;
      continue;
    }
    kept_ += part;
    if (whole || kept_.size() > longest_line / 2) {
      if (call(kept_)) return true;
      kept_.erase(0,
                  whole ? kept_.size() : kept_.size() - std::min(kept_.size(), longest_line / 2));
    }
  }
  return !kept_.empty() && call(kept_);
}

MIRAKURU_DECL bool LineSearch::call(std::string_view line) const {
  return matcher_->call_(matcher_->callable_.get(), line);
}

}  // namespace mirakuru
