// SPDX-License-Identifier: BSL-1.0
// The parts of an HTTP check.
#include <stdexcept>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include <mirakuru/os/printable.hpp>
#include <mirakuru/ready/http/http.hpp>

#include "errors.hpp"

namespace mk = mirakuru;
using namespace std::string_literals;
using test::refusal;

namespace {

/// The codes that a pattern matches, with blanks between them.
std::string codes(const mk::StatusPattern& pattern) {
  std::string text;
  for (int code = -1000; code <= 10'000; ++code)
    if (pattern.matches(code)) text += (text.empty() ? "" : " ") + std::to_string(code);
  return text;
}

}  // namespace

TEST_CASE("URL: it has a host, a port and a target") {
  struct Row {
    std::string text, host;
    int port;
    std::string target;
  };
  const Row rows[] = {
      {"http://example.org", "example.org", 80, "/"},
      {"http://example.org/", "example.org", 80, "/"},
      {"http://example.org:8080", "example.org", 8080, "/"},
      {"http://example.org:8080/", "example.org", 8080, "/"},
      {"http://example.org:/a", "example.org", 80, "/a"},
      {"http://example.org:080/a", "example.org", 80, "/a"},
      {"http://example.org:1/", "example.org", 1, "/"},
      {"http://example.org:65535/", "example.org", 65535, "/"},
      {"http://127.0.0.1:80/a/b%20c?d=e&f=/?g", "127.0.0.1", 80, "/a/b%20c?d=e&f=/?g"},
      {"http://h?a=b", "h", 80, "/?a=b"},
      {"http://h:81?a=b", "h", 81, "/?a=b"},
      {"http://h/?", "h", 80, "/?"},
      // An @ or a colon behind the host has no meaning.
      {"http://h/a@b:c", "h", 80, "/a@b:c"},
      {"http://h?a@b:c//d", "h", 80, "/?a@b:c//d"},
      {"http://h//a/../b", "h", 80, "//a/../b"},
      // A fragment is not sent.
      {"http://h/a#b", "h", 80, "/a"},
      {"http://h/a?b#c?d/e", "h", 80, "/a?b"},
      {"http://h#b", "h", 80, "/"},
      {"http://h:81#b", "h", 81, "/"},
      {"http://h?a#b", "h", 80, "/?a"},
      // IPv6.
      {"http://[::1]", "::1", 80, "/"},
      {"http://[::1]:8080/a", "::1", 8080, "/a"},
      {"http://[::ffff:127.0.0.1]:81?a", "::ffff:127.0.0.1", 81, "/?a"},
      {"http://[fe80::1%lo]:81/", "fe80::1%lo", 81, "/"},
      {"http://[fe80::1%25lo]:81/", "fe80::1%lo", 81, "/"},
      {"http://[fe80::1%eth25]/%25", "fe80::1%eth25", 80, "/%25"},
      {"http://h:0000000000080/", "h", 80, "/"},
      // The scheme may be in any case. A target is encoded where a request must be.
      {"HTTP://Example.ORG/A", "Example.ORG", 80, "/A"},
      {"hTTp://h/", "h", 80, "/"},
      {"http://h/sch\u00f6n", "h", 80, "/sch%C3%B6n"},
      {"http://h/\"<>\\^`{|}?\"\u00e4#\u00e4", "h", 80, "/%22%3C%3E%5C%5E%60%7B%7C%7D?%22%C3%A4"},
      {"http://h/%c3%b6%20-._~!$&'()*+,;=:@", "h", 80, "/%c3%b6%20-._~!$&'()*+,;=:@"},
  };
  for (const auto& [text, host, port, target] : rows) {
    CAPTURE(text);
    const mk::URL url{text};
    CHECK(url.host().str() == host);
    CHECK(url.port() == port);
    CHECK(url.target() == target);
    CHECK(url.text() == text);
  }
  const mk::URL from_literal = "http://h:81/a";
  CHECK(from_literal.port() == 81);
}

TEST_CASE("URL: a wrong or foreign one is refused and named [difference 5]") {
  const auto refused = [](const std::string& text) {
    return refusal([&] { (void)mk::URL{text}; });
  };
  const auto why = [&](const std::string& text) {
    const auto message = refused(text), begin = "the URL '" + mk::detail::one_line(text) + "' ";
    return message.starts_with(begin) ? message.substr(begin.size()) : "not: " + message;
  };
  const auto scheme = "does not begin with http://";
  CHECK(why("") == scheme);
  CHECK(why("example.org/") == scheme);
  CHECK(why("/a") == scheme);
  CHECK(why("http:/h/") == scheme);
  CHECK(why("http:h") == scheme);
  CHECK(why("ftp://h/") == scheme);
  CHECK(why("httpx://h/") == scheme);
  CHECK(why("https:h") == scheme);
  CHECK(why("https://h/") == "asks for TLS; take HTTPSCheck of <mirakuru/tls.hpp>");
  CHECK(why("HTTPS://h/") == "asks for TLS; take HTTPSCheck of <mirakuru/tls.hpp>");

  CHECK(why("http://") == "has no host");
  CHECK(why("http:///a") == "has no host");
  CHECK(why("http://:80/") == "has no host");
  CHECK(why("http://?a") == "has no host");
  CHECK(why("http://#a") == "has no host");

  const auto user = "has a user name in it; give an Authorization header instead";
  CHECK(why("http://me@h/") == user);
  CHECK(why("http://me:secret@h:80/") == user);
  CHECK(why("http://@h/") == user);

  const auto blank = "has a blank or a control character in it";
  for (const std::string text :
       {" http://h/", "http://h/ ", "http://h /", "http://h/a b", "http://h/?a b", "http://h/\t",
        "http://h/\r\nHost: x", "http://h/a\nb", "http://h/\x7f", "http://h/#a b"})
    CHECK(why(text) == blank);
  CHECK(refused("http://h/a\0b\x1b[31m"s) == "the URL 'http://h/a\\x00b\\x1b[31m' "s + blank);

  const auto number = "has a port that is no number";
  CHECK(why("http://h:a/") == number);
  CHECK(why("http://h:-1/") == number);
  CHECK(why("http://h:+80/") == number);
  CHECK(why("http://h:8a/") == number);
  CHECK(why("http://h:80:81/") == number);
  CHECK(why("http://h:0x50/") == number);
  CHECK(why("http://h:99999999999999999999/") == "has a port above 65535");
  CHECK(refused("http://h:65536/") == "a port is 0 to 65535, not 65536");

  // A wrong host has the message of Host.
  const auto host = [](const std::string& name) {
    return "not a host name or an address: '" + name + "'";
  };
  CHECK(refused("http://[::1/") == host("[::1"));
  CHECK(refused("http://[]/") == host("[]"));
  CHECK(refused("http://[1.2.3.4]/") == host("1.2.3.4"));
  CHECK(refused("http://[::1]x/") == host("[::1]x"));
  CHECK(refused("http://::1/") != "nothing");
}

TEST_CASE("StatusPattern: a number or an expression matches the whole code [difference 5]") {
  CHECK(codes(200) == "200");
  CHECK(codes(101) == "101");
  CHECK(codes(999) == "999");
  CHECK(codes("200") == "200");
  CHECK(codes("20[0-3]") == "200 201 202 203");
  CHECK(codes("(200|404)") == "200 404");
  CHECK(codes("200|404") == "200 404");
  CHECK(codes("2|404|5") == "404");
  CHECK(codes("(?:2|4)0\\d"s) ==
        "200 201 202 203 204 205 206 207 208 209 400 401 402 403 404 405 406 407 408 409");
  CHECK(codes("^200$") == "200");
  CHECK(codes("(?i)20[01]") == "200 201");
  CHECK(codes("[^1-8]+9") == "909 999");
  CHECK(codes("\\d*7{3}") == "777");
  // A part of the code does not match.
  CHECK(codes("20.?") == codes("20\\d"));
  CHECK_THROWS_AS((void)mk::StatusPattern{"20"}, std::invalid_argument);

  const mk::StatusPattern success{"2\\d\\d"};
  CHECK_FALSE(success.matches(199));
  CHECK(success.matches(200));
  CHECK(success.matches(299));
  CHECK_FALSE(success.matches(300));
  CHECK_FALSE(success.matches(0));
  CHECK_FALSE(success.matches(-200));
  CHECK_FALSE(success.matches(1200));
  CHECK_FALSE(success.matches(2000));

  std::string all;
  for (int code = 100; code <= 999; ++code)
    if (code == 101 || code >= 200) all += (all.empty() ? "" : " ") + std::to_string(code);
  CHECK(codes(".*") == all);
  CHECK(codes("\\d{3}") == all);
}

TEST_CASE("StatusPattern: one that no code can match, or no expression, is refused") {
  const auto why = [](auto given) { return refusal([&] { (void)mk::StatusPattern{given}; }); };
  CHECK(why(0) == "no status code matches '0'");
  CHECK(why(100) == "no status code matches '100'");  // never a final status
  CHECK(why(99) == "no status code matches '99'");
  CHECK(why(1000) == "no status code matches '1000'");
  CHECK(why(-200) == "no status code matches '-200'");
  CHECK(why("") == "no status code matches ''");
  CHECK(why("OK") == "no status code matches 'OK'");
  CHECK(why("2xx") == "no status code matches '2xx'");
  CHECK(why("200 ") == "no status code matches '200 '");
  CHECK(why("(200") != "nothing");
  CHECK(why("*") != "nothing");
  CHECK(why("2\\") != "nothing");
  CHECK(why("(?!200)...") != "nothing");
}

TEST_CASE("Method: it is any token") {
  for (const std::string name :
       {"HEAD", "GET", "POST", "OPTIONS", "PROPFIND", "get", "M-SEARCH", "a1!#$%&'*+-.^_`|~"}) {
    CAPTURE(name);
    CHECK(mk::Method{name}.str() == name);
  }
  for (const auto& name : {""s, "GET "s, " GET"s, "GET /"s, "GET\r\n"s, "G\tT"s, "G(T"s, "G:T"s,
                           "G\"T"s, "G\0T"s, "\0"s, "G\x7f"s, "gr\u00fc\u00df"s}) {
    CAPTURE(name);
    CHECK(refusal([&] { (void)mk::Method{name}; }) ==
          "not a method: '" + mk::detail::one_line(name) + "'");
  }
}

TEST_CASE("Payload: it is empty, a text or a form") {
  const mk::Payload nothing;
  CHECK(nothing.body().empty());
  CHECK(nothing.content_type().empty());

  const mk::Payload text = "{\"a\": [1, 2]}\r\n\u00fc";
  CHECK(text.body() == "{\"a\": [1, 2]}\r\n\u00fc");
  CHECK(text.content_type() == "text/plain; charset=utf-8");
  CHECK(mk::Payload{"a\0b"s}.body() == "a\0b"s);
  CHECK(mk::Payload{""}.body().empty());
  CHECK(mk::Payload{""}.content_type() == "text/plain; charset=utf-8");

  const mk::Payload form{{"key", "hole"}, {"other", "value"}};
  CHECK(form.body() == "key=hole&other=value");
  CHECK(form.content_type() == "application/x-www-form-urlencoded");
}

TEST_CASE("Payload: a form is encoded as browsers do it") {
  const auto form = [](mk::Payload::Fields fields) { return mk::Payload{fields}.body(); };
  CHECK(form({{"a", "b"}}) == "a=b");
  CHECK(form({{"a", ""}}) == "a=");
  CHECK(form({{"", "b"}}) == "=b");
  CHECK(form({{"a", "1"}, {"a", "2"}}) == "a=1&a=2");
  CHECK(form({{"a b", " c "}}) == "a+b=+c+");
  CHECK(form({{"x", "azAZ09*-._"}}) == "x=azAZ09*-._");
  CHECK(form({{"a=b&c", "d=e&f"}}) == "a%3Db%26c=d%3De%26f");
  CHECK(form({{"x", "+%~/?#!'()@:;,$[]\"<>\\^`{|}"}}) ==
        "x=%2B%25%7E%2F%3F%23%21%27%28%29%40%3A%3B%2C%24%5B%5D%22%3C%3E%5C%5E%60%7B%7C%7D");
  CHECK(form({{"x", "\r\n\t\x7f"}}) == "x=%0D%0A%09%7F");
  CHECK(form({{"x", "\u00fc\u4e2d\xff"}}) == "x=%C3%BC%E4%B8%AD%FF");
  CHECK(form({{"x", "a\0b"s}}) == "x=a%00b");
}

TEST_CASE("Headers: they keep their order, and names ignore case") {
  const mk::Headers none;
  CHECK(none.fields().empty());
  CHECK_FALSE(none.has("Host"));

  const mk::Headers headers{{"X-Test", "1"}, {"accept", "a/b; q=0.5, \tc\u00fc"}, {"X-Test", ""}};
  REQUIRE(headers.fields().size() == 3);
  CHECK(headers.fields()[0] == mk::Headers::Field{"X-Test", "1"});
  CHECK(headers.fields()[1] == mk::Headers::Field{"accept", "a/b; q=0.5, \tc\u00fc"});
  CHECK(headers.fields()[2] == mk::Headers::Field{"X-Test", ""});
  CHECK(headers.has("X-Test"));
  CHECK(headers.has("x-tEST"));
  CHECK(headers.has("Accept"));
  CHECK_FALSE(headers.has("X-Tes"));
  CHECK_FALSE(headers.has("X-Test2"));
  CHECK_FALSE(headers.has(""));

  const mk::Headers from_vector{std::vector<mk::Headers::Field>{{"A", "b"}}};
  CHECK(from_vector.has("a"));
  const mk::Headers one{{"A", "b"}};
  REQUIRE(one.fields().size() == 1);
  CHECK(one.fields()[0] == mk::Headers::Field{"A", "b"});
}

TEST_CASE("Headers: one that would break the request is refused") {
  const auto refused = [](const std::string& name, const std::string& value) {
    return refusal([&] { (void)mk::Headers{{name, value}}; });
  };
  for (const auto& name :
       {""s, "A B"s, "A:"s, "A\r\nB"s, "A\t"s, "(A)"s, "A\0"s, "\u00fc"s, "A/B"s}) {
    CAPTURE(name);
    CHECK(refused(name, "x") ==
          "invalid header name or value: '" + mk::detail::one_line(name) + "'");
  }
  for (const auto& value : {"a\r\nB: c"s, "a\n"s, "a\r"s, "a\0b"s, "\x01"s, "\x7f"s}) {
    CAPTURE(value);
    CHECK(refused("A", value) == "invalid header name or value: 'A'");
  }
  CHECK(refused("A", "") == "nothing");
  CHECK(refused("A", "\t \u00fc\xff:;\"") == "nothing");
}

TEST_CASE("HTTPCheck: the default is HEAD, and any success counts") {
  const mk::HTTPCheck check{"http://127.0.0.1:8080/status"};
  CHECK_FALSE(check.method);
  CHECK(codes(check.status) == codes("2\\d\\d"));
  CHECK(check.payload.content_type().empty());
  CHECK(check.headers.fields().empty());
  CHECK(check.describe() == "HEAD http://127.0.0.1:8080/status");
  CHECK(mk::HTTPCheck{.url = "http://h/a#b", .method = "GET"}.describe() == "GET http://h/a#b");
  CHECK(mk::HTTPCheck{.url = "http://h/a", .body = "UP", .socket = "/s"}.describe() ==
        "GET http://h/a with a line with 'UP' at /s");
}

TEST_CASE("HTTPCheck: it converts to a TCP check of its port") {
  const mk::TCPCheck tcp = mk::HTTPCheck{"http://[::1]:8080/status"};
  CHECK(tcp.host.str() == "::1");
  CHECK(tcp.port == 8080);
  CHECK(static_cast<mk::TCPCheck>(mk::HTTPCheck{"http://localhost"}).port == 80);
  CHECK(tcp.owned);
  const mk::TCPCheck gateway =
      mk::HTTPCheck{.url = "http://h/", .may_be_there = true, .owned = false};
  CHECK(gateway.may_be_there);
  CHECK_FALSE(gateway.owned);
  const mk::HTTPCheck local{.url = "http://h/", .socket = "/run/s"};
  CHECK_THROWS_WITH_AS(
      (void)static_cast<mk::TCPCheck>(local),
      "the HTTP check of /run/s has no TCP port; give it to an executor without TCPCheck",
      std::invalid_argument);
}
