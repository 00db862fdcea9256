// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/resource.h>
#include <sys/statvfs.h>
#include <algorithm>
#include <csignal>
#include <string_view>

#include <mirakuru/os/ascii.hpp>
#include <mirakuru/os/printable.hpp>
#include <mirakuru/os/proc.hpp>
#include <mirakuru/report/advice.hpp>
#include <mirakuru/text/phrases.hpp>

namespace mirakuru::detail {

/// True for a word that a shell would not take as it is.
[[gnu::cold]] inline bool is_for_a_shell(std::string_view word) {
  constexpr std::string_view operators[] = {"&&", "||", "|", "&", ";", ">", ">>", "<", "*"};
  if (std::ranges::find(operators, word) != std::end(operators)) return true;
  const auto digits = word.find_first_not_of("0123456789&");
  if (digits != word.npos && (word[digits] == '>' || word[digits] == '<')) return true;  // 2>&1
  if (word == "~" || word.starts_with("~/")) return true;
  // A word with blanks was quoted, so it is meant as it is. So is the & of a URL.
  const auto has = [word](std::string_view part) { return word.find(part) != word.npos; };
  if (std::ranges::none_of(word, is_space) && !has("://") &&
      (has("&&") || has("||") || has("`") || word.ends_with('&') || word.ends_with(';')))
    return true;
  if (word.find("/*") != word.npos || word.starts_with("*.")) return true;
  const auto dollar = word.find('$');
  return dollar != word.npos && dollar + 1 < word.size() &&
         (is_letter(word[dollar + 1]) ||
          std::string_view{"_{("}.find(word[dollar + 1]) != std::string_view::npos);
}

/// True if the program at a path has one of the names, with any version behind it: python3.11.
[[gnu::cold]] inline bool is_program(std::string_view path,
                                     std::span<const std::string_view> names) {
  const auto name = path.substr(path.rfind('/') + 1);  // npos + 1 is 0
  return std::ranges::count(names, name.substr(0, name.find_last_not_of("0123456789.") + 1)) > 0;
}

[[gnu::cold]] MIRAKURU_DECL std::string shell_advice(const std::vector<std::string>& words) noexcept
    try {
  // Programs with a language of their own, and those that read it from their first plain word.
  constexpr std::string_view interpreters[] = {"sh",   "bash", "dash", "ash",    "zsh",
                                               "ksh",  "fish", "perl", "python", "ruby",
                                               "node", "lua",  "psql", "mysql"};
  constexpr std::string_view filters[] = {"awk", "gawk", "mawk", "nawk", "sed", "jq"};
  std::string found;
  bool interpreted = false, skips = false;
  for (const auto& word : words) {
    const bool option = word.size() > 1 && word[0] == '-';
    if (skips && !option) {
      skips = false;
      continue;
    }
    interpreted |= is_program(word, interpreters);
    skips |= is_program(word, filters) || (interpreted && option && word[1] != '-' &&
                                           (word.back() == 'c' || word.back() == 'e'));
    if (found.empty() && is_for_a_shell(word)) found = word;
  }
  const auto& first = words.at(0);
  const auto equals = first.find('=');
  if (equals != first.npos && equals > 0 &&
      std::all_of(first.begin(), first.begin() + static_cast<std::ptrdiff_t>(equals), is_word))
    return "'" + one_line(first) + "' is the program here; a variable is Command{.env = {{\"" +
           first.substr(0, equals) + "\", \"" + one_line(first.substr(equals + 1)) + "\"}}}";
  if (found.empty()) return {};
  return "'" + one_line(found) + "' is a plain word here; a line for a shell is mk::Shell{\"...\"}";
} catch (...) {
  return {};
}

[[gnu::cold]] MIRAKURU_DECL std::string disk_advice(const OutputStreams& streams) noexcept try {
  for (const auto* file : {&streams.out(), &streams.err()}) {
    struct statvfs disk{};
    if (file->kept() && ::fstatvfs(file->fd(), &disk) == 0 && disk.f_blocks > 0 &&
        disk.f_bavail == 0)
      return "the file system of its output is full, so that output may be missing";
  }
  return {};
} catch (...) {
  return {};
}

[[gnu::cold]] MIRAKURU_DECL std::string silence_advice(const OutputStreams& streams) noexcept try {
  const bool kept = streams.out().kept() || streams.err().kept();
  return kept && streams.out().size() == 0 && streams.err().size() == 0 ? "it has printed nothing"
                                                                        : "";
} catch (...) {
  return {};
}

[[gnu::cold]] MIRAKURU_DECL std::string limits_advice(std::span<const ResourceLimit> limits,
                                                      std::optional<int> exit_code) noexcept try {
  std::string text;
  for (const auto& limit : limits) {
    const auto is = [&](int resource) { return limit.resource == resource; };
    if (is(RLIMIT_CPU) && (exit_code == -SIGXCPU || exit_code == -SIGKILL))
      return "its limit of processor time (" + std::to_string(limit.soft) + " s) has ended it";
    const auto number = std::to_string(limit.soft);
    const auto name = is(RLIMIT_AS)       ? "memory " + number + " bytes"
                      : is(RLIMIT_NOFILE) ? "files " + number
                      : is(RLIMIT_CPU)    ? "processor time " + number + " s"
                      : is(RLIMIT_CORE)
                          ? "core file " + number + " bytes"
                          : "resource " + std::to_string(limit.resource) + ' ' + number;
    text += (text.empty() ? "its limits: " : ", ") + name;
  }
  return text;
} catch (...) {
  return {};
}

[[gnu::cold]] MIRAKURU_DECL std::string leader_advice(const Process& process,
                                                      int exit_code) noexcept try {
  auto tree = process_tree(process.pid(), process.context().guardian);
  std::erase(tree, process.pid());
  if (tree.empty()) return {};
  constexpr std::size_t most = 5;
  std::string text = "its own process " + exit_headline(exit_code) + "; still there: ";
  for (std::size_t i = 0; i < tree.size() && i < most; ++i)
    text += (i == 0 ? "" : ", ") + describe_process(tree[i]);
  if (tree.size() > most) text += " and " + std::to_string(tree.size() - most) + " more";
  return text;
} catch (...) {
  return {};
}

}  // namespace mirakuru::detail
