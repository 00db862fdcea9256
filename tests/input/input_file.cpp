// SPDX-License-Identifier: BSL-1.0
#include <sys/stat.h>
#include <chrono>
#include <fstream>
#include <string>

#include <doctest/doctest.h>

#include <mirakuru.hpp>

#include "errors.hpp"
#include "files.hpp"

namespace mk = mirakuru;
using namespace std::chrono_literals;
using test::in_time;
using test::message_of;

TEST_CASE("InputFile: the command reads the file from its begin in each start") {
  const test::TempDir directory;
  std::ofstream{directory / "text"} << "a line\n";
  mk::Executor cat{"cat", in_time, mk::InputFile{directory / "text"}};
  CHECK(cat.start().wait(30s).output() == "a line\n");
  CHECK(cat.stop().start().wait(30s).output() == "a line\n");
}

TEST_CASE("InputFile: a missing file is an error, and a FIFO holds nobody up") {
  const test::TempDir directory;
  mk::Executor missing{"cat", mk::InputFile{directory / "none"}};
  CHECK(message_of<mk::SpawnError>([&] { missing.start(); })
            .starts_with("cannot start: open the input " + (directory / "none") +
                         ": No such file or directory"));
  REQUIRE(::mkfifo((directory / "fifo").c_str(), 0600) == 0);
  mk::Executor cat{"cat", in_time, mk::InputFile{directory / "fifo"}};
  CHECK(cat.start().wait(30s).output().empty());
}
