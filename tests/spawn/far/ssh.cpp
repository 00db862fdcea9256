// SPDX-License-Identifier: BSL-1.0
#include <doctest/doctest.h>
#include <pwd.h>
#include <sys/wait.h>
#include <unistd.h>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include <mirakuru.hpp>
#include <mirakuru/kit.hpp>
#include <mirakuru/spawn/far/far_guardian.hpp>

#include "errors.hpp"
#include "files.hpp"
#include "mark.hpp"
#include "process.hpp"
#include "programs.hpp"
#include "relay.hpp"
#include "sshd.hpp"
#include "time.hpp"
#include "words.hpp"

namespace mk = mirakuru;
using namespace std::chrono_literals;

namespace {

/// The server of this program; null, with a message, where there can be none.
test::Sshd* server() {
  static const auto reason = test::Sshd::why_not();
  if (!reason.empty()) {
    MESSAGE(reason);
    return nullptr;
  }
  static test::Sshd only;
  return &only;
}

struct Here {
  static bool there_is() { return true; }
  template <class... Policies>
  static auto make(mk::detail::ResolvedCommand command, Policies... policies) {
    return mk::Executor{std::move(command), mk::GuardedSpawner{}, policies...};
  }
};
struct There {
  static bool there_is() { return server() != nullptr; }
  template <class... Policies>
  static auto make(mk::detail::ResolvedCommand command, Policies... policies) {
    return mk::Executor{std::move(command), server()->ssh(), policies...};
  }
};

}  // namespace

#define FAR_TEST(name) TEST_CASE_TEMPLATE("Ssh: " name, Place, Here, There)
#include "far_scenarios.hpp"

// Through ssh alone.

#define NEEDS_SSHD             \
  auto* const sshd = server(); \
  if (sshd == nullptr) return

TEST_CASE("Ssh: checks look at the far machine") {
  NEEDS_SSHD;
  const mk::FreePort port;
  mk::Executor server{{"python3", "-m", "http.server", "--bind", "127.0.0.1", port.str()},
                      sshd->ssh(),
                      mk::TCPCheck{mk::spawned_host, port},
                      mk::HTTPCheck{{mk::spawned_host, port, "/"}},
                      mk::ExecCheck{mk::Shell{"kill -0 $PPID"}},
                      mk::TalkCheck{.host = mk::spawned_host,
                                    .port = port,
                                    .send = "GET / HTTP/1.0\r\n\r\n",
                                    .expect = "200 OK"},
                      budget};
  server.start();
  CHECK(server.port() == port);
  server.stop();
}

TEST_CASE("Ssh: a host, a port and a key that do not work are told in time") {
  NEEDS_SSHD;
  const test::Elapsed elapsed;
  const auto message = [&](mk::Ssh ssh) {
    mk::Executor executor{"true", ssh, budget};
    const auto text = test::message_of<mk::SpawnError>([&] { executor.start(); });
    return text.substr(0, text.find('\n'));
  };
  auto unknown = sshd->ssh();
  unknown.host = "no-such-host.invalid";
  CHECK(
      message(unknown).starts_with("cannot run true on no-such-host.invalid: ssh: Could not "
                                   "resolve hostname no-such-host.invalid"));
  const mk::FreePort nobody;
  CHECK(message(sshd->through(nobody.str())) ==
        "cannot run true on 127.0.0.1: ssh: connect to host 127.0.0.1 port " + nobody.str() +
            ": Connection refused");
  CHECK(message(sshd->ssh("stranger")).find("Permission denied") != std::string::npos);
  CHECK(message({.host = ""}) == "cannot run true through ssh: Ssh needs a host");
  CHECK(message({.host = "a", .program = "no-such-ssh"}).starts_with("cannot run no-such-ssh"));
  CHECK(elapsed < 30s);
}

