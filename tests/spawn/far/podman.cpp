// SPDX-License-Identifier: BSL-1.0
#include <doctest/doctest.h>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <mirakuru.hpp>
#include <mirakuru/kit.hpp>
#include <mirakuru/spawn/far/far_guardian.hpp>

#include "errors.hpp"
#include "files.hpp"
#include "podman.hpp"
#include "process.hpp"
#include "programs.hpp"
#include "time.hpp"

namespace mk = mirakuru;
using namespace std::chrono_literals;

namespace {

constexpr mk::TimeoutBudget budget{.start = 60s, .stop = 10s};

mk::LaunchRequest request_for(std::vector<std::string> words) {
  mk::LaunchRequest request;
  request.words = std::move(words);
  request.id = "1:0";
  return request;
}

bool nothing_is_left(const test::Podman& podman) {
  return test::eventually([&] { return podman.containers().empty() && podman.leftovers().empty(); },
                          15s);
}

}  // namespace

TEST_CASE("Podman: the options come before the image, the command behind it") {
  auto request = request_for({"nginx", "-g", "daemon off;"});
  request.cwd = "/srv";
  request.env = {{"A", "one\ntwo"}, {"B", ""}};
  const auto launched = mk::Podman{.image = "nginx:1",
                                   .ports = {{8080, 80}},
                                   .volumes = {{"/host", "/inside"}},
                                   .options = {"--init"}}
                            .launch(request);
  const auto name = mk::detail::unit_name("1:0");
  CHECK(launched.words ==
        std::vector<std::string>{"podman", "run", "--rm", "--name=" + name, "--log-driver=none",
                                 "--workdir=/srv", "--env=A=one\ntwo",
                                 "--env=B=", "--publish=8080:80", "--volume=/host:/inside",
                                 "--init", "nginx:1", "nginx", "-g", "daemon off;"});
  CHECK(launched.env.empty());
  CHECK(launched.cwd.empty());
  CHECK(launched.clean_up ==
        std::vector<std::vector<std::string>>{{"podman", "rm", "--force", "--time=0", name}});
}

TEST_CASE("Podman: docker is asked with the words that it knows") {
  const auto launched =
      mk::Podman{.image = "nginx:1", .program = "docker"}.launch(request_for({"true"}));
  const auto name = mk::detail::unit_name("1:0");
  CHECK(launched.words.front() == "docker");
  CHECK(launched.clean_up ==
        std::vector<std::vector<std::string>>{{"docker", "rm", "--force", name}});
}

TEST_CASE("Podman: kill() under the name of docker removes the container, too") {
  const auto* podman = test::Podman::get();
  if (podman == nullptr) return;
  const mk::TempDir dir{"docker"};
  std::filesystem::create_symlink(podman->program(), dir / "docker");
  auto docker = podman->podman();
  docker.program = dir / "docker";
  mk::Executor service{{"sh", "-c", "trap exit TERM; echo up; while :; do sleep 0.1; done"},
                       docker,
                       mk::Capture{},
                       mk::BannerCheck{"up"},
                       mk::TimeoutBudget{.start = 60s, .stop = 20s}};
  service.start();
  CHECK(podman->containers() != "");
  service.kill();
  CHECK(nothing_is_left(*podman));
}

TEST_CASE("Podman: an image and a root file system exclude each other") {
  const auto request = request_for({"true"});
  CHECK_THROWS_AS((void)mk::Podman{}.launch(request), std::invalid_argument);
  CHECK_THROWS_AS((void)(mk::Podman{.image = "a", .rootfs = "/b"}.launch(request)),
                  std::invalid_argument);
}

TEST_CASE("Podman: bytes that are not UTF-8 are refused, as the engine would change them") {
  const mk::Podman podman{.image = "a"};
  for (const std::string bytes : {"\xff", "a\xc3", "\xc3(", "\xed\xa0\x80", "\x80"}) {
    CAPTURE(bytes);
    const auto request = request_for({"echo", bytes});
    CHECK_THROWS_AS((void)podman.launch(request), mk::SpawnFailure);
    CHECK_THROWS_AS((void)podman.beside(request, "1:0"), mk::SpawnFailure);
    auto variable = request_for({"true"});
    variable.env = {{"A", bytes}};
    CHECK_THROWS_AS((void)podman.launch(variable), mk::SpawnFailure);
  }
  const std::string text = "a \xc3\xa4 \xe2\x82\xac \xf0\x9f\x98\x80\n";
  CHECK(podman.launch(request_for({"echo", text})).words.back() == text);
}

TEST_CASE("Podman: both outputs and the exit code come back from the container") {
  const auto* podman = test::Podman::get();
  if (podman == nullptr) return;
  const auto result = mk::run({"sh", "-c", "pwd; printf '%s' \"$A\"; echo bad >&2; ls /; exit 7"},
                              mk::Capture{}, podman->podman(), mk::Accept{7}, budget);
  CHECK(result.exit_code == 7);
  CHECK(result.output.starts_with("/\n"));
  CHECK(result.output.find("\nhome\n") == std::string::npos);  // this is not the machine's root
  CHECK(result.err_output == "bad\n");
  CHECK(nothing_is_left(*podman));
}

