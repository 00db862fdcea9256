// SPDX-License-Identifier: BSL-1.0
// The request of an HTTP check; its answers are tested with servers.
#include <cstdint>
#include <string>

#include <doctest/doctest.h>

#include <mirakuru/ready/http/exchange.hpp>
#include <mirakuru/ready/http/http.hpp>

namespace mk = mirakuru;
using namespace std::string_literals;

namespace {

/// The first request of a check.
std::string request_text(const mk::HTTPCheck& check, std::uint16_t port = 0) {
  const auto exchange = mk::detail::Exchange::of(check);
  return exchange.request(exchange.first_method(), exchange.url.host(), port, 80);
}

}  // namespace

TEST_CASE("Exchange: the first method is the given one, or fits what is looked at") {
  const auto first = [](const mk::HTTPCheck& check) {
    return mk::detail::Exchange::of(check).first_method();
  };
  CHECK(first({.url = "http://h/"}) == "HEAD");
  CHECK(first({.url = "http://h/", .body = "x"}) == "GET");
  CHECK(first({.url = "http://h/", .method = "POST", .body = "x"}) == "POST");
}

TEST_CASE("request_text: port 0 is the port of the connection") {
  const auto text = request_text({.url = "http://127.0.0.1:0/"}, 4711);
  CHECK(text.find("\r\nHost: 127.0.0.1:4711\r\n") != text.npos);
}

TEST_CASE("request_text: the plain request") {
  CHECK(request_text({.url = "http://127.0.0.1:8080/status?full=1#top"}) ==
        "HEAD /status?full=1 HTTP/1.1\r\n"
        "Host: 127.0.0.1:8080\r\n"
        "User-Agent: mirakuru\r\n"
        "Accept: */*\r\n"
        "Connection: close\r\n"
        "\r\n");
}

TEST_CASE("request_text: the Host header leaves out the default port") {
  const auto host = [](const char* url) {
    const auto text = request_text({.url = url});
    const auto begin = text.find("\r\nHost: ") + 8;
    return text.substr(begin, text.find('\r', begin) - begin);
  };
  CHECK(host("http://example.org") == "example.org");
  CHECK(host("http://example.org:80/") == "example.org");
  CHECK(host("http://example.org:81/") == "example.org:81");
  CHECK(host("http://localhost:8080/") == "localhost:8080");
  CHECK(host("http://[::1]:8080/") == "[::1]:8080");
  CHECK(host("http://[::1]/") == "[::1]:80");
  // An interface is known on this machine only.
  CHECK(host("http://[fe80::1%lo]:81/") == "[fe80::1]:81");
}

TEST_CASE("request_text: the request of a form") {
  CHECK(request_text({.url = "http://h:81/",
                      .method = "POST",
                      .payload = {{"key", "hole"}, {"a b", "\u00fc"}}}) ==
        "POST / HTTP/1.1\r\n"
        "Host: h:81\r\n"
        "User-Agent: mirakuru\r\n"
        "Accept: */*\r\n"
        "Connection: close\r\n"
        "Content-Type: application/x-www-form-urlencoded\r\n"
        "Content-Length: 19\r\n"
        "\r\n"
        "key=hole&a+b=%C3%BC");
}

TEST_CASE("request_text: the request of a text, and of an empty one") {
  CHECK(request_text({.url = "http://h/a", .method = "PUT", .payload = "line\r\n\r\n\u00fc\0"s}) ==
        "PUT /a HTTP/1.1\r\n"
        "Host: h\r\n"
        "User-Agent: mirakuru\r\n"
        "Accept: */*\r\n"
        "Connection: close\r\n"
        "Content-Type: text/plain; charset=utf-8\r\n"
        "Content-Length: 11\r\n"
        "\r\n"
        "line\r\n\r\n\u00fc\0"s);
  CHECK(request_text({.url = "http://h/a", .method = "PUT", .payload = ""}) ==
        "PUT /a HTTP/1.1\r\n"
        "Host: h\r\n"
        "User-Agent: mirakuru\r\n"
        "Accept: */*\r\n"
        "Connection: close\r\n"
        "Content-Type: text/plain; charset=utf-8\r\n"
        "Content-Length: 0\r\n"
        "\r\n");
}

TEST_CASE("request_text: a given header is added, or replaces the default one") {
  CHECK(request_text({.url = "http://h:81/", .headers = {{"X-Test", "1"}, {"X-Test", "2"}}}) ==
        "HEAD / HTTP/1.1\r\n"
        "Host: h:81\r\n"
        "User-Agent: mirakuru\r\n"
        "Accept: */*\r\n"
        "Connection: close\r\n"
        "X-Test: 1\r\n"
        "X-Test: 2\r\n"
        "\r\n");
  CHECK(request_text({.url = "http://h:81/",
                      .method = "POST",
                      .payload = "{}",
                      .headers = {{"content-type", "application/json"},
                                  {"HOST", "example.org"},
                                  {"Accept", "application/json"},
                                  {"user-agent", ""},
                                  {"Connection", "keep-alive"},
                                  {"Content-Length", "2"}}}) ==
        "POST / HTTP/1.1\r\n"
        "content-type: application/json\r\n"
        "HOST: example.org\r\n"
        "Accept: application/json\r\n"
        "user-agent: \r\n"
        "Connection: keep-alive\r\n"
        "Content-Length: 2\r\n"
        "\r\n"
        "{}");
}
