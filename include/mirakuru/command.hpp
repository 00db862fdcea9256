// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <concepts>
#include <initializer_list>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include <mirakuru/os/config.hpp>

namespace mirakuru {

/// The words of a command: the program and its arguments.
///
/// One string is a line, split as a POSIX shell splits words: blanks separate, single quotes keep
/// everything, double quotes keep all but backslash escapes, a backslash keeps the next character.
/// Nothing is expanded. Two or more strings, or a vector, are the words themselves.
///
/// Throws `std::invalid_argument` when an executor is made of it: for an unbalanced quote, a
/// backslash at the end, no words at all, a NUL byte. Source: POSIX.1-2017, XCU 2.2 and 2.6.5.
class Argv {
 public:
  Argv(std::string line) : line_{std::move(line)}, split_{true} {}
  Argv(const char* line) : Argv{std::string{line}} {}
  Argv(std::vector<std::string> words) : words_{std::move(words)} {}

  template <std::convertible_to<std::string>... More>
    requires(sizeof...(More) > 0)
  Argv(std::string program, More&&... more)
      : words_{std::move(program), std::string{std::forward<More>(more)}...} {}

  /// The words; a line is split here. Throws `std::invalid_argument` as said above.
  [[nodiscard]] std::vector<std::string> words() const;
  /// The line as it was given, or the words quoted so that a shell reads them back.
  [[nodiscard]] std::string line() const;

 private:
  std::string line_;
  std::vector<std::string> words_;
  bool split_ = false;
};

/// What is to be run, and where.
struct Command {
  Argv argv;
  /// The directory to run in; empty: the test's own. A relative program name is looked up in it.
  std::string cwd = {};
  /// Added to the inherited environment, or put in place of what is there.
  std::map<std::string, std::string> env = {};
  /// True: `argv` is a line for `/bin/sh -c`.
  bool shell = false;
};

/// A whole line for `/bin/sh`: `Shell{"a && b"}` is `Command{.argv = "a && b", .shell = true}`.
struct Shell {
  std::string line;

  operator Command() const { return {.argv = line, .shell = true}; }
};

namespace detail {

/// What stands in front in an executor's constructor, in any of its forms, and made ready to run.
class ResolvedCommand {
 public:
  ResolvedCommand(const Command& command);
  ResolvedCommand(const Argv& argv);
  ResolvedCommand(const Shell& shell);
  ResolvedCommand(const char* line);
  ResolvedCommand(const std::string& line);
  ResolvedCommand(const std::vector<std::string>& words);
  ResolvedCommand(std::initializer_list<std::string> words);
  ResolvedCommand(const ResolvedCommand&);
  ResolvedCommand(ResolvedCommand&&) noexcept;
  ~ResolvedCommand();

  [[nodiscard]] const std::vector<std::string>& words() const { return words_; }
  [[nodiscard]] const std::string& cwd() const { return cwd_; }
  /// The program as it is executed: with a slash it is used as it stands, otherwise it is looked
  /// up in the PATH that the child will have. Throws `SpawnError` with the reason.
  [[nodiscard]] std::string program() const;
  /// The child's environment, as "NAME=value".
  [[nodiscard]] std::vector<std::string> environment() const;
  /// One printable line.
  [[nodiscard]] const std::string& text() const { return text_; }

 private:
  std::vector<std::string> words_;
  std::string cwd_;
  std::map<std::string, std::string> env_;
  std::string text_;
  std::string uuid_;  // one for each executor, in its processes' environment
};

[[nodiscard]] std::vector<std::string> split_words(const std::string& line);
[[nodiscard]] std::string quote_words(const std::vector<std::string>& words);

}  // namespace detail
}  // namespace mirakuru

#if !defined(MIRAKURU_SEPARATE_COMPILATION)
#include <mirakuru/command.ipp>
#endif
