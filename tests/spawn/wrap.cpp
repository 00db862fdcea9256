// SPDX-License-Identifier: BSL-1.0
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include <mirakuru/spawn/wrap.hpp>

using mirakuru::detail::wrap_words;
using Words = std::vector<std::string>;

TEST_CASE("wrap_words: the first rule that matches the program's name counts") {
  const std::string rules = "redis*=valgrind -q; *server=strace -f -o 'a b'; nginx = gdb --args";
  CHECK(wrap_words(rules, "redis-server") == Words{"valgrind", "-q"});
  CHECK(wrap_words(rules, "/usr/bin/redis-server") == Words{"valgrind", "-q"});
  CHECK(wrap_words(rules, "./my-server") == Words{"strace", "-f", "-o", "a b"});
  CHECK(wrap_words(rules, "postgres") == Words{});
  CHECK(wrap_words(rules, "redis/postgres") == Words{});
  CHECK(wrap_words("*=rr record --opt=1", "any") == Words{"rr", "record", "--opt=1"});
  CHECK(wrap_words("", "any") == Words{});
  CHECK(wrap_words(" ; ", "any") == Words{});
}

TEST_CASE("wrap_words: a rule without both parts is refused") {
  for (const char* rule : {"redis", "redis=", "redis= ", "=valgrind", "a=b; redis"})
    CHECK_THROWS_AS((void)wrap_words(rule, "redis"), std::invalid_argument);
  CHECK_THROWS_AS((void)wrap_words("redis=a 'b", "redis"), std::invalid_argument);
}

TEST_CASE("wrap_words: MIRAKURU_WRAP has the rules") {
  ::unsetenv("MIRAKURU_WRAP");
  CHECK(wrap_words("redis") == Words{});
  ::setenv("MIRAKURU_WRAP", "redis=valgrind", 1);
  CHECK(wrap_words("redis") == Words{"valgrind"});
  ::unsetenv("MIRAKURU_WRAP");
}
