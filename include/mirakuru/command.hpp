// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <concepts>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <mirakuru/os/config.hpp>
#include <mirakuru/text/word.hpp>

namespace mirakuru {

/// The words of a command: the program and its arguments.
///
/// One string is a line, which is split as a POSIX shell splits words. Blanks separate words, and
/// single quotes keep everything between them. Double quotes keep all but backslash escapes, and a
/// backslash keeps the next character. A path is the program. Two or more words, or a range of
/// them, are the words themselves.
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
  Argv(std::string_view line) : Argv{std::string{line}} {}
  Argv(const char* line) : Argv{std::string{line}} {}
  Argv(std::vector<std::string> words) : words_{std::move(words)} {}
  template <detail::PathLike Path>
  Argv(const Path& program) : words_{Word{program}} {}

  template <detail::WordRange Words>
  Argv(const Words& words) {
    for (const auto& word : words) words_.push_back(Word{word}.str());
  }

  template <class... More>
    requires(sizeof...(More) > 0)
  Argv(const Word& program, const More&... more) : words_{program, Word{more}...} {}

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

/// A program to run: its words, directory, environment and user.
struct Command {
  Argv argv;
  /// The directory to run in; empty: the test's own. A relative program path starts there.
  Word cwd = {};
  /// Variables to add to the inherited environment, to replace in it, or to take out (`unset`).
  Environment env = {};
  /// True: no variable is inherited.
  bool clean_env = false;
  /// Runs it as this user, with the user's groups; empty: as the test's own. For root alone. The
  /// files of `Capture` and the `scratch` directory then belong to that user.
  std::string user = {};
  /// A directory, such as a `TempDir`, that is removed with all that is in it when the tree has
  /// ended after the owner's death. Needs a spawner with a guardian.
  Word scratch = {};
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
  ResolvedCommand(const Shell& shell) : ResolvedCommand(static_cast<Command>(shell)) {}
  template <std::convertible_to<Argv> Words>
  ResolvedCommand(const Words& words) : ResolvedCommand(Command{.argv = words}) {}
  ResolvedCommand(std::initializer_list<Word> words)
      : ResolvedCommand(Argv{std::vector<std::string>(words.begin(), words.end())}) {}

  [[nodiscard]] const std::vector<std::string>& words() const { return words_; }
  [[nodiscard]] const std::string& cwd() const { return cwd_; }
  [[nodiscard]] const Environment& env() const { return env_; }
  [[nodiscard]] bool clean_env() const { return clean_env_; }
  [[nodiscard]] const std::string& user() const { return user_; }
  [[nodiscard]] const std::string& scratch() const { return scratch_; }
  /// The value of the variable `mirakuru_uuid`: "<pid>:<uuid>", unless the user has set it.
  [[nodiscard]] std::string id() const;
  /// The command as one printable line.
  [[nodiscard]] const std::string& text() const { return text_; }

 private:
  std::vector<std::string> words_;
  std::string cwd_;
  Environment env_;
  bool clean_env_;
  std::string user_, scratch_;
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
