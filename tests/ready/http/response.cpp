// SPDX-License-Identifier: BSL-1.0
#include <string>
#include <string_view>

#include <doctest/doctest.h>

#include <mirakuru/ready/http/http.hpp>
#include <mirakuru/ready/http/response.hpp>

using namespace std::string_literals;
using mirakuru::detail::Response;

namespace {

/// The result of an answer.
struct Outcome {
  bool wants_more = true;
  int status = 0;
  std::string problem = {};
  std::size_t fed = 0;  // bytes of the answer that were fed
};

/// Feeds an answer in pieces; the first has a size of its own.
Outcome feed(std::string_view answer, std::size_t first, std::size_t others) {
  Response head;
  Outcome outcome;
  bool consistent = true;  // it wants more until it has a status or a problem
  for (auto size = first; outcome.wants_more && outcome.fed < answer.size(); size = others) {
    const auto piece = answer.substr(outcome.fed, size);
    outcome.fed += piece.size();
    outcome.wants_more = head.feed(piece);
    consistent &= outcome.wants_more == (head.status() == 0 && head.problem().empty());
  }
  CHECK(consistent);
  outcome.status = head.status();
  outcome.problem = head.problem();
  return outcome;
}

Outcome feed(std::string_view answer, std::size_t size) { return feed(answer, size, size); }

/// The status of the answer, -1 for a problem. It is the same in any pieces, and known at the last
/// byte of the head.
int status_of(const std::string& head, const std::string& body = "") {
  const auto answer = head + body;
  const auto whole = feed(answer, answer.size());
  const auto bytes = feed(answer, 1);
  CHECK(bytes.status == whole.status);
  CHECK(bytes.problem == whole.problem);
  CHECK(bytes.wants_more == whole.wants_more);
  if (whole.status != 0) CHECK(bytes.fed == head.size());
  for (std::size_t split = 1; split < answer.size(); ++split) {
    CAPTURE(split);
    const auto halves = feed(answer, split, answer.size());
    CHECK(halves.status == whole.status);
    CHECK(halves.problem == whole.problem);
    CHECK(halves.wants_more == whole.wants_more);
    if (whole.status != 0) CHECK(halves.fed == (split < head.size() ? answer.size() : split));
  }
  if (whole.problem.empty()) return whole.status;
  CHECK(whole.problem.starts_with("not an HTTP answer: "));
  CHECK(whole.problem.size() > "not an HTTP answer: "s.size());
  return -1;
}

}  // namespace

TEST_CASE("Response: it keeps the place of a redirect, in any pieces") {
  const auto location = [](std::string_view answer, std::size_t size) {
    Response head;
    for (std::size_t at = 0; at < answer.size() && head.feed(answer.substr(at, size)); at += size) {
    }
    return head.location();
  };
  const std::string answer =
      "HTTP/1.1 301 Moved\r\nServer: x\r\nlocation: /x/?a=b\r\nLocations: no\r\n\r\n";
  for (std::size_t size = 1; size <= answer.size(); ++size)
    CHECK(location(answer, size) == "/x/?a=b");
  CHECK(location("HTTP/1.1 200 OK\r\nServer: x\r\n\r\n", 1).empty());
}

TEST_CASE("Response: an answer that begins as a TLS alert does is known") {
  Response tls, plain;
  CHECK_FALSE(tls.feed("\x15\x03\x01"));
  CHECK(tls.speaks_tls());
  CHECK(plain.feed("HTTP"));
  CHECK_FALSE(plain.speaks_tls());
}

TEST_CASE("Response: at first it has neither a status nor a problem") {
  Response head;
  CHECK(head.status() == 0);
  CHECK(head.problem().empty());
  CHECK(head.feed(""));
  CHECK(head.feed({}));
  CHECK(head.feed("HTTP/1.1 200 OK\r\n"));
  CHECK(head.feed(""));
  CHECK(head.status() == 0);
  CHECK_FALSE(head.feed("\r\n"));
  CHECK(head.status() == 200);
  CHECK(head.problem().empty());
}

