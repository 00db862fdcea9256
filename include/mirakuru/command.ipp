// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <stdexcept>
#include <string_view>
#include <system_error>

#include <mirakuru/command.hpp>
#include <mirakuru/error.hpp>
#include <mirakuru/os/uuid.hpp>

namespace mirakuru {

namespace detail {

// POSIX.1-2017, XCU 2.2 (quoting) and 2.6.5 (field splitting), without any expansion.
MIRAKURU_DECL std::vector<std::string> split_words(const std::string& line) {
  constexpr std::string_view blanks = " \t\n\r";  // the last for lines out of Windows files
  std::vector<std::string> words;
  bool in_word = false;
  char quote = '\0';
  const auto add = [&](std::string_view piece) {
    if (!in_word) words.emplace_back();
    in_word = true;
    words.back() += piece;
  };
  for (std::size_t i = 0; i < line.size(); ++i) {
    const char c = line[i];
    const std::string_view itself{&line[i], 1};
    if (quote == '\'' || (quote == '"' && c != '\\')) {
      c == quote ? void(quote = '\0') : add(itself);
    } else if (c == '\\') {
      if (++i == line.size()) throw std::invalid_argument{"a backslash ends the command: " + line};
      if (line[i] == '\n') continue;  // a line continued
      // Between double quotes a backslash is itself unless it stands before one of these.
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
                                ") is not closed in the command: " + line};
  return words;
}

MIRAKURU_DECL std::string quote_words(const std::vector<std::string>& words) {
  constexpr std::string_view plain =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789@%_+=:,./-";
  std::string line;
  for (const auto& word : words) {
    if (!line.empty()) line += ' ';
    // In front of the program a shell takes A=b for an assignment.
    const bool assigns = line.empty() && word.find('=') != std::string::npos;
    if (!word.empty() && !assigns && word.find_first_not_of(plain) == std::string::npos) {
      line += word;
      continue;
    }
    line += '\'';
    for (const char c : word) line += c == '\'' ? R"('\'')" : std::string(1, c);
    line += '\'';
  }
  return line;
}

/// Why `path` cannot be executed, as an errno value; 0 if it can.
inline int why_not_executable(const std::string& path) {
  struct stat status{};
  if (::stat(path.c_str(), &status) != 0) return errno;
  if (!S_ISREG(status.st_mode)) return EACCES;
  return ::faccessat(AT_FDCWD, path.c_str(), X_OK, AT_EACCESS) == 0 ? 0 : errno;
}

MIRAKURU_DECL ResolvedCommand::ResolvedCommand(const Command& command)
    : words_{command.shell ? std::vector<std::string>{"/bin/sh", "-c", command.argv.line()}
                           : command.argv.words()},
      cwd_{command.cwd},
      env_{command.env},
      text_{one_line(command.shell ? command.argv.line() : quote_words(words_))},
      uuid_{make_uuid()} {
  const auto with_nul = [](const std::string& s) { return s.find('\0') != std::string::npos; };
  if (words_.empty() || words_[0].empty() || text_.empty())
    throw std::invalid_argument{"the command is empty"};
  if (std::any_of(words_.begin(), words_.end(), with_nul) || with_nul(cwd_))
    throw std::invalid_argument{"a NUL byte is in the command: " + text_};
  for (const auto& [name, value] : env_)
    if (name.empty() || name.find('=') != std::string::npos || with_nul(name) || with_nul(value))
      throw std::invalid_argument{"this cannot be an environment variable: '" + one_line(name) +
                                  "'"};
}

MIRAKURU_DECL ResolvedCommand::ResolvedCommand(const Argv& argv)
    : ResolvedCommand{Command{.argv = argv}} {}
MIRAKURU_DECL ResolvedCommand::ResolvedCommand(const Shell& shell)
    : ResolvedCommand{static_cast<Command>(shell)} {}
MIRAKURU_DECL ResolvedCommand::ResolvedCommand(const char* line) : ResolvedCommand{Argv{line}} {}
MIRAKURU_DECL ResolvedCommand::ResolvedCommand(const std::string& line)
    : ResolvedCommand{Argv{line}} {}
MIRAKURU_DECL ResolvedCommand::ResolvedCommand(const std::vector<std::string>& words)
    : ResolvedCommand{Argv{words}} {}
MIRAKURU_DECL ResolvedCommand::ResolvedCommand(std::initializer_list<std::string> words)
    : ResolvedCommand{Argv{std::vector<std::string>{words}}} {}
MIRAKURU_DECL ResolvedCommand::ResolvedCommand(const ResolvedCommand&) = default;
MIRAKURU_DECL ResolvedCommand::ResolvedCommand(ResolvedCommand&&) noexcept = default;
MIRAKURU_DECL ResolvedCommand::~ResolvedCommand() = default;

MIRAKURU_DECL std::string ResolvedCommand::program() const {
  const auto fail = [this](int error, const std::string& what) {
    const std::error_code code{error, std::generic_category()};
    throw SpawnError{ErrorContext{.command = text_}.message(what + ": " + reason_text(code)), code};
  };
  if (words_.empty()) throw std::logic_error{"this executor has been moved from"};
  struct stat status{};
  if (!cwd_.empty()) {
    int error = ::stat(cwd_.c_str(), &status) != 0 ? errno : 0;
    if (error == 0 && !S_ISDIR(status.st_mode)) error = ENOTDIR;
    if (error == 0 && ::faccessat(AT_FDCWD, cwd_.c_str(), X_OK, AT_EACCESS) != 0) error = errno;
    if (error != 0) fail(error, "cannot run in the directory " + cwd_);
  }

  // A relative name is relative to the directory that the child will be in.
  const auto seen_from_here = [this](const std::string& path) {
    return cwd_.empty() || path[0] == '/' ? path : cwd_ + '/' + path;
  };
  const std::string& name = words_[0];
  if (name.find('/') != std::string::npos) {
    if (const int error = why_not_executable(seen_from_here(name)); error != 0)
      fail(error, "cannot run " + name);
    return name;
  }

  const auto given = env_.find("PATH");
  const char* const inherited = ::getenv("PATH");
  const std::string path = given != env_.end()    ? given->second
                           : inherited != nullptr ? inherited
                                                  : "/usr/local/bin:/usr/bin:/bin";
  int error = ENOENT;
  for (std::size_t begin = 0; begin <= path.size();) {
    const auto end = std::min(path.find(':', begin), path.size());
    // An empty entry is the current directory. Source: POSIX.1-2017, XBD 8.3.
    auto candidate = (end == begin ? "." : path.substr(begin, end - begin)) + '/' + name;
    const int its_error = why_not_executable(seen_from_here(candidate));
    if (its_error == 0) return candidate;
    if (its_error == EACCES) error = EACCES;
    begin = end + 1;
  }
  fail(error, "cannot run " + name + ", looked up in PATH=" + path);
  return {};
}

MIRAKURU_DECL std::vector<std::string> ResolvedCommand::environment() const {
  auto added = env_;
  added.emplace("mirakuru_uuid", std::to_string(::getpid()) + ':' + uuid_);
  std::vector<std::string> result;
  result.reserve(64);
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    const std::string_view text{*entry};
    const auto has_its_name = [text](const auto& variable) {
      const auto size = variable.first.size();
      return text.starts_with(variable.first) && (text.size() == size || text[size] == '=');
    };
    if (std::none_of(added.begin(), added.end(), has_its_name)) result.emplace_back(text);
  }
  for (const auto& [name, value] : added) result.push_back(name + '=' + value);
  return result;
}

}  // namespace detail

MIRAKURU_DECL std::vector<std::string> Argv::words() const {
  return split_ ? detail::split_words(line_) : words_;
}

MIRAKURU_DECL std::string Argv::line() const {
  return split_ ? line_ : detail::quote_words(words_);
}

}  // namespace mirakuru
