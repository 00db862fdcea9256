// SPDX-License-Identifier: BSL-1.0
#include <cstdint>
#include <filesystem>
#include <map>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include <doctest/doctest.h>

#include <mirakuru/command.hpp>
#include <mirakuru/net/address.hpp>
#include <mirakuru/text/word.hpp>

namespace mk = mirakuru;
using mk::Word;
using Words = std::vector<std::string>;

TEST_CASE("Word: strings, paths, integers and ports") {
  CHECK(Word{}.str().empty());
  CHECK(Word{"text"}.str() == "text");
  CHECK(Word{std::string{"text"}}.str() == "text");
  CHECK(Word{std::string_view{"text"}.substr(1)}.str() == "ext");
  CHECK(Word{std::filesystem::path{"/a b"}}.str() == "/a b");
  CHECK(Word{std::filesystem::directory_entry{"/"}}.str() == "/");
  CHECK(Word{0}.str() == "0");
  CHECK(Word{-7L}.str() == "-7");
  CHECK(Word{UINT64_MAX}.str() == "18446744073709551615");
  CHECK(Word{std::uint8_t{65}}.str() == "65");
  CHECK(Word{mk::Port{8080}}.str() == "8080");
  CHECK(Word{mk::Port{0}}.str() == "0");
  const char* const none = nullptr;
  CHECK_THROWS_AS(Word{none}, std::invalid_argument);
}

TEST_CASE("Word: commands take them in each form") {
  const std::filesystem::path program{"/opt/my server"};
  const std::string_view line{"echo 'a b'"};
  using mk::detail::ResolvedCommand;
  CHECK(ResolvedCommand(program).words() == Words{"/opt/my server"});
  CHECK(ResolvedCommand(line).words() == Words{"echo", "a b"});
  CHECK(ResolvedCommand({"srv", "--port", 8080}).words() == Words{"srv", "--port", "8080"});
  CHECK(ResolvedCommand(mk::Command{.argv = program}).words() == Words{"/opt/my server"});
  CHECK(ResolvedCommand(mk::Command{.argv = {program, "-p", mk::Port{1}}}).words() ==
        Words{"/opt/my server", "-p", "1"});
  CHECK(ResolvedCommand(mk::Command{.argv = "x", .cwd = program}).cwd() == "/opt/my server");
}

TEST_CASE("Word: variables take them, and may be unset") {
  const mk::Command command{.argv = "x", .env = {{"PORT", 80}, {"HOME", mk::unset}, {"A", "b"}}};
  CHECK(command.env.at("PORT").text() == "80");
  CHECK_FALSE(command.env.at("HOME").text());
  CHECK(command.env.at("A") == mk::EnvValue{"b"});
  const std::map<std::string, std::string> variables{{"C", "d"}};
  CHECK(mk::Command{.argv = "x", .env = variables}.env.at("C").text() == "d");
}
