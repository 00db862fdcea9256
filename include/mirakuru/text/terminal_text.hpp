// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <string>
#include <string_view>

namespace mirakuru::detail {

/// Takes the colours and the cursor movements out of a text that comes in pieces, as a terminal
/// would not show them as characters. A carriage return without a newline ends a line, too.
/// Source: ECMA-48, 5.4 (control sequences) and 5.6 (control strings).
class TerminalText {
 public:
  /// True if the next piece has to be fed; false if it is plain already.
  [[nodiscard]] bool wants(std::string_view piece) const noexcept {
    return state_ != State::text || piece.find(escape) != piece.npos ||
           piece.find('\r') != piece.npos;
  }
  /// Adds the plain text of a piece to `plain`. A carriage return at the end waits for the next
  /// one.
  void feed(std::string_view piece, std::string& plain) {
    for (const char c : piece) {
      if (state_ == State::carriage_return) {
        plain += '\n';
        state_ = State::text;
        if (c == '\n') continue;
      }
      next(c, plain);
    }
  }

 private:
  enum class State { text, carriage_return, escape, sequence, string, string_escape };
  static constexpr char escape = '\x1b', bell = '\a';

  void next(char c, std::string& plain) {
    switch (state_) {
      case State::escape:
        state_ = c == '['                                                   ? State::sequence
                 : c == ']' || c == 'P' || c == 'X' || c == '^' || c == '_' ? State::string
                 : c >= ' ' && c <= '/'                                     ? State::escape
                                                                            : State::text;
        return;
      case State::sequence:
        if (c >= '@' && c <= '~') state_ = State::text;
        if (c == '\n') plain += c, state_ = State::text;  // it is none
        return;
      case State::string:
        if (c == escape) state_ = State::string_escape;
        if (c == bell) state_ = State::text;
        if (c == '\n') plain += c, state_ = State::text;
        return;
      case State::string_escape:
        state_ = c == '\\' ? State::text : State::string;
        return;
      default:
        if (c == escape)
          state_ = State::escape;
        else if (c == '\r')
          state_ = State::carriage_return;
        else
          plain += c;
    }
  }

  State state_ = State::text;
};

}  // namespace mirakuru::detail
