// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <fnmatch.h>
#include <cstdlib>
#include <sstream>
#include <stdexcept>

#include <mirakuru/command.hpp>

// Only .ipp files include this.

namespace mirakuru::detail {

/// The words that `rules` put in front of a program, such as a debugger; none if no rule matches.
///
/// `rules` is "PATTERN=WORDS; PATTERN=WORDS", and the first one that matches counts. A pattern is a
/// shell's, for the last part of the program's path. Throws `std::invalid_argument` for a rule
/// without both parts, and for words that cannot be split. Rests on fnmatch(3).
[[nodiscard]] inline std::vector<std::string> wrap_words(const std::string& rules,
                                                         const std::string& program) {
  const auto name = program.substr(program.rfind('/') + 1);  // npos + 1 is 0
  std::istringstream list{rules};
  for (std::string rule; std::getline(list >> std::ws, rule, ';');) {
    if (rule.empty()) continue;
    const auto equals = rule.find('=');
    const auto pattern = rule.substr(0, equals);
    const auto words = split_words(equals == rule.npos ? "" : rule.substr(equals + 1));
    if (pattern.empty() || words.empty())
      throw std::invalid_argument{"MIRAKURU_WRAP has a rule that is not PATTERN=WORDS: " + rule};
    if (::fnmatch(pattern.c_str(), name.c_str(), 0) == 0) return words;
  }
  return {};
}

/// The words that the variable MIRAKURU_WRAP puts in front of a program.
[[nodiscard]] inline std::vector<std::string> wrap_words(const std::string& program) {
  const char* const rules = std::getenv("MIRAKURU_WRAP");
  return wrap_words(rules == nullptr ? "" : rules, program);
}

}  // namespace mirakuru::detail
