// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <fnmatch.h>
#include <algorithm>
#include <cstdlib>
#include <stdexcept>

#include <mirakuru/command.hpp>
#include <mirakuru/os/ascii.hpp>
#include <mirakuru/os/printable.hpp>

// Only .ipp files include this.

namespace mirakuru::detail {

/// The text without blanks at its begin and end.
[[nodiscard, gnu::cold]] inline std::string without_blanks(std::string text) {
  text.erase(text.begin(), std::ranges::find_if_not(text, is_space));
  while (!text.empty() && is_space(text.back())) text.pop_back();
  return text;
}

/// The end of the rule that begins at `at`: the next semicolon outside of quotes and escapes.
[[nodiscard, gnu::cold]] inline std::size_t end_of_rule(const std::string& rules, std::size_t at) {
  char quote = '\0';
  for (; at < rules.size(); ++at) {
    const char c = rules[at];
    if (c == '\\' && quote != '\'')
      ++at;
    else if (c == quote)
      quote = '\0';
    else if (quote == '\0' && c == ';')
      return at;
    else if (quote == '\0' && (c == '\'' || c == '"'))
      quote = c;
  }
  return rules.size();
}

/// The words that `rules` put in front of a program, such as a debugger; none if no rule matches.
///
/// `rules` is "PATTERN=WORDS; PATTERN=WORDS", and the first one that matches counts. A pattern is a
/// shell's, for the last part of the program's path. A semicolon in quotes, or behind a backslash,
/// belongs to the words. Throws `std::invalid_argument` for a rule without both parts, and for
/// words that cannot be split. Rests on fnmatch(3).
[[nodiscard, gnu::cold]] inline std::vector<std::string> wrap_words(const std::string& rules,
                                                                    const std::string& program) {
  const auto name = program.substr(program.rfind('/') + 1);  // npos + 1 is 0
  for (std::size_t begin = 0, end; begin < rules.size(); begin = end + 1) {
    end = end_of_rule(rules, begin);
    const auto rule = without_blanks(rules.substr(begin, end - begin));
    if (rule.empty()) continue;
    const auto equals = rule.find('=');
    const auto pattern = without_blanks(rule.substr(0, equals));
    try {
      const auto words = split_words(equals == rule.npos ? "" : rule.substr(equals + 1));
      if (pattern.empty() || words.empty())
        throw std::invalid_argument{"a rule is not PATTERN=WORDS: " + one_line(rule)};
      if (::fnmatch(pattern.c_str(), name.c_str(), 0) == 0) return words;
    } catch (const std::invalid_argument& error) {
      throw std::invalid_argument{std::string{"MIRAKURU_WRAP: "} + error.what()};
    }
  }
  return {};
}

/// The words that the variable MIRAKURU_WRAP puts in front of a program.
[[nodiscard]] inline std::vector<std::string> wrap_words(const std::string& program) {
  const char* const rules = std::getenv("MIRAKURU_WRAP");
  return rules == nullptr ? std::vector<std::string>{} : wrap_words(rules, program);
}

}  // namespace mirakuru::detail
