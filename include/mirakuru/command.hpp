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
/// One string is a line, which is split as a POSIX shell splits words. Blanks separate words, and
/// single quotes keep everything between them. Double quotes keep all but backslash escapes, and a
/// backslash keeps the next character. Two or more strings, or a vector, are the words themselves.
///
/// Nothing is expanded, and nothing is an operator: `&&`, `|`, `>`, `;`, `# comment` and `A=b` are
/// plain words. For these there is `Shell`. A newline is a blank, too, and so is a carriage return,
/// so that lines of Windows files work.
///
/// An executor made of it throws `std::invalid_argument` for a command that is empty or has a NUL
/// byte, an open quote or a backslash at its end. Source: POSIX.1-2017, XCU 2.2 and 2.6.5.
class Argv {
 public:
  Argv(std::string line) : line_{std::move(line)}, split_{true} {}
  Argv(const char* line) : Argv{std::string{line}} {}
  Argv(std::vector<std::string> words) : words_{std::move(words)} {}

  template <std::convertible_to<std::string>... More>
    requires(sizeof...(More) > 0)
  Argv(std::string program, More&&... more)
      : words_{std::move(program), std::string{std::forward<More>(more)}...} {}

  /// The words. Splits a line, and throws `std::invalid_argument` for an open quote or a backslash
  /// at its end.
  [[nodiscard]] std::vector<std::string> words() const;
  /// The line as it was given, or the words as a line that a shell splits into the same words. A
  /// reserved word of the shell in front is quoted.
  [[nodiscard]] std::string line() const;

 private:
  std::string line_;
  std::vector<std::string> words_;
  bool split_ = false;
};

/// A program to run: its words, directory and environment.
struct Command {
  Argv argv;
  /// The directory to run in; empty: the test's own. A relative program path starts there.
  std::string cwd = {};
  /// Variables to add to the inherited environment, or to replace in it.
  std::map<std::string, std::string> env = {};
  /// True: `argv` is a line for `/bin/sh -c`.
  bool shell = false;
};

/// A line for `/bin/sh`: `Shell{"a && b"}` is `Command{.argv = "a && b", .shell = true}`.
struct Shell {
  std::string line;

  operator Command() const { return {.argv = line, .shell = true}; }
};

namespace detail {

/// The first constructor argument of an executor in any of its forms, parsed and validated.
class ResolvedCommand {
 public:
  ResolvedCommand(const Command& command);
  ResolvedCommand(const Shell& shell) : ResolvedCommand{static_cast<Command>(shell)} {}
  template <std::convertible_to<Argv> Words>
  ResolvedCommand(const Words& words) : ResolvedCommand{Command{.argv = words}} {}
  ResolvedCommand(std::initializer_list<std::string> words)
      : ResolvedCommand{Argv{std::vector<std::string>{words}}} {}

  [[nodiscard]] const std::vector<std::string>& words() const { return words_; }
  [[nodiscard]] const std::string& cwd() const { return cwd_; }
  [[nodiscard]] const std::map<std::string, std::string>& env() const { return env_; }
  /// The value of the variable `mirakuru_uuid`: "<pid>:<uuid>", unless the user has set it.
  [[nodiscard]] std::string id() const;
  /// The command as one printable line.
  [[nodiscard]] const std::string& text() const { return text_; }

 private:
  std::vector<std::string> words_;
  std::string cwd_;
  std::map<std::string, std::string> env_;
  std::string text_;
  std::string uuid_;  // one for each executor
};

[[nodiscard]] std::vector<std::string> split_words(const std::string& line);
[[nodiscard]] std::string quote_words(const std::vector<std::string>& words);

}  // namespace detail
}  // namespace mirakuru

#if !defined(MIRAKURU_SEPARATE_COMPILATION)
#include <mirakuru/command.ipp>
#endif
