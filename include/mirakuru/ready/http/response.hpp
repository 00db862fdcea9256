// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <strings.h>
#include <algorithm>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <llhttp.h>

#include <mirakuru/os/printable.hpp>
#include <mirakuru/ready/http/request.hpp>
#include <mirakuru/text/line_matcher.hpp>

namespace mirakuru::detail {

/// Reads an HTTP answer in pieces of any size: up to the end of its headers, or on to the line of
/// the body that is looked for. Keeps no more of it than the parser's own state, the place of a
/// redirect and the begin of the body. Headers that break the rules end it where they do: what the
/// status line has said counts, as with other clients.
class Response {
 public:
  /// More than this in front of the body is no answer.
  static constexpr std::size_t most_bytes = 64 * 1024;
  /// No more than this of a body is searched.
  static constexpr std::size_t most_body = 1024 * 1024;

  /// Looks at the headers alone.
  Response();
  /// Looks at the body of an answer with one of the statuses, too. Both outlive the object.
  Response(const LineMatcher& body, const StatusPattern& wanted) : Response{} {
    search_.emplace(body.search());
    wanted_ = &wanted;
  }
  Response(const Response&) = delete;
  Response& operator=(const Response&) = delete;

  /// Takes the next bytes; false when no more are wanted.
  bool feed(std::string_view bytes);
  /// The connection has ended, which may end a body.
  void end() {
    if (in_body_ && !is_over()) llhttp_finish(&parser_);
  }

  /// The final status code; 0 as long as it is not there. An interim answer (1xx) is not it.
  [[nodiscard]] int status() const noexcept { return status_; }
  /// The value of the header `Location`, cut at 1000 bytes; empty for none.
  [[nodiscard]] const std::string& location() const noexcept { return location_; }
  /// True if the answer begins as a TLS alert does.
  [[nodiscard]] bool speaks_tls() const noexcept { return first_byte_ == 0x15; }
  /// True once the body is looked at.
  [[nodiscard]] bool in_body() const noexcept { return in_body_; }
  /// True if a line of the body matches. An unfinished last line counts.
  [[nodiscard]] bool found() { return search_ && search_->found(); }
  /// Says why not: "its body has no line that matches: {"status": "DOWN"}".
  [[nodiscard]] std::string body_text() const;
  /// Why this is no HTTP answer; empty if nothing is wrong so far.
  [[nodiscard]] const std::string& problem() const noexcept { return problem_; }

 private:
  static int on_status_complete(llhttp_t* parser);
  static int on_headers_complete(llhttp_t* parser);
  static int on_header_field(llhttp_t* parser, const char* at, std::size_t size);
  static int on_header_value(llhttp_t* parser, const char* at, std::size_t size);
  static int on_body(llhttp_t* parser, const char* at, std::size_t size);
  static int on_message_complete(llhttp_t* parser);

  bool feed_body(std::string_view bytes);
  [[nodiscard]] bool is_over() const noexcept {
    return complete_ || broken_ || body_size_ >= most_body || search_->found_for_good();
  }

  llhttp_settings_t settings_;
  llhttp_t parser_;
  std::size_t size_ = 0;
  int line_status_ = 0;  // that of a final status line, whose headers are still to come
  int status_ = 0;
  std::string problem_;
  std::string field_;  // the name of the header at hand
  bool in_value_ = false;
  std::string location_;
  int first_byte_ = -1;

