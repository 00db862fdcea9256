// SPDX-License-Identifier: BSL-1.0
// The parts of the kit that lie across the axes: pauses, users, scopes, and all of it
// asynchronously.

#include <pwd.h>
#include <unistd.h>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <optional>
#include <string>
#include <tuple>
#include <type_traits>

#include <doctest/doctest.h>
#include <asio/bind_executor.hpp>
#include <asio/io_context.hpp>

#include <mirakuru.hpp>
#include <mirakuru/async.hpp>
#include <mirakuru/kit.hpp>

#include "child.hpp"
#include "errors.hpp"
#include "files.hpp"
#include "process.hpp"
#include "time.hpp"
#include "words.hpp"

namespace mk = mirakuru;
using namespace std::chrono_literals;
using test::in_time;
using test::message_of;

namespace {

/// Two processes, one of them in a session of its own, that print without end.
const mk::Shell busy{
    "(exec setsid sh -c 'while :; do echo x; sleep 0.01; done') & while :; do echo x; sleep 0.01; "
    "done"};

/// Blocking or asynchronous.
struct Blocking {
  template <class Executor>
  static void start(Executor& executor) {
    executor.start();
  }
  template <class Executor>
  static void stop(Executor& executor) {
    executor.stop();
  }
};
struct Asynchronous {
  template <class Initiate>
  static void run(Initiate initiate) {
    asio::io_context context;
    std::optional<std::exception_ptr> result;
    initiate(asio::bind_executor(context, [&](std::exception_ptr error) { result = error; }));
    context.run();
    REQUIRE(result);
    if (*result) std::rethrow_exception(*result);
  }
  template <class Executor>
  static void start(Executor& executor) {
    run([&](auto token) { executor.async_start(token); });
  }
  template <class Executor>
  static void stop(Executor& executor) {
    run([&](auto token) { executor.async_stop(token); });
  }
};

template <class Spawner_, class Form_>
struct Case {
  using Spawner = Spawner_;
  using Form = Form_;
};

bool may_be_root() { return ::geteuid() == 0 && ::getpwnam("nobody") != nullptr; }

}  // namespace

TYPE_TO_STRING_AS("guarded, blocking", Case<mk::GuardedSpawner, Blocking>);
TYPE_TO_STRING_AS("guarded, asynchronous", Case<mk::GuardedSpawner, Asynchronous>);
TYPE_TO_STRING_AS("direct, blocking", Case<mk::DirectSpawner, Blocking>);
TYPE_TO_STRING_AS("direct, asynchronous", Case<mk::DirectSpawner, Asynchronous>);
TYPE_TO_STRING_AS("cgroup, blocking", Case<mk::CgroupSpawner, Blocking>);

TEST_CASE_TEMPLATE("Kit: all of it, with each spawner and in each form", T,
                   Case<mk::GuardedSpawner, Blocking>, Case<mk::GuardedSpawner, Asynchronous>,
                   Case<mk::DirectSpawner, Blocking>, Case<mk::DirectSpawner, Asynchronous>,
                   Case<mk::CgroupSpawner, Blocking>) {
  using Form = typename T::Form;
  const typename T::Spawner spawner{};
  try {
    mk::Executor{"true", spawner}.start();
  } catch (const mk::SpawnError& error) {
    MESSAGE("no cgroup to test with: ", error.what());
    return;
  }
  mk::Executor input{"cat", mk::InputText{"text"}, mk::Limits{.files = 64}, in_time, spawner};
  Form::start(input);
  CHECK(input.wait(30s).output() == "text");
  Form::stop(input);

  mk::Executor by_input{"cat", mk::StopByInput{}, in_time, spawner};
  Form::start(by_input);
  Form::stop(by_input);
  CHECK(by_input.exit_code() == 0);

  mk::Executor by_command{"sleep 300", mk::StopByCommand{{"false"}}, in_time, spawner};
  Form::start(by_command);
  Form::stop(by_command);
  CHECK(by_command.exit_code() == -SIGTERM);

  mk::Executor leader{
      mk::Shell{"trap 'sleep 0.1; echo leader; exit 0' TERM; sh -c 'trap \"echo child; exit 0\" "
                "TERM; echo up; while :; do sleep 0.01; done' & wait; wait"},
      mk::BannerCheck{"up"},
      mk::Signals{.scope = mk::Scope::leader},
      in_time,
      spawner,
      mk::Silent{}};
  Form::start(leader);
  Form::stop(leader);
  CHECK(leader.exit_code() == 0);
  CHECK(leader.output() == "up\nleader\nchild\n");

  mk::Executor paused{"sleep 300", in_time, spawner};
  Form::start(paused);
  paused.pause();
  if (!std::is_same_v<typename T::Spawner, mk::CgroupSpawner>)  // its freezer has no state
    CHECK(test::stat_of(paused.pid()).state == 'T');
  const test::Elapsed elapsed;
  Form::stop(paused);
  CHECK(elapsed < 5s);
  CHECK(paused.exit_code() == -SIGTERM);
}

