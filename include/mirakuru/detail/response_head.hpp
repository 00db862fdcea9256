// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include <llhttp.h>

#include <mirakuru/detail/config.hpp>

// Only impl/ includes this.

namespace mirakuru::detail {

/// Reads an HTTP answer up to the end of its headers, in pieces of any size. Keeps no more of it
/// than the parser's own state. Headers that break the rules end it where they do: what the status
/// line has said counts, as with other clients.
class ResponseHead {
 public:
  /// More than this in front of the body is no answer.
  static constexpr std::size_t most_bytes = 64 * 1024;

  ResponseHead();
  ResponseHead(const ResponseHead&) = delete;
  ResponseHead& operator=(const ResponseHead&) = delete;

  /// Takes the next bytes; false when no more are wanted, for `status()` or `problem()` is there.
  bool feed(std::string_view bytes);

  /// The final status code; 0 as long as it is not there. An interim answer (1xx) is not it.
  [[nodiscard]] int status() const noexcept { return status_; }
  /// Why this is no HTTP answer; empty if nothing is wrong so far.
  [[nodiscard]] const std::string& problem() const noexcept { return problem_; }

 private:
  static int on_status_complete(llhttp_t* parser);
  static int on_headers_complete(llhttp_t* parser);

  llhttp_settings_t settings_;
  llhttp_t parser_;
  std::size_t size_ = 0;
  int line_status_ = 0;  // that of a final status line, whose headers are still to come
  int status_ = 0;
  std::string problem_;
};

}  // namespace mirakuru::detail