TEST_CASE("Ssh: an error of a service names the host") {
  NEEDS_SSHD;
  const auto place = "\n  place: 127.0.0.1";
  mk::Executor never{"sleep 300", sshd->ssh(), mk::BannerCheck{"never"},
                     mk::TimeoutBudget{.start = 3s, .stop = 1s}};
  const auto late = test::message_of<mk::TimeoutExpired>([&] { never.start(); });
  CHECK_MESSAGE(late.find(place) != late.npos, late);
  mk::Executor ends{mk::Shell{"echo ready; exit 3"}, sshd->ssh(), mk::BannerCheck{"never"}, budget};
  const auto before = test::message_of<mk::ProcessExitedWithError>([&] { ends.start(); });
  CHECK_MESSAGE(before.find(place) != before.npos, before);
  mk::Executor fails{mk::Shell{"exit 3"}, sshd->ssh(), budget};
  fails.start().wait(20s);
  const auto after = test::message_of<mk::ProcessExitedWithError>([&] { fails.check_alive(); });
  CHECK_MESSAGE(after.find(place) != after.npos, after);
}

TEST_CASE("Ssh: a user, descriptors and a terminal cannot go there") {
  NEEDS_SSHD;
  const auto message = [&](auto&&... policies) {
    mk::Executor executor{"true", sshd->ssh(), policies...};
    const auto text = test::message_of<mk::SpawnError>([&] { executor.start(); });
    return text.substr(0, text.find('\n'));
  };
  CHECK(message(mk::Pty{}) == "cannot run true on 127.0.0.1: a terminal cannot be carried there");
}

TEST_CASE("Ssh: the far tree ends when the client is killed, and the error says so") {
  NEEDS_SSHD;
  const test::Mark mark;
  mk::Executor executor{
      mark.line("(trap '' TERM; sleep 300) & setsid sleep 300 & echo ready; sleep 300"),
      sshd->ssh(), mk::BannerCheck{"ready"}, mk::Silent{},
      mk::TimeoutBudget{.start = 30s, .stop = 1s}};
  executor.start();
  ::kill(executor.pid(), SIGKILL);
  CHECK(test::eventually([&] { return !executor.running(); }));
  CHECK(mark.all_gone(4s));
  CHECK(test::eventually([&] { return test::children_of(sshd->pid()).empty(); }));
  const auto message =
      test::message_of<mk::ProcessExitedWithError>([&] { executor.check_alive(); });
  CHECK(message.find("the connection to 127.0.0.1 has ended") != message.npos);
}

TEST_CASE("Ssh: the far tree ends by the strategy when its owner is killed") {
  NEEDS_SSHD;
  const test::Mark mark;
  const mk::TempDir dir{"owner"};
  const pid_t owner = ::fork();
  if (owner == 0) {
    mk::Executor executor{mark.line("trap 'echo term >" + (dir / "signal").native() +
                                    "; exit' TERM\n"
                                    "setsid sleep 300 & echo ready; while :; do sleep 0.05; done"),
                          sshd->ssh(), mk::BannerCheck{"ready"},
                          mk::TimeoutBudget{.start = 30s, .stop = 3s}};
    executor.start();
    std::ofstream{dir / "up"} << "up";
    for (;;) ::pause();
  }
  CHECK(test::eventually([&] { return std::filesystem::exists(dir / "up"); }, 20s));
  ::kill(owner, SIGKILL);
  ::waitpid(owner, nullptr, 0);
  CHECK(mark.all_gone(6s));
  CHECK(test::eventually([&] { return test::children_of(sshd->pid()).empty(); }));
  CHECK(test::slurp(dir / "signal") == "term\n");
}

// The network between the two goes.

namespace {

/// A command that resists, behind a network that can go.
struct Distant {
  static constexpr auto stop_budget = 1s, silence = 10s;

  test::Sshd& sshd;
  test::Mark mark = {};
  test::Relay relay{sshd.port()};

  [[nodiscard]] auto service() const {
    return mk::Executor{mark.line("trap '' TERM; setsid sleep 300 & echo ready\n"
                                  "while :; do sleep 0.05; done"),
                        sshd.through(relay.port()), mk::BannerCheck{"ready"}, mk::Silent{},
                        mk::TimeoutBudget{.start = 20s, .stop = stop_budget}};
  }
  /// True when sshd's own processes alone are left there. They stay until a side closes.
  [[nodiscard]] bool far_side_is_empty() const {
    return mark.count_processes() == 0 && sshd.count_processes() == 0 &&
           std::filesystem::is_empty(sshd.temporary());
  }
  /// True when neither ssh nor its guardian is left here.
  [[nodiscard]] bool near_side_is_empty() const {
    return test::processes_matching("-p " + relay.port()) == 0;
  }
  /// The far side ends by itself within a time; sshd's own processes do once the network is gone.
  void check_far_side(std::chrono::milliseconds limit) {
    CHECK(test::eventually([&] { return far_side_is_empty(); }, limit));
    CHECK(nothing_left());
  }
  [[nodiscard]] bool nothing_left() {
    relay.close();
    return test::eventually([&] {
      return far_side_is_empty() && near_side_is_empty() && test::children_of(sshd.pid()).empty();
    });
  }
};

}  // namespace