TEST_CASE("Kit: the design, to the letter") {
  const std::string text = "listen ${port}; root ${root};";
  mk::FreePort port;
  static_assert(std::is_same_v<decltype(port.number()), unsigned short>);
  const mk::Port same = port;
  CHECK(same == port.number());
  CHECK(port.url("/health") == "http://127.0.0.1:" + port.str() + "/health");
  mk::TempDir dir{"pg"};
  const std::filesystem::path data = dir.path() / "data";
  dir.write("nginx.conf", mk::render(text, {{"port", port}, {"root", dir}}));
  mk::Result r = mk::run({"mkdir", dir.path() / "data"});
  CHECK(r.output.empty());
  CHECK(r.err_output.empty());
  CHECK(r.exit_code == 0);
  CHECK(mk::run({"sh", "-c", "exit 2"}, mk::Accept{1, 2}).exit_code == 2);
  mk::FreePort ports[3];
  CHECK(ports[0].number() != ports[2].number());
  const mk::Command command{.argv = {"server", "--port", port},
                            .cwd = dir,
                            .env = {{"LANG", "C"}, {"NOTIFY_SOCKET", mk::unset}},
                            .clean_env = true,
                            .user = "",
                            .scratch = dir};
  CHECK(command.cwd.str() == dir.path());
  [[maybe_unused]] const auto strategies =
      std::tuple{mk::Signals{.stop = SIGTERM, .scope = mk::Scope::leader}, mk::StopByInput{},
                 mk::StopByCommand{{"redis-cli", "-p", port, "shutdown"}}};
  [[maybe_unused]] const auto outputs =
      std::tuple{mk::Tee{}, mk::Capture{.keep_on_failure = dir}, mk::Pty{}};
  [[maybe_unused]] const auto inputs =
      std::tuple{mk::HeldOpen{}, mk::NoInput{}, mk::InputText{"..."}, mk::InputFile{dir / "f"}};
}

TEST_CASE("Kit: the guardian's outputs in the asynchronous form") {
  mk::Executor seq{{"seq", "3"}, mk::Pty{}, in_time};
  Asynchronous::start(seq);
  CHECK(seq.wait(30s).output() == "1\n2\n3\n");
  Asynchronous::stop(seq);
}

TEST_CASE("pause: nobody of the tree runs, until resume()") {
  mk::Executor tree{busy, in_time, mk::Silent{}};
  CHECK(message_of<mk::ExecutorError>([&] { tree.pause(); }).starts_with("it does not run"));
  tree.start();
  CHECK(test::eventually([&] { return tree.output().size() > 20; }));
  for (int times = 0; times < 5; ++times) {
    tree.pause();
    const auto size = tree.output().size();
    const timespec while_paused{.tv_sec = 0, .tv_nsec = 50'000'000};
    ::nanosleep(&while_paused, nullptr);
    CHECK(tree.output().size() == size);
    CHECK(tree.running());
    tree.resume().resume();
    CHECK(test::eventually([&] { return tree.output().size() > size + 8; }));
  }
  tree.pause().pause().stop();
  CHECK_FALSE(tree.running());
}

TEST_CASE("pause: kill(), the destructor and the owner's death end a paused tree in time") {
  const auto mark = test::mark();
  const auto sleeper = test::line(test::helper("sleep", "60000", mark));
  const mk::Shell command{"setsid " + sleeper + " & exec " + sleeper};
  const test::Elapsed elapsed;
  {
    mk::Executor killed{command, in_time, mk::Silent{}};
    killed.start().pause().kill();
    killed.start().pause();
  }
  CHECK(test::processes_matching(mark) == 0);
  CHECK(test::in_child([&] {
          mk::SimpleExecutor owned{command};
          owned.start().pause();
          ::raise(SIGKILL);
          return false;
        }) == 128 + SIGKILL);
  CHECK(test::eventually([&] { return test::processes_matching(mark) == 0; }));
  CHECK(elapsed < 20s);
}