  // The body, if it is looked at.
  std::optional<TextSearch> search_;
  const StatusPattern* wanted_ = nullptr;
  bool in_body_ = false, complete_ = false, broken_ = false;
  std::size_t body_size_ = 0;
  std::string body_begin_;
};

inline Response::Response() {
  llhttp_settings_init(&settings_);
  settings_.on_status_complete = &Response::on_status_complete;
  settings_.on_headers_complete = &Response::on_headers_complete;
  settings_.on_header_field = &Response::on_header_field;
  settings_.on_header_value = &Response::on_header_value;
  settings_.on_body = &Response::on_body;
  settings_.on_message_complete = &Response::on_message_complete;
  llhttp_init(&parser_, HTTP_RESPONSE, &settings_);
  llhttp_set_lenient_keep_alive(&parser_, 1);  // an interim answer may close the connection
  parser_.data = this;
}

inline int Response::on_status_complete(llhttp_t* parser) {
  auto& head = *static_cast<Response*>(parser->data);
  if (parser->status_code < 100) {  // also without digits: RFC 9112, 4 wants three
    head.problem_ = "not an HTTP answer: the status code has not three digits";
    return -1;
  }
  if (!is_interim(parser->status_code)) head.line_status_ = parser->status_code;
  return 0;
}

inline int Response::on_headers_complete(llhttp_t* parser) {
  auto& head = *static_cast<Response*>(parser->data);
  head.status_ = head.line_status_;
  constexpr int no_body = 1;  // of an interim answer, whatever its headers say: RFC 9112, 6.3
  if (head.status_ == 0) return no_body;
  head.in_body_ = head.search_ && head.wanted_->matches(head.status_);
  return head.in_body_ ? 0 : HPE_PAUSED;
}

inline int Response::on_header_field(llhttp_t* parser, const char* at, std::size_t size) {
  auto& head = *static_cast<Response*>(parser->data);
  if (std::exchange(head.in_value_, false)) head.field_.clear();
  constexpr std::size_t longest = 16;
  if (head.field_.size() < longest) head.field_.append(at, std::min(size, longest));
  return 0;
}

inline int Response::on_header_value(llhttp_t* parser, const char* at, std::size_t size) {
  auto& head = *static_cast<Response*>(parser->data);
  head.in_value_ = true;
  constexpr std::size_t longest = 1000;
  if (head.line_status_ != 0 && head.location_.size() < longest &&
      ::strcasecmp(head.field_.c_str(), "location") == 0)
    head.location_.append(at, std::min(size, longest - head.location_.size()));
  return 0;
}

inline int Response::on_body(llhttp_t* parser, const char* at, std::size_t size) {
  auto& response = *static_cast<Response*>(parser->data);
  const auto piece = std::string_view{at, size}.substr(0, most_body - response.body_size_);
  constexpr std::size_t longest_begin = 200;
  const auto room = longest_begin - response.body_begin_.size();
  response.body_begin_.append(piece.substr(0, room));
  response.body_size_ += piece.size();
  response.search_->take(piece);
  return 0;
}

inline int Response::on_message_complete(llhttp_t* parser) {
  auto& response = *static_cast<Response*>(parser->data);
  if (!response.in_body_) return 0;
  response.complete_ = true;
  return HPE_PAUSED;
}

inline bool Response::feed_body(std::string_view bytes) {
  if (!is_over() && !bytes.empty() &&
      llhttp_execute(&parser_, bytes.data(), bytes.size()) != HPE_OK)
    broken_ = !complete_;
  return !is_over();
}

inline bool Response::feed(std::string_view bytes) {
  if (in_body_) return feed_body(bytes);
  const auto head = bytes.substr(0, most_bytes - size_);
  if (first_byte_ < 0 && !bytes.empty()) first_byte_ = static_cast<unsigned char>(bytes[0]);
  size_ += head.size();
  // llhttp does arithmetic with the pointer, which may be null when there is nothing behind it.
  const auto result = head.empty() ? HPE_OK : llhttp_execute(&parser_, head.data(), head.size());
  if (in_body_) {
    broken_ = result != HPE_OK && !complete_;
    return feed_body(bytes.substr(head.size()));
  }
  if (result != HPE_OK) status_ = line_status_;
  if (status_ != 0) return false;
  if (!problem_.empty()) return false;
  if (result != HPE_OK)
    problem_ = std::string{"not an HTTP answer: "} + llhttp_get_error_reason(&parser_);
  else if (head.size() < bytes.size())
    problem_ = "more than 64 KiB in front of the body";
  return problem_.empty();
}

inline std::string Response::body_text() const {
  if (!in_body_) return "its headers break the rules, so it has no body";
  if (body_size_ == 0) return "its body is empty";
  return std::string{"its body has no line that matches"} +
         (body_size_ >= most_body ? " in its first MiB" : "") +
         (broken_ ? ", up to a chunk that breaks the rules" : "") + ": " + one_line(body_begin_);
}

}  // namespace mirakuru::detail
