// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <strings.h>
#include <algorithm>
#include <cstddef>
#include <string>
#include <utility>

#include <llhttp.h>

#include <mirakuru/ready/http/request.hpp>

namespace mirakuru::detail {

/// Reads an HTTP answer up to the end of its headers, in pieces of any size. Keeps no more of it
/// than the parser's own state and the place of a redirect. Headers that break the rules end it
/// where they do: what the status line has said counts, as with other clients.
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
  /// The value of the header `Location`, cut at 1000 bytes; empty for none.
  [[nodiscard]] const std::string& location() const noexcept { return location_; }
  /// True if the answer begins as a TLS alert does.
  [[nodiscard]] bool speaks_tls() const noexcept { return first_byte_ == 0x15; }
  /// Why this is no HTTP answer; empty if nothing is wrong so far.
  [[nodiscard]] const std::string& problem() const noexcept { return problem_; }

 private:
  static int on_status_complete(llhttp_t* parser);
  static int on_headers_complete(llhttp_t* parser);
  static int on_header_field(llhttp_t* parser, const char* at, std::size_t size);
  static int on_header_value(llhttp_t* parser, const char* at, std::size_t size);

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
};

inline ResponseHead::ResponseHead() {
  llhttp_settings_init(&settings_);
  settings_.on_status_complete = &ResponseHead::on_status_complete;
  settings_.on_headers_complete = &ResponseHead::on_headers_complete;
  settings_.on_header_field = &ResponseHead::on_header_field;
  settings_.on_header_value = &ResponseHead::on_header_value;
  llhttp_init(&parser_, HTTP_RESPONSE, &settings_);
  llhttp_set_lenient_keep_alive(&parser_, 1);  // an interim answer may close the connection
  parser_.data = this;
}

inline int ResponseHead::on_status_complete(llhttp_t* parser) {
  auto& head = *static_cast<ResponseHead*>(parser->data);
  if (parser->status_code < 100) {  // also without digits: RFC 9112, 4 wants three
    head.problem_ = "not an HTTP answer: the status code has not three digits";
    return -1;
  }
  if (!is_interim(parser->status_code)) head.line_status_ = parser->status_code;
  return 0;
}

inline int ResponseHead::on_headers_complete(llhttp_t* parser) {
  auto& head = *static_cast<ResponseHead*>(parser->data);
  head.status_ = head.line_status_;
  constexpr int no_body = 1;  // of an interim answer, whatever its headers say: RFC 9112, 6.3
  return head.status_ == 0 ? no_body : HPE_PAUSED;
}

inline int ResponseHead::on_header_field(llhttp_t* parser, const char* at, std::size_t size) {
  auto& head = *static_cast<ResponseHead*>(parser->data);
  if (std::exchange(head.in_value_, false)) head.field_.clear();
  constexpr std::size_t longest = 16;
  if (head.field_.size() < longest) head.field_.append(at, std::min(size, longest));
  return 0;
}

inline int ResponseHead::on_header_value(llhttp_t* parser, const char* at, std::size_t size) {
  auto& head = *static_cast<ResponseHead*>(parser->data);
  head.in_value_ = true;
  constexpr std::size_t longest = 1000;
  if (head.line_status_ != 0 && head.location_.size() < longest &&
      ::strcasecmp(head.field_.c_str(), "location") == 0)
    head.location_.append(at, std::min(size, longest - head.location_.size()));
  return 0;
}

inline bool ResponseHead::feed(std::string_view bytes) {
  const auto head = bytes.substr(0, most_bytes - size_);
  if (first_byte_ < 0 && !bytes.empty()) first_byte_ = static_cast<unsigned char>(bytes[0]);
  size_ += head.size();
  // llhttp does arithmetic with the pointer, which may be null when there is nothing behind it.
  const auto result = head.empty() ? HPE_OK : llhttp_execute(&parser_, head.data(), head.size());
  if (result != HPE_OK) status_ = line_status_;
  if (status_ != 0) return false;
  if (!problem_.empty()) return false;
  if (result != HPE_OK)
    problem_ = std::string{"not an HTTP answer: "} + llhttp_get_error_reason(&parser_);
  else if (head.size() < bytes.size())
    problem_ = "more than 64 KiB in front of the body";
  return problem_.empty();
}

}  // namespace mirakuru::detail