TEST_CASE_TEMPLATE("Command: a user of its own", Spawner, mk::GuardedSpawner, mk::DirectSpawner) {
  if (!may_be_root()) {
    MESSAGE("only root may change the user");
    return;
  }
  mk::Executor id{mk::Command{.argv = "id -un; id -Gn; echo reopened > /dev/stderr; sleep 300",
                              .user = "nobody",
                              .shell = true},
                  mk::BannerCheck{.pattern = "reopened", .stream = mk::Stream::err}, in_time,
                  Spawner{}};
  id.start();
  CHECK(id.output() == "nobody\nnogroup\n");
  CHECK(id.err_output() == "reopened\n");
  id.stop();
  CHECK(id.exit_code() == -SIGTERM);
  CHECK(mk::run(mk::Command{.argv = {"cat", "/dev/stdin"}, .user = "nobody"}, mk::InputText{"text"},
                Spawner{})
            .output == "text");
  const mk::TempDir closed;
  CHECK(message_of<mk::SpawnError>([&] {
          mk::run(mk::Command{.argv = {"pwd"}, .cwd = closed, .user = "nobody"}, Spawner{});
        })
            .starts_with("cannot run in the directory " + closed.path().native() +
                         " as the user nobody: permission denied"));
  CHECK(message_of<mk::SpawnError>([] {
          mk::SimpleExecutor{mk::Command{.argv = "true", .user = "no-such-user"}}.start();
        }).starts_with("cannot run as the user no-such-user: there is no such user"));
  // One that is not root may name itself, and nobody else.
  CHECK(test::in_child([] {
          if (::setgid(65534) != 0 || ::setuid(65534) != 0) return false;
          const auto* const own = ::getpwuid(65534);
          mk::SimpleExecutor{mk::Command{.argv = "true", .user = own->pw_name}}.start();
          return message_of<mk::SpawnError>([] {
                   mk::SimpleExecutor{mk::Command{.argv = "true", .user = "root"}}.start();
                 })
              .starts_with("cannot run as the user root: only root may change the user");
        }) == 0);
}

TEST_CASE("Command: a service of another user ends with its owner, and its scratch goes") {
  if (!may_be_root()) return;
  const test::TempDir place;
  REQUIRE(::chmod(place.path().c_str(), 0755) == 0);
  const auto scratch = place.path() + "/scratch";
  REQUIRE(::mkdir(scratch.c_str(), 0700) == 0);
  CHECK(
      test::in_child([&] {
        mk::Executor service{
            mk::Command{.argv = "trap '' TERM; echo x > file; echo up; while :; do sleep 0.1; done",
                        .cwd = scratch,
                        .user = "nobody",
                        .scratch = scratch,
                        .shell = true},
            mk::BannerCheck{"up"}, mk::TimeoutBudget{.start = 30s, .stop = 200ms}};
        service.start();
        ::raise(SIGKILL);
        return false;
      }) == 128 + SIGKILL);
  CHECK(test::eventually([&] { return !test::exists(scratch); }));
}

TEST_CASE_TEMPLATE("Command: a clean environment, and variables that are unset", Spawner,
                   mk::GuardedSpawner, mk::DirectSpawner) {
  ::setenv("MIRAKURU_TEST_KIT", "1", 1);
  const auto env = [](mk::Command command) {
    command.argv = {"/usr/bin/env"};
    mk::Executor executor{command, in_time, Spawner{}};
    return executor.start().wait(30s).output();
  };
  CHECK(env({.argv = "", .env = {}}).find("MIRAKURU_TEST_KIT=1\n") != std::string::npos);
  CHECK(env({.argv = "", .env = {{"MIRAKURU_TEST_KIT", mk::unset}}}).find("MIRAKURU_TEST_KIT") ==
        std::string::npos);
  const auto clean = env({.argv = "", .env = {{"A", 1}}, .clean_env = true});
  CHECK(clean.starts_with("A=1\nmirakuru_uuid="));
  CHECK(std::count(clean.begin(), clean.end(), '\n') == 2);
  ::unsetenv("MIRAKURU_TEST_KIT");
}

TEST_CASE("Command: DirectSpawner refuses a scratch directory") {
  const test::TempDir directory;
  mk::Executor executor{mk::Command{.argv = "true", .scratch = directory.path()},
                        mk::DirectSpawner{}};
  CHECK(message_of<mk::SpawnError>([&] { executor.start(); }).find("take GuardedSpawner") !=
        std::string::npos);
}

TEST_CASE("Capture: keep_on_failure copies the output with each error") {
  const test::TempDir directory;
  mk::Executor failing{mk::Shell{"echo out; echo err >&2; exit 3"}, mk::BannerCheck{"never"},
                       mk::Capture{.keep_on_failure = directory / "a/b"}, in_time};
  const auto message = message_of<mk::ProcessExitedWithError>([&] { failing.start(); });
  const auto note = message.find("\n  note: its output is kept in " + (directory / "a/b/sh-"));
  REQUIRE(note != message.npos);
  const auto begin = message.find(directory.path(), note);
  const auto out = message.substr(begin, message.find(' ', begin) - begin);
  CHECK(out.ends_with(".out"));
  CHECK(test::slurp(out) == "out\n");
  CHECK(test::slurp(out.substr(0, out.size() - 3) + "err") == "err\n");
  const test::TempDir none;
  mk::Executor good{mk::Shell{"echo out"}, mk::Capture{.keep_on_failure = none.path()}, in_time};
  good.start().wait(30s).stop();
  CHECK(::rmdir(none.path().c_str()) == 0);  // it is empty
}