TEST_CASE("Response: a status is known at the end of the headers, in any pieces") {
  CHECK(status_of("HTTP/1.1 200 OK\r\n\r\n") == 200);
  CHECK(status_of("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "hello") == 200);
  CHECK(status_of("HTTP/1.1 404 Not Found\r\nServer: x\r\nDate: y\r\n\r\n") == 404);
  CHECK(status_of("HTTP/1.1 204 No Content\r\n\r\n") == 204);
  CHECK(status_of("HTTP/1.1 304 Not Modified\r\n\r\n") == 304);
  CHECK(status_of("HTTP/1.1 301 Moved\r\nLocation: http://elsewhere/\r\n\r\n") == 301);
  CHECK(status_of("HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\n\r\n", "later") == 503);
  CHECK(status_of("HTTP/1.1 999 Odd\r\n\r\n") == 999);
}

TEST_CASE("Response: HTTP/1.0, bodies to the end, chunks and keep-alive all work") {
  CHECK(status_of("HTTP/1.0 200 OK\r\nServer: old\r\n\r\n", "a body that the close ends") == 200);
  CHECK(status_of("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
                  "5\r\nhello\r\n0\r\n\r\n") == 200);
  CHECK(status_of("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "no chunk") == 200);
  CHECK(status_of("HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n",
                  "HTTP/1.1 500 Next\r\n\r\n") == 200);
  // An answer to HEAD has a length and no body.
  CHECK(status_of("HTTP/1.1 200 OK\r\nContent-Length: 123456789\r\n\r\n") == 200);
}

TEST_CASE("Response: an interim answer has no body, whatever its headers say") {
  CHECK(status_of("HTTP/1.1 100 C\r\nContent-Length: 5\r\n\r\nHTTP/1.1 200 OK\r\n\r\n") == 200);
  CHECK(status_of("HTTP/1.1 102 C\r\nContent-Length: 0\r\n\r\nHTTP/1.1 204 No\r\n\r\n") == 204);
  CHECK(status_of("HTTP/1.1 103 E\r\nTransfer-Encoding: chunked\r\n\r\n"
                  "HTTP/1.1 404 No\r\n\r\n") == 404);
}

TEST_CASE("Response: a status code has three digits") {
  for (const std::string line : {"HTTP/1.1  200 OK", "HTTP/1.1 10", "HTTP/1.1 99 x", "HTTP/1.1 ",
                                 "HTTP/1.1 0 x", "HTTP/1.1 OK"}) {
    CAPTURE(line);
    CHECK(status_of(line + "\r\n\r\n") == -1);
  }
  Response head;
  CHECK_FALSE(head.feed("HTTP/1.1  200 OK\r\n"));
  CHECK(head.problem() == "not an HTTP answer: the status code has not three digits");
  CHECK_FALSE(head.feed("\r\n"));
  CHECK(head.status() == 0);
}

TEST_CASE("Response: a reason phrase may be anything, or missing") {
  CHECK(status_of("HTTP/1.1 200\r\n\r\n") == 200);
  CHECK(status_of("HTTP/1.1 200 \r\n\r\n") == 200);
  CHECK(status_of("HTTP/1.1 200 All is well, 404 is not\r\n\r\n") == 200);
  CHECK(status_of("HTTP/1.1 200 sch\u00f6n\r\n\r\n") == 200);
}

TEST_CASE("Response: an interim answer is passed over") {
  CHECK(status_of("HTTP/1.1 100 Continue\r\n\r\n") == 0);
  CHECK(status_of("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n") == 200);
  CHECK(status_of("HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 404 Not Found\r\n\r\n") == 404);
  CHECK(status_of("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
                  "HTTP/1.1 103 Early Hints\r\nLink: </b>\r\nLink: </c>\r\n\r\n"
                  "HTTP/1.1 103\r\n\r\n"
                  "HTTP/1.1 200 OK\r\nLink: </a>\r\n\r\n") == 200);
  CHECK(status_of("HTTP/1.1 103 Early Hints\r\n\r\nsomething else") == -1);
  // After this one another protocol follows.
  CHECK(status_of("HTTP/1.1 101 Switching Protocols\r\n"
                  "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
                  "\x81\x05hello") == 101);
}

TEST_CASE("Response: the headers of an interim answer do not hide the final one") {
  CHECK(status_of("HTTP/1.1 103 Early Hints\r\nConnection: close\r\n\r\n"
                  "HTTP/1.1 200 OK\r\n\r\n") == 200);
  CHECK(status_of("HTTP/1.0 100 Continue\r\n\r\nHTTP/1.0 200 OK\r\n\r\n") == 200);
}

TEST_CASE("Response: an incomplete answer is neither a status nor a problem") {
  const auto answer = "HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\nHTTP/1.1 200 OK\r\nA: b\r\n\r\n"s;
  for (std::size_t size = 0; size < answer.size(); ++size) {
    CAPTURE(size);
    CHECK(status_of(answer.substr(0, size)) == 0);
  }
  CHECK(status_of(answer) == 200);
}

TEST_CASE("Response: a text that is not HTTP is a problem with a reason") {
  CHECK(status_of("SSH-2.0-OpenSSH_9.2\r\n") == -1);
  CHECK(status_of("220 mail ESMTP\r\n") == -1);
  CHECK(status_of("\x15\x03\x03\x00\x02\x02\x46"s) == -1);
  CHECK(status_of("\0\0\0\0"s) == -1);
  CHECK(status_of("GET / HTTP/1.1\r\nHost: a\r\n\r\n") == -1);
  CHECK(status_of("<html></html>") == -1);
  CHECK(status_of("HTTP/x 200 OK\r\n\r\n") == -1);
  CHECK(status_of("HTTP/1.1 2x0 OK\r\n\r\n") == -1);
  CHECK(status_of("HTTP/1.1 OK\r\n\r\n") == -1);
  CHECK(status_of("HTTP/1.1 103 Early Hints\r\nno colon\r\n\r\nHTTP/1.1 200 OK\r\n\r\n") == -1);
}

TEST_CASE("Response: headers that break the rules do not hide the status") {
  for (const auto& answer :
       {"HTTP/1.1 200 OK\r\nno colon\r\n\r\n"s, "HTTP/1.1 200 OK\r\nA: b\0c\r\n\r\n"s,
        "HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n"s,
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n"s,
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"s,
        "HTTP/1.1 200 OK\nServer: unix\nDate: now\n\n"s}) {
    CAPTURE(answer);
    for (std::size_t size = 1; size <= answer.size(); ++size) {
      const auto outcome = feed(answer, size);
      CHECK(outcome.status == 200);
      CHECK(outcome.problem.empty());
    }
  }
}

TEST_CASE("Response: bytes after the end change nothing") {
  Response good;
  CHECK_FALSE(good.feed("HTTP/1.1 200 OK\r\n\r\n"));
  CHECK_FALSE(good.feed("HTTP/1.1 500 No\r\n\r\n"));
  CHECK(good.status() == 200);
  CHECK(good.problem().empty());

  Response bad;
  CHECK_FALSE(bad.feed("garbage"));
  CHECK_FALSE(bad.feed("HTTP/1.1 200 OK\r\n\r\n"));
  CHECK(bad.status() == 0);
  CHECK_FALSE(bad.problem().empty());
}

TEST_CASE("Response: headers without end are a problem at 64 KiB") {
  constexpr std::size_t most = 64 * 1024;
  CHECK(Response::most_bytes == most);
  std::string lines = "HTTP/1.1 200 OK\r\n", interim;
  while (lines.size() <= 2 * most) lines += "Name: value\r\n";
  while (interim.size() <= 2 * most) interim += "HTTP/1.1 103 Early Hints\r\n\r\n";
  const std::string endless[] = {
      lines,
      interim,
      "HTTP/1.1 200 " + std::string(2 * most, 'x'),
      "HTTP/1.1 200 OK\r\n" + std::string(2 * most, 'x'),
      "HTTP/1.1 200 OK\r\nName: " + std::string(2 * most, 'x'),
  };
  for (const auto& answer : endless) {
    CAPTURE(answer.substr(0, 40));
    const auto begin = feed(std::string_view{answer}.substr(0, most), 4096);
    CHECK(begin.wants_more);
    CHECK(begin.problem.empty());
    for (const std::size_t size : {std::size_t{1}, std::size_t{1000}, std::size_t{4096}, most}) {
      CAPTURE(size);
      const auto outcome = feed(answer, size);
      CHECK(outcome.problem == "more than 64 KiB in front of the body");
      CHECK(outcome.status == 0);
      CHECK(outcome.fed == most / size * size + size);
    }
  }
}

TEST_CASE("Response: headers may be just below the limit, a body longer") {
  constexpr auto begin = "HTTP/1.1 200 OK\r\nName: ", end = "\r\n\r\n";
  const auto filling = Response::most_bytes - std::string_view{begin}.size() - 4;
  const auto longest = begin + std::string(filling, 'x') + end;
  CHECK(longest.size() == Response::most_bytes);
  const auto body = std::string(2 * Response::most_bytes, 'x');
  for (const std::size_t size : {std::size_t{1}, std::size_t{4096}, longest.size() + body.size()}) {
    CAPTURE(size);
    CHECK(feed(longest, size).status == 200);
    CHECK(feed(longest + body, size).status == 200);
  }
}

TEST_CASE("Response: the limit holds in any pieces") {
  const auto too_long =
      "HTTP/1.1 200 OK\r\nName: " + std::string(Response::most_bytes, 'x') + "\r\n\r\n";
  for (const std::size_t size : {std::size_t{1}, std::size_t{4096}, too_long.size()}) {
    CAPTURE(size);
    CHECK(feed(too_long, size).status == 0);
    CHECK(feed(too_long, size).problem == "more than 64 KiB in front of the body");
  }
}

// Bodies -----------------------------------------------------------------------------------------

namespace {

/// True if a line of the body matches; the answer comes in pieces of `size` bytes.
bool body_matches(std::string_view answer, const mirakuru::LineMatcher& line, std::size_t size,
                  std::string* why = nullptr) {
  const mirakuru::StatusPattern good;
  Response response{line, good};
  bool more = true;
  for (std::size_t at = 0; more && at < answer.size(); at += size)
    more = response.feed(answer.substr(at, size));
  response.end();
  CHECK(response.problem().empty());
  if (why != nullptr) *why = response.body_text();
  return response.found();
}

}  // namespace

TEST_CASE("Response: a line of the body matches in any pieces, however the body ends") {
  const std::string answers[] = {
      "HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n{\"status\":\"UP\"}",
      "HTTP/1.1 200 OK\r\n\r\n{\"status\":\"UP\"}",
      "HTTP/1.0 200 OK\r\n\r\nfirst\r\n{\"status\":\"UP\"}\r\nlast\r\n",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7\r\n{\"statu\r\n8\r\ns\":\"UP\"}\r\n0"
      "\r\n\r\n",
      "HTTP/1.1 103 Hints\r\n\r\nHTTP/1.1 200 OK\r\n\r\n{\"status\":\"UP\"}"};
  for (const auto& answer : answers) {
    CAPTURE(answer);
    for (const auto size : {std::size_t{1}, std::size_t{2}, std::size_t{7}, answer.size()}) {
      CHECK(body_matches(answer, "\"status\":\\s*\"UP\"", size));
      CHECK(body_matches(answer, "^\\{.*\\}$", size));
      CHECK_FALSE(body_matches(answer, "DOWN", size));
      CHECK(body_matches(answer, [](std::string_view line) { return line.ends_with("}"); }, size));
    }
  }
}

TEST_CASE("Response: the reason shows the begin of a body that does not match") {
  std::string why;
  CHECK_FALSE(body_matches("HTTP/1.1 200 OK\r\n\r\n{\"status\":\r\n\"DOWN\"}", "UP", 5, &why));
  CHECK(why == "its body has no line that matches: {\"status\":\\x0d\\n\"DOWN\"}");
  CHECK_FALSE(body_matches("HTTP/1.1 204 No\r\n\r\n", "UP", 5, &why));
  CHECK(why == "its body is empty");
  CHECK_FALSE(body_matches("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "UP", 5, &why));
  CHECK(why == "its body is empty");
  CHECK_FALSE(body_matches(
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\nodd\r\n", "UP", 99, &why));
  CHECK(why == "its body has no line that matches, up to a chunk that breaks the rules: ab");
}

TEST_CASE("Response: no more than a MiB of a body is searched") {
  const mirakuru::StatusPattern good;
  const mirakuru::LineMatcher line{"needle"};
  Response response{line, good};
  CHECK(response.feed("HTTP/1.1 200 OK\r\n\r\n"));
  const std::string block(64 * 1024, 'x');
  for (int i = 0; i < 15; ++i) CHECK(response.feed(block));
  CHECK_FALSE(response.feed(block));
  CHECK_FALSE(response.feed("needle"));
  CHECK_FALSE(response.found());
  CHECK(response.body_text().starts_with("its body has no line that matches in its first MiB: xx"));
}

TEST_CASE("Response: the body of another status is not looked at") {
  const mirakuru::StatusPattern good;
  const mirakuru::LineMatcher line{"UP"};
  Response response{line, good};
  CHECK_FALSE(response.feed("HTTP/1.1 503 No\r\n\r\nUP"));
  CHECK(response.status() == 503);
  CHECK_FALSE(response.found());
}

TEST_CASE("Response: a stream that goes on ends with the line that is looked for") {
  const mirakuru::StatusPattern good;
  const mirakuru::LineMatcher line{"ready"};
  Response response{line, good};
  CHECK(response.feed("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"));
  CHECK(response.feed("b\r\ndata: wait\n\r\n"));
  CHECK_FALSE(response.feed("c\r\ndata: ready\n\r\n"));
  CHECK(response.found());
}
