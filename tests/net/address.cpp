// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <string>
#include <type_traits>

#include <doctest/doctest.h>

#include <mirakuru/net/address.hpp>
#include <mirakuru/os/printable.hpp>

namespace mk = mirakuru;
using namespace std::string_literals;
using mk::detail::authority;

namespace {

/// The message of the std::invalid_argument that `make` throws; "nothing" if it throws none.
template <class Make>
std::string refusal(Make make) {
  try {
    make();
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
  return "nothing";
}

}  // namespace

TEST_CASE("Host: an address or a name") {
  for (const std::string name : {"127.0.0.1",
                                 "0.0.0.0",
                                 "localhost",
                                 "example.org",
                                 "a",
                                 "under_score",
                                 "with-hyphen",
                                 "trailing.dot.",
                                 "123",
                                 "127.1",
                                 "web.1",
                                 "xn--grn-0na",
                                 "\u4f8b\u3002\u4f8b",
                                 "gr\u00fc\u00df.example",
                                 "::",
                                 "::1",
                                 "fe80::1",
                                 "2001:db8::1:2",
                                 "1:2:3:4:5:6:7:8",
                                 "::ffff:127.0.0.1",
                                 "FE80::A",
                                 "fe80::1%lo",
                                 "fe80::1%2"}) {
    CAPTURE(name);
    const mk::Host host{name};
    CHECK(host.str() == name);
    const std::string& converted = host;
    CHECK(converted == name);
  }
  const mk::Host from_literal = "localhost";
  CHECK(from_literal.str() == "localhost");
}

TEST_CASE("Host: brackets around an IPv6 address are dropped") {
  CHECK(mk::Host{"[::1]"}.str() == "::1");
  CHECK(mk::Host{"[::]"}.str() == "::");
  CHECK(mk::Host{"[fe80::1%lo]"}.str() == "fe80::1%lo");
  CHECK(mk::Host{"[::ffff:1.2.3.4]"}.str() == "::ffff:1.2.3.4");
}

TEST_CASE("Host: a text that is neither an address nor a name is refused") {
  const auto refused = [](const std::string& name) {
    return refusal([&] { (void)mk::Host{name}; });
  };
  for (const auto& name : {""s,
                           "[]"s,
                           "["s,
                           "]"s,
                           "[::1"s,
                           "::1]"s,

                           "[::1]:80"s,
                           "localhost:80"s,
                           "127.0.0.1:80"s,
                           ":80"s,
                           ":"s,
                           ":::"s,
                           "1:2"s,
                           "::1::2"s,
                           "::g"s,
                           "1:2:3:4:5:6:7:8:9"s,
                           ":%lo"s,
                           "a b"s,
                           " a"s,
                           "a "s,
                           "a\tb"s,
                           "a\n"s,

                           "a\x7f"s,
                           "a/b"s,
                           "http://a"s,
                           "user@a"s,
                           "a[b]"s}) {
    CAPTURE(name);
    CHECK(refused(name) == "not a host name or an address: '" + mk::detail::one_line(name) + "'");
  }
  for (const auto& name : {"a\\b"s,
                           "a?b"s,
                           "a#b"s,
                           "\"a\""s,
                           "*"s,
                           "."s,
                           ".."s,
                           "a..b"s,
                           ".a"s,
                           "a.."s,
                           "127.0.0.256"s,
                           "1.2.3.4.5"s,
                           "a%b"s,
                           "a,b"s,
                           "a\u00a0b"s,
                           "a\u202e"s,
                           "\u200ba"s,
                           "\ufeffa"s,
                           "\u3000"s,
                           std::string(300, 'a'),
                           std::string(64, 'a') + ".org",
                           "::1%"s,
                           "::1%a b"s,
                           "::1%a/b"s}) {
    CAPTURE(name);
    CHECK(refused(name) == "not a host name or an address: '" + name + "'");
  }
  CHECK(refused(std::string(63, 'a') + ".org") == "nothing");
  CHECK(refused("a\0b"s) == "not a host name or an address: 'a\\x00b'");
  CHECK(refused("a\x1b[31mb") == "not a host name or an address: 'a\\x1b[31mb'");
  // Only an IPv6 address may have brackets, and only one pair.
  CHECK(refused("[[::1]]") != "nothing");
  CHECK(refused("[localhost]") != "nothing");
  CHECK(refused("[127.0.0.1]") != "nothing");
  CHECK(refused("[1:2]") != "nothing");
}

TEST_CASE("Port: a number from 0 to 65535") {
  for (const int number : {0, 1, 80, 8080, 32767, 32768, 65535}) {
    CAPTURE(number);
    const mk::Port port = number;
    CHECK(port == number);
    const std::uint16_t converted = port;
    CHECK(converted == number);
  }
  const auto refused = [](long long number) { return refusal([&] { (void)mk::Port{number}; }); };
  for (const long long number :
       {-1LL, -80LL, 65536LL, 65616LL, 65536LL * 65536 + 80, std::numeric_limits<long long>::min(),
        std::numeric_limits<long long>::max()}) {
    CAPTURE(number);
    CHECK(refused(number) == "a port is 0 to 65535, not " + std::to_string(number));
  }
  static_assert(!std::is_default_constructible_v<mk::Port>);
  static_assert(!std::is_default_constructible_v<mk::Host>);
}

TEST_CASE("authority: host and port, with an IPv6 address in brackets") {
  CHECK(authority("127.0.0.1", 80) == "127.0.0.1:80");
  CHECK(authority("localhost", 1) == "localhost:1");
  CHECK(authority("::1", 65535) == "[::1]:65535");
  CHECK(authority("fe80::1%lo", 8080) == "[fe80::1%lo]:8080");
  CHECK(authority(mk::Host{"[::]"}, mk::Port{99}) == "[::]:99");
}
