// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <algorithm>
#include <set>
#include <stdexcept>
#include <utility>

#include <mirakuru/kit/render.hpp>
#include <mirakuru/os/ascii.hpp>
#include <mirakuru/os/printable.hpp>

namespace mirakuru {

MIRAKURU_DECL std::string render(std::string_view text, const std::map<std::string, Word>& values) {
  const auto refuse = [](const std::string& reason) {
    throw std::invalid_argument{"render: " + reason};
  };
  std::string result;
  bool after_dollar = false;  // of the text, not of a value
  std::set<std::string> used;
  while (!text.empty()) {
    const auto begin = std::min(text.find("${"), text.size());
    if (begin > 0) after_dollar = text[begin - 1] == '$';
    result += text.substr(0, begin);
    text.remove_prefix(begin);
    if (text.empty()) break;
    if (std::exchange(after_dollar, false)) {  // $${
      result += '{';
      text.remove_prefix(2);
      continue;
    }
    const auto end = text.find('}');
    const std::string name{text.substr(2, end == text.npos ? end : end - 2)};
    if (end == text.npos || name.empty() || !std::all_of(name.begin(), name.end(), detail::is_word))
      refuse("not a name: '" +
             detail::one_line(std::string{text.substr(0, std::min(end, text.find('\n')))}) +
             "'; a plain ${ is written $${");
    const auto value = values.find(name);
    if (value == values.end()) refuse("no value for ${" + name + '}');
    result += value->second.str();
    used.insert(name);
    text.remove_prefix(end + 1);
  }
  for (const auto& [name, value] : values)
    if (!used.contains(name)) refuse("the text does not use ${" + name + '}');
  return result;
}

}  // namespace mirakuru
