// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace mirakuru {

class Argv;
struct Command;
struct Shell;

namespace detail {

class ResolvedCommand;
/// A whole command is no word, and may be copied in braces.
template <class T>
concept CommandLike = std::same_as<T, Argv> || std::same_as<T, Command> || std::same_as<T, Shell> ||
                      std::same_as<T, ResolvedCommand>;
/// The types that a word is made of, by the way that they become text.
template <class T>
concept StringLike =
    std::convertible_to<const T&, std::string_view> && !std::same_as<T, std::nullptr_t>;
template <class T>
concept PathLike = !StringLike<T> && std::convertible_to<const T&, std::string>;
/// A directory that has a path, such as `TempDir`.
template <class T>
concept HasPath = !StringLike<T> && !PathLike<T> && requires(const T& value) {
  { value.path() } -> std::convertible_to<std::string>;
};
template <class T>
concept Integer = std::integral<T> && !std::same_as<T, bool> && !std::same_as<T, char> &&
                  !std::same_as<T, wchar_t> && !std::same_as<T, char8_t> &&
                  !std::same_as<T, char16_t> && !std::same_as<T, char32_t>;
/// A `Port`, and a value that stands for one.
template <class T>
concept PortLike = std::is_class_v<T> && !StringLike<T> && !PathLike<T> && !HasPath<T> &&
                   std::convertible_to<const T&, std::uint16_t>;
template <class T>
concept Wordy = StringLike<T> || PathLike<T> || HasPath<T> || Integer<T> || PortLike<T>;
/// A container of words, such as `std::vector<const char*>`. A string and a path are words.
template <class T>
concept WordRange = !Wordy<T> && !std::is_array_v<T> && requires(const T& range) {
  range.begin() != range.end();
  requires Wordy<std::remove_cvref_t<decltype(*range.begin())>>;
};

}  // namespace detail

/// A word of a command, or the value of a variable: a string, a path, an integer or a port.
class Word {
 public:
  Word() = default;
  /// Takes a string, a `std::string_view`, a `std::filesystem::path`, a value with a `path()`, an
  /// integer or a port. An integer is written in decimal. Throws `std::invalid_argument` for a null
  /// pointer.
  template <class T>
    requires(!detail::CommandLike<T> && !detail::WordRange<T>)
  Word(const T& value) {
    static_assert(detail::Wordy<T>,
                  "mirakuru: a word is a string, a path, an integer or a port; convert this value");
    if constexpr (std::is_pointer_v<T>)
      if (value == nullptr) throw std::invalid_argument{"a word is a null pointer"};
    if constexpr (detail::StringLike<T>)
      text_ = static_cast<std::string_view>(value);
    else if constexpr (detail::PathLike<T>)
      text_ = static_cast<std::string>(value);
    else if constexpr (detail::HasPath<T>)
      text_ = static_cast<std::string>(value.path());
    else if constexpr (detail::Integer<T>)
      text_ = std::to_string(value);
    else if constexpr (detail::PortLike<T>)
      text_ = std::to_string(static_cast<std::uint16_t>(value));
  }

  operator const std::string&() const noexcept { return text_; }
  /// The text.
  [[nodiscard]] const std::string& str() const noexcept { return text_; }

  friend bool operator==(const Word&, const Word&) = default;

 private:
  std::string text_;
};

/// Takes a variable out of a command's environment: `.env = {{"NOTIFY_SOCKET", mirakuru::unset}}`.
struct Unset {};
inline constexpr Unset unset;

/// The value of a variable, or `unset`.
class EnvValue {
 public:
  EnvValue() = default;
  EnvValue(Unset) {}
  /// Takes the values that a `Word` takes.
  template <class T>
    requires(!std::same_as<T, Unset>)
  EnvValue(const T& value) : text_{Word{value}.str()} {}

  /// The value; none for `unset`.
  [[nodiscard]] const std::optional<std::string>& text() const noexcept { return text_; }

  friend bool operator==(const EnvValue&, const EnvValue&) = default;

 private:
  std::optional<std::string> text_;
};

/// Variables by name.
struct Environment : std::map<std::string, EnvValue> {
  using map::map;
  Environment(const std::map<std::string, std::string>& variables)
      : map(variables.begin(), variables.end()) {}
};

}  // namespace mirakuru
