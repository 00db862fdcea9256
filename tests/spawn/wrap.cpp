// SPDX-License-Identifier: BSL-1.0
#include <chrono>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include <mirakuru.hpp>
#include <mirakuru/spawn/wrap.hpp>

#include "errors.hpp"
#include "files.hpp"
#include "time.hpp"
#include "words.hpp"

namespace mk = mirakuru;
using namespace std::chrono_literals;
using mk::detail::wrap_words;
using Words = std::vector<std::string>;

TEST_CASE("wrap_words: the first rule that matches the program's name counts") {
  const std::string rules = "redis*=valgrind -q; *server=strace -f -o 'a b'; nginx = gdb --args";
  CHECK(wrap_words(rules, "redis-server") == Words{"valgrind", "-q"});
  CHECK(wrap_words(rules, "/usr/bin/redis-server") == Words{"valgrind", "-q"});
  CHECK(wrap_words(rules, "./my-server") == Words{"strace", "-f", "-o", "a b"});
  CHECK(wrap_words(rules, "nginx") == Words{"gdb", "--args"});
  CHECK(wrap_words(rules, "postgres") == Words{});
  CHECK(wrap_words(rules, "redis/postgres") == Words{});
  CHECK(wrap_words("*=rr record --opt=1", "any") == Words{"rr", "record", "--opt=1"});
  CHECK(wrap_words("", "any") == Words{});
  CHECK(wrap_words(" ; ", "any") == Words{});
}

TEST_CASE("wrap_words: blanks around a pattern do not belong to it") {
  CHECK(wrap_words("sleep = env A=1", "sleep") == Words{"env", "A=1"});
  CHECK(wrap_words("\t cat=a ;\n sleep\t=env ; ", "sleep") == Words{"env"});
}

TEST_CASE("wrap_words: a semicolon in quotes or behind a backslash ends no rule") {
  CHECK(wrap_words("a=sh -c 'x; \"y' ; b=c", "a") == Words{"sh", "-c", "x; \"y"});
  CHECK(wrap_words("a=\"x; \\\"y;'\";b=c", "a") == Words{"x; \"y;'"});
  CHECK(wrap_words("a=x\\;y;b=c", "a") == Words{"x;y"});
  CHECK(wrap_words("a=x\\;'y;';b=c", "b") == Words{"c"});
}

TEST_CASE("wrap_words: a rule without both parts is refused, and the variable is named") {
  for (const char* rule : {"redis", "redis=", "redis= ", "=valgrind", "a=b; redis"})
    CHECK_THROWS_AS((void)wrap_words(rule, "redis"), std::invalid_argument);
  CHECK(test::refusal([] { (void)wrap_words("a=b; redis ", "redis"); }) ==
        "MIRAKURU_WRAP: a rule is not PATTERN=WORDS: redis");
  CHECK(test::refusal([] { (void)wrap_words("redis=a 'b; c=d", "redis"); }) ==
        "MIRAKURU_WRAP: a quote (') is not closed in the command: a 'b; c=d");
}

TEST_CASE("wrap_words: MIRAKURU_WRAP has the rules") {
  ::unsetenv("MIRAKURU_WRAP");
  CHECK(wrap_words("redis") == Words{});
  ::setenv("MIRAKURU_WRAP", "redis=valgrind", 1);
  CHECK(wrap_words("redis") == Words{"valgrind"});
  ::unsetenv("MIRAKURU_WRAP");
}

TEST_CASE_TEMPLATE("MIRAKURU_WRAP: a command that matches runs by its words", Spawner,
                   mk::GuardedSpawner, mk::DirectSpawner) {
  const auto is_wrapped = [](pid_t pid) {
    const auto environment = test::slurp("/proc/" + std::to_string(pid) + "/environ");
    return environment.starts_with("WRAPPED=yes") ||
           test::contains(environment, std::string{"\0WRAPPED=yes", 12});
  };
  ::setenv("MIRAKURU_WRAP", "sle*=env WRAPPED=yes", 1);
  mk::Executor executor{"sleep 300", Spawner{}}, other{"cat", Spawner{}};
  ::unsetenv("MIRAKURU_WRAP");
  CHECK(executor.command() == "sleep 300");
  executor.start();
  CHECK(test::eventually([&] { return is_wrapped(executor.pid()); }));
  other.start();
  CHECK_FALSE(is_wrapped(other.pid()));
}

TEST_CASE("MIRAKURU_WRAP: the start budget is 20 times as long, and messages tell") {
  ::setenv("MIRAKURU_WRAP", "sleep=env", 1);
  mk::Executor executor{"sleep 300", [](const mk::Process&) { return false; },
                        mk::TimeoutBudget{.start = 10ms}};
  mk::Executor for_ever{"sleep 300", mk::TimeoutBudget{.start = std::chrono::hours::max()}};
  ::unsetenv("MIRAKURU_WRAP");
  for_ever.start();
  try {
    executor.start();
    CHECK_MESSAGE(false, "start() did not throw");
  } catch (const mk::TimeoutExpired& error) {
    CHECK(error.timeout() == 200ms);
    CHECK(test::contains(
        error.what(), "\n  note: MIRAKURU_WRAP runs it by 'env', with 20 times the start budget"));
  }
}