TEST_CASE("Podman: a server in a container has its volume, its directory and its checks") {
  const auto* podman = test::Podman::get();
  if (podman == nullptr) return;
  const mk::FreePort port;
  auto launcher = podman->podman();
  launcher.volumes = {{podman->volume(), "/site"}};
  std::ofstream{podman->volume() + "/index.html"} << "hello";
  mk::Executor server{mk::Command{.argv = {"httpd", "-f", "-v", "-p", "127.0.0.1:" + port.str()},
                                  .cwd = "/site",
                                  .env = {{"GREETING", "good 'morning'"}}},
                      launcher,
                      mk::TCPCheck{"127.0.0.1", port},
                      mk::HTTPCheck{.url = port.url("/index.html"), .body = "hello"},
                      mk::ExecCheck{mk::Shell{
                          "test -e /site/index.html && test \"$GREETING\" = \"good 'morning'\""}},
                      budget};
  server.start();
  CHECK(server.port() == port);
  mk::Executor second{{"true"}, launcher, mk::TCPCheck{"127.0.0.1", port}, budget};
  CHECK_THROWS_AS(second.start(), mk::AlreadyRunning);
  server.stop();
  CHECK(nothing_is_left(*podman));

  mk::Executor never{{"sh", "-c", "while :; do sleep 1; done"},
                     podman->podman(),
                     mk::ExecCheck{mk::Shell{"echo not yet >&2; exit 3"}},
                     mk::TimeoutBudget{.start = 3s, .stop = 0s}};
  const auto message = test::message_of<mk::TimeoutExpired>([&] { never.start(); });
  CHECK_MESSAGE(message.find("exited with 3: not yet") != message.npos, message);
  CHECK(nothing_is_left(*podman));
}

TEST_CASE("Podman: variables that a command does not inherit are podman's all the same") {
  auto request = request_for({"true"});
  request.unset = {"HOME", "PATH"};
  const auto launched = mk::Podman{.image = "a"}.launch(request);
  CHECK(launched.unset.empty());
  CHECK(mk::Podman{.image = "a"}.beside(request, "1:0").unset.empty());
}

TEST_CASE("Podman: a missing program is an error with the engine's words") {
  const auto* podman = test::Podman::get();
  if (podman == nullptr) return;
  try {
    mk::run({"no-such-program"}, mk::Capture{}, podman->podman(), budget);
    FAIL("it ran");
  } catch (const mk::ProcessExitedWithError& error) {
    CHECK(std::string{error.what()}.find("no-such-program") != std::string::npos);
  }
  CHECK(nothing_is_left(*podman));
}

TEST_CASE("Podman: a stop signal reaches the first process of the container") {
  const auto* podman = test::Podman::get();
  if (podman == nullptr) return;
  mk::Executor service{
      {"sh", "-c", "trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.1; done"},
      podman->podman(),
      mk::Capture{},
      mk::BannerCheck{"up"},
      budget};
  service.start();
  service.stop();
  CHECK(service.output().find("bye") != std::string::npos);
  CHECK(nothing_is_left(*podman));
}

TEST_CASE("Podman: kill() removes a container whose first process ignores signals") {
  const auto* podman = test::Podman::get();
  if (podman == nullptr) return;
  mk::Executor service{{"sh", "-c", "echo up; while :; do sleep 1; done"},
                       podman->podman(),
                       mk::Capture{},
                       mk::BannerCheck{"up"},
                       budget};
  service.start();
  CHECK(podman->containers() != "");
  service.kill();
  CHECK(nothing_is_left(*podman));
}

TEST_CASE("Podman: the container goes when its client is killed") {
  const auto* podman = test::Podman::get();
  if (podman == nullptr) return;
  mk::Executor service{{"sh", "-c", "trap '' TERM; echo up; while :; do sleep 0.1; done"},
                       podman->podman(),
                       mk::BannerCheck{"up"},
                       mk::Silent{},
                       budget};
  for (int i = 0; i < 2; ++i) {
    service.start();
    ::kill(service.pid(), SIGKILL);
    CHECK(test::eventually([&] { return !service.running(); }, 10s));
    CHECK(nothing_is_left(*podman));
    CHECK_THROWS_AS(service.check_alive(), mk::ProcessExitedWithError);
    CHECK_THROWS_AS(service.stop(), mk::ProcessFinishedWithError);
  }
}

TEST_CASE("Podman: the container goes with its owner, also while it is being created") {
  const auto* podman = test::Podman::get();
  if (podman == nullptr) return;
  const auto mark = "mark-" + std::to_string(::getpid());
  for (const auto moment : {20ms, 80ms, 140ms, 200ms, 260ms, 320ms, 1000ms}) {
    CAPTURE(moment.count());
    test::Program owner{[&](const test::Wire& wire) {
      mk::Executor service{{"sh", "-c", "while :; do sleep 1; done; : " + mark},
                           podman->podman(),
                           mk::TimeoutBudget{.start = 60s, .stop = 0s}};
      service.start();
      wire.say("started");
      (void)wire.hear();
    }};
    CHECK(owner.hear() == "started");
    const timespec pause{moment / 1s, (moment % 1s) / 1ns};
    ::nanosleep(&pause, nullptr);
    owner.kill();
    CHECK(test::eventually([&] { return test::processes_matching(mark) == 0; }, 15s));
    CHECK(nothing_is_left(*podman));
  }
}
