// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <unistd.h>
#include <algorithm>
#include <stdexcept>
#include <string_view>

#include <mirakuru/command.hpp>
#include <mirakuru/os/printable.hpp>
#include <mirakuru/os/uuid.hpp>

namespace mirakuru {

namespace detail {

// POSIX.1-2017, XCU 2.2 (quoting) and 2.6.5 (field splitting), without any expansion.
[[gnu::cold]] MIRAKURU_DECL std::vector<std::string> split_words(const std::string& line) {
  constexpr std::string_view blanks = " \t\n\r";  // \r: lines of Windows files
  std::vector<std::string> words;
  bool in_word = false;
  char quote = '\0';
  const auto add = [&](std::string_view piece) {
    if (!in_word) words.push_back({});
    in_word = true;
    words.back() += piece;
  };
  for (std::size_t i = 0; i < line.size(); ++i) {
    const char c = line[i];
    const std::string_view itself{&line[i], 1};
    if (quote == '\'' || (quote == '"' && c != '\\')) {
      c == quote ? void(quote = '\0') : add(itself);
    } else if (c == '\\') {
      if (++i == line.size())
        throw std::invalid_argument{"a backslash ends the command: " + one_line(line)};
      if (line[i] == '\n') continue;  // a continued line
      // Between double quotes, a backslash is plain text unless one of these follows.
      if (quote == '"' && std::string_view{"$`\"\\"}.find(line[i]) == std::string_view::npos)
        add(itself);
      add({&line[i], 1});
    } else if (c == '\'' || c == '"') {
      add("");  // the word may be empty
      quote = c;
    } else if (blanks.find(c) != std::string_view::npos) {
      in_word = false;
    } else {
      add(itself);
    }
  }
  if (quote != '\0')
    throw std::invalid_argument{std::string{"a quote ("} + quote +
                                ") is not closed in the command: " + one_line(line)};
  return words;
}

/// True for a reserved word of sh or bash that needs no other quotes. Source: POSIX.1-2017,
/// XCU 2.4.
[[gnu::cold]] inline bool is_reserved(std::string_view word) {
  constexpr std::string_view reserved[] = {"case",   "coproc", "do",   "done",     "elif", "else",
                                           "esac",   "fi",     "for",  "function", "if",   "in",
                                           "select", "then",   "time", "until",    "while"};
  return std::ranges::find(reserved, word) != std::end(reserved);
}

[[gnu::cold]] MIRAKURU_DECL std::string quote_words(const std::vector<std::string>& words) {
  constexpr std::string_view plain =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789@%_+=:,./-";
  std::string line;
  for (const auto& word : words) {
    if (!line.empty()) line += ' ';
    // A shell reads A=b before the program as an assignment, and a reserved word as itself.
    const bool special = line.empty() && (word.find('=') != std::string::npos || is_reserved(word));
    if (!word.empty() && !special && word.find_first_not_of(plain) == std::string::npos) {
      line += word;
      continue;
    }
    line += '\'';
    for (const char c : word) line += c == '\'' ? R"('\'')" : std::string(1, c);
    line += '\'';
  }
  return line;
}

MIRAKURU_DECL ResolvedCommand::ResolvedCommand(const Command& command)
    : words_{command.shell ? std::vector<std::string>{"/bin/sh", "-c", command.argv.line()}
                           : command.argv.words()},
      cwd_{command.cwd},
      env_{command.env},
      clean_env_{command.clean_env},
      user_{command.user},
      scratch_{command.scratch},
      text_{one_line(command.shell ? command.argv.line() : quote_words(words_))},
      uuid_{make_uuid()} {
  const auto with_nul = [](const std::string& s) { return s.find('\0') != std::string::npos; };
  if (words_.empty() || words_[0].empty() || text_.empty())
    throw std::invalid_argument{"the command is empty"};
  if (std::ranges::any_of(words_, with_nul) || with_nul(cwd_) || with_nul(user_) ||
      with_nul(scratch_))
    throw std::invalid_argument{"a NUL byte is in the command: " + text_};
  for (const auto& [name, value] : env_)
    if (name.empty() || name.find('=') != std::string::npos || with_nul(name) ||
        with_nul(value.text().value_or("")))
      throw std::invalid_argument{"this cannot be an environment variable: '" + one_line(name) +
                                  "'"};
}

MIRAKURU_DECL std::string ResolvedCommand::id() const {
  const auto given = env_.find("mirakuru_uuid");
  return given != env_.end() && given->second.text() ? *given->second.text()
                                                     : std::to_string(::getpid()) + ':' + uuid_;
}

}  // namespace detail

MIRAKURU_DECL std::vector<std::string> Argv::words() const {
  return split_ ? detail::split_words(line_) : words_;
}

MIRAKURU_DECL std::string Argv::line() const {
  return split_ ? line_ : detail::quote_words(words_);
}

}  // namespace mirakuru