TEST_CASE("Ssh: both sides end when the network falls silent, and the error says so") {
  NEEDS_SSHD;
  Distant distant{*sshd};
  auto service = distant.service();
  service.start();
  const test::Elapsed elapsed;
  distant.relay.fall_silent();
  CHECK_FALSE(distant.far_side_is_empty());
  CHECK(test::eventually([&] { return !service.running(); }, distant.silence));
  const auto message = test::message_of<mk::ProcessExitedWithError>([&] { service.check_alive(); });
  CHECK_MESSAGE(message.find("the connection to 127.0.0.1 has ended") != message.npos, message);
  CHECK(distant.near_side_is_empty());
  distant.check_far_side(distant.silence + distant.stop_budget + 3s - elapsed.ms());
}

TEST_CASE("Ssh: a stop in a silent network takes no longer than its budget") {
  NEEDS_SSHD;
  Distant distant{*sshd};
  auto service = distant.service();
  service.start();
  const test::Elapsed elapsed;
  distant.relay.fall_silent();
  service.stop();
  CHECK(elapsed < distant.stop_budget + 3s);
  CHECK(distant.near_side_is_empty());
  distant.check_far_side(distant.silence + distant.stop_budget + 3s - elapsed.ms());
}

TEST_CASE("Ssh: both sides end when the owner is killed in a silent network") {
  NEEDS_SSHD;
  Distant distant{*sshd};
  test::Program owner{[&](const test::Wire& wire) {
    auto service = distant.service();
    service.start();
    wire.say("up");
    wire.hear();
  }};
  REQUIRE(owner.hear() == "up");
  const test::Elapsed elapsed;
  distant.relay.fall_silent();
  owner.kill();
  CHECK(test::eventually([&] { return distant.near_side_is_empty(); }, distant.stop_budget + 3s));
  distant.check_far_side(distant.silence + distant.stop_budget + 3s - elapsed.ms());
}

TEST_CASE("Ssh: a start in a silent network ends with its budget") {
  NEEDS_SSHD;
  Distant distant{*sshd};
  distant.relay.fall_silent();
  mk::Executor service{"true", sshd->through(distant.relay.port()), mk::BannerCheck{"ready"},
                       mk::TimeoutBudget{.start = 2s, .stop = distant.stop_budget}};
  const test::Elapsed elapsed;
  const auto message = test::message_of<mk::ExecutorError>([&] { service.start(); });
  CHECK_MESSAGE(message.find("waited for: its execution") != message.npos, message);
  CHECK_MESSAGE(message.find("\n  place: 127.0.0.1\n") != message.npos, message);
  CHECK(elapsed < 2s + distant.stop_budget + 3s);
  CHECK(distant.near_side_is_empty());
  CHECK(distant.nothing_left());
}

TEST_CASE("Ssh: both sides end when the network closes the connection") {
  NEEDS_SSHD;
  Distant distant{*sshd};
  auto service = distant.service();
  service.start();
  const test::Elapsed elapsed;
  distant.relay.close();
  CHECK(test::eventually([&] { return !service.running(); }, distant.stop_budget + 3s));
  const auto message = test::message_of<mk::ProcessExitedWithError>([&] { service.check_alive(); });
  CHECK_MESSAGE(message.find("the connection to 127.0.0.1 has ended") != message.npos, message);
  CHECK(distant.near_side_is_empty());
  distant.check_far_side(distant.stop_budget + 3s - elapsed.ms());
}

// As another user.

namespace {

/// A user of this machine, other than root, whose shell runs commands; empty if there is none.
std::string user_with_shell() {
  std::string found;
  ::setpwent();
  while (const passwd* const entry = ::getpwent()) {
    const std::string_view shell{entry->pw_shell};
    const auto name = shell.substr(shell.rfind('/') + 1);
    const bool runs =
        (name == "sh" || name == "bash" || name == "dash") && ::access(entry->pw_shell, X_OK) == 0;
    if (entry->pw_uid != 0 && runs && found.empty()) found = entry->pw_name;
  }
  ::endpwent();
  return found;
}

}  // namespace

