// SPDX-License-Identifier: BSL-1.0
#include <chrono>
#include <csignal>
#include <string>

#include <doctest/doctest.h>

#include <mirakuru.hpp>

#include "errors.hpp"
#include "process.hpp"
#include "time.hpp"
#include "words.hpp"

namespace mk = mirakuru;
using namespace std::chrono_literals;
using test::in_time;

TEST_CASE("Pty: the command has a terminal, and its output is kept") {
  mk::Executor shell{
      mk::Shell{"test -t 0 && test -t 1 && test -t 2 && echo terminal; stty size; : > /dev/tty && "
                "echo controlling; read line; echo got $line; exec sleep 300"},
      mk::Pty{}, mk::BannerCheck{"^controlling$"}, in_time};
  shell.start();
  CHECK(shell.output() == "terminal\n24 80\ncontrolling\n");
  shell.write("hello\n");
  shell.wait_for([&] { return shell.output().ends_with("got hello\n"); }, 30s);
  shell.stop();
  CHECK(shell.exit_code() == -SIGTERM);
  CHECK(shell.output() == "terminal\n24 80\ncontrolling\ngot hello\n");
  shell.start().kill();  // again, from the begin
  CHECK(shell.output() == "terminal\n24 80\ncontrolling\n");
}

TEST_CASE("Pty: a program that buffers for files prints line by line") {
  mk::Executor python{
      {"python3", "-c", "print('ready'); input()"}, mk::Pty{}, mk::BannerCheck{"^ready$"}, in_time};
  CHECK(python.start().running());
}

TEST_CASE("Pty: all output is there when the end is known, however much") {
  mk::Executor seq{{"seq", "200000"}, mk::Pty{}, in_time};
  for (int i = 0; i < 3; ++i) {
    seq.start().wait(30s);
    CHECK(seq.output().size() == 1'288'895);
    CHECK(seq.output().ends_with("\n200000\n"));
    seq.stop();
  }
}

TEST_CASE("Pty: close_input() is the end of the file, and carriage returns are no surprise") {
  mk::Executor cat{"cat", mk::Pty{}, in_time};
  cat.start().write("a line\n").close_input().wait(30s);
  CHECK(cat.output() == "a line\n");
  cat.stop().start().write("no end").close_input().wait(30s);
  CHECK(cat.output() == "no end");
  mk::Executor raw{mk::Shell{"printf 'ready\\r\\n'; exec sleep 300"}, mk::Pty{},
                   mk::BannerCheck{"^ready$"}, in_time};
  CHECK(raw.start().running());
}

TEST_CASE("Pty: another input leaves standard input alone") {
  mk::Executor cat{mk::Shell{"cat; test -t 0 || echo not; test -t 1 && echo terminal"}, mk::Pty{},
                   mk::InputText{"text\n"}, in_time};
  CHECK(cat.start().wait(30s).output() == "text\nnot\nterminal\n");
}

TEST_CASE("Pty: the tree ends when the test stops it") {
  const auto mark = test::mark();
  const auto sleeper = test::line(test::helper("sleep", "60000", mark));
  mk::Executor tree{mk::Shell{"setsid " + sleeper + " & " + sleeper + " & echo up; wait"},
                    mk::Pty{}, mk::BannerCheck{"up"}, in_time, mk::Silent{}};
  tree.start().stop();
  CHECK(test::processes_matching(mark) == 0);
}