TEST_CASE("Ssh: a service runs as the user that logs in, and ends as that one") {
  NEEDS_SSHD;
  const auto user = user_with_shell();
  if (::geteuid() != 0 || user.empty()) {
    MESSAGE("skipped: ",
            ::geteuid() != 0 ? "another user's login takes root" : "no user but root has a shell");
    return;
  }
  const test::Sshd server{true};
  auto ssh = server.ssh();
  ssh.user = user;
  std::vector<std::string> login{"ssh", "-o", "BatchMode=yes", "-l", user};
  login.insert(login.end(), ssh.options.begin(), ssh.options.end());
  login.insert(login.end(), {ssh.host, "true"});
  const auto plain = mk::run(login, mk::NoInput{}, mk::Accept{255, 254, 1});
  if (plain.exit_code != 0) {
    MESSAGE("skipped: ssh itself cannot log in as ", user, ": ", plain.err_output);
    return;
  }
  const auto nothing_left = [&](const test::Mark& mark) {
    return mark.all_gone(4s) && test::eventually([&] {
             return server.count_processes() == 0 && test::children_of(server.pid()).empty() &&
                    std::filesystem::is_empty(server.temporary());
           });
  };

  const test::Mark mark;
  mk::Executor service{mark.line("trap 'echo bye; exit 0' TERM; id -un; setsid sleep 300 &\n"
                                 "echo ready; read line; echo got $line\n"
                                 "while :; do sleep 0.05; done"),
                       ssh, mk::BannerCheck{"ready"}, mk::ExecCheck{mk::Shell{"id -un >&2"}},
                       budget};
  service.start();
  CHECK(service.output() == user + "\nready\n");
  service.write("it\n");
  service.wait_for([&] { return service.output().ends_with("got it\n"); }, 20s);
  CHECK(mark.count_processes() >= 2);
  service.stop();
  CHECK(service.output().ends_with("bye\n"));
  CHECK(service.exit_code() == 0);
  CHECK(nothing_left(mark));

  mk::Executor fails{mk::Shell{"exit 7"}, ssh, budget};
  fails.start().wait(20s);
  CHECK(fails.exit_code() == 7);
  CHECK(nothing_left(mark));

  mk::Executor stubborn{mark.line("trap '' TERM; setsid sleep 300 & echo ready\n"
                                  "while :; do sleep 0.05; done"),
                        ssh, mk::BannerCheck{"ready"}, mk::Silent{},
                        mk::TimeoutBudget{.start = 30s, .stop = 1s}};
  stubborn.start().kill();
  CHECK(stubborn.exit_code() == -SIGKILL);
  CHECK(nothing_left(mark));
  stubborn.start();
  ::kill(stubborn.pid(), SIGKILL);
  CHECK(nothing_left(mark));
}

TEST_CASE("Ssh: a launcher's words come from the request alone") {
  const mk::Ssh ssh{
      .host = "node7", .user = "me", .options = {"-p", "2222"}, .program = "/opt/ssh"};
  const auto launched = ssh.launch({.words = {"server", "--port", "1"}, .id = "1:a"});
  const std::vector<std::string> begin{"/opt/ssh", "-T", "-p", "2222"};
  REQUIRE(launched.words.size() > 8);
  CHECK(std::equal(begin.begin(), begin.end(), launched.words.begin()));
  const std::vector<std::string> end{"-l", "me", "--", "node7",
                                     "exec sh -c '" + std::string{mk::detail::far_shell} + "'"};
  CHECK(std::equal(end.begin(), end.end(), launched.words.end() - 5));
  REQUIRE(launched.far);
  CHECK(launched.far->program == "server");
  CHECK(launched.far->place == "me@node7");
  CHECK(launched.far->opening.find('\n') == launched.far->opening.size() - 1);
  CHECK(launched.cwd.empty());
  CHECK(launched.id == "launcher/1:a");
  const auto guarantee = mk::Executor<mk::Ssh>::guarantee();
  CHECK(guarantee == mk::Guarantee::far_group_ends_with_connection);
}
