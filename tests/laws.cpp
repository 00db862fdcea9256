// SPDX-License-Identifier: BSL-1.0
#include <chrono>
#include <stdexcept>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include <mirakuru.hpp>
#include <mirakuru/laws.hpp>

#include "support.hpp"

namespace mk = mirakuru;
namespace laws = mirakuru::laws;
using namespace std::chrono_literals;

namespace {

const laws::Broken none;

/// The laws broken, as one text.
std::string text(const laws::Broken& broken) {
  std::string result;
  for (const auto& law : broken) result += law + '\n';
  return result;
}

/// Says that it keeps what it throws away.
struct Forgetful {
  static constexpr bool keeps_output = true;
  mk::OutputStreams open() const { return mk::Discard{}.open(); }
};

}  // namespace

TEST_CASE("our policies keep the laws") {
  const test::TempDir directory;
  CHECK(text(laws::of_spawner(mk::GuardedSpawner{})) == "");
  CHECK(text(laws::of_spawner(mk::DirectSpawner{})) == "");
  CHECK(text(laws::of_budget(mk::TimeoutBudget{})) == "");
  CHECK(text(laws::of_signals(mk::Signals{})) == "");
  CHECK(text(laws::of_signals(mk::SignalLadder{{SIGINT, 1s}, {SIGTERM, 1s}})) == "");
  CHECK(text(laws::of_output(mk::Capture{})) == "");
  CHECK(text(laws::of_output(mk::Discard{})) == "");
  CHECK(text(laws::of_output(mk::Inherit{})) == "");
  CHECK(text(laws::of_output(mk::ToFile{directory / "log"})) == "");
}

TEST_CASE("our checks keep the laws") {
  const test::TempDir directory;
  const test::Port tcp, http;
  const auto helper = [](auto... words) {
    return mk::Command{.argv = std::vector<std::string>{test::helper(), words...}};
  };
  const auto socket = directory / "socket", pid = directory / "pid";
  CHECK(text(laws::of_check(mk::BannerCheck{"ready"}, helper("print", "ready"))) == "");
  CHECK(text(laws::of_check(mk::TCPCheck{"127.0.0.1", tcp.number()},
                            helper("listen", "127.0.0.1", tcp.str()))) == "");
  CHECK(text(laws::of_check(mk::HTTPCheck{http.url("/")},
                            helper("serve", "127.0.0.1", http.str(), "ok"))) == "");
  CHECK(text(laws::of_check(mk::UnixSocketCheck{socket}, helper("unix", socket))) == "");
  CHECK(text(laws::of_check(mk::PidCheck{pid},
                            {.argv = "trap 'rm " + pid + "; exit 0' TERM; echo $$ > " + pid +
                                     "; while :; do sleep 0.01; done",
                             .shell = true})) == "");
  CHECK(text(laws::of_check([](const mk::Process& process) { return process.output() == "ready"; },
                            helper("print", "ready"))) == "");
}

TEST_CASE("a model that breaks a law is told") {
  struct Hasty {
    std::chrono::seconds start{-1}, stop{1};
  };
  CHECK(laws::of_budget(Hasty{}) == laws::Broken{"the start budget is not negative"});

  struct NoSteps {
    int kill = SIGKILL;
    std::vector<int> accept = {};
    std::vector<mk::SignalStep> steps() const { return {}; }
  };
  CHECK(laws::of_signals(NoSteps{}) == laws::Broken{"there is a first step"});

  CHECK(laws::of_output(Forgetful{}) != none);

  struct Mute {
    mk::DirectProcess spawn(const mk::Launch& launch) const {
      auto changed = launch;
      changed.out = -1;
      changed.program = "/bin/true";
      return mk::DirectSpawner{}.spawn(changed);
    }
  };
  const auto broken = laws::of_spawner(Mute{});
  CHECK(text(broken).find("exit_code() is the exit status") != std::string::npos);
  CHECK(text(broken).find("prints to `out`") != std::string::npos);

  const auto eager = [](const mk::Process&) { return true; };
  CHECK(laws::of_check(eager, mk::Command{.argv = "sleep 300"}) ==
        laws::Broken{"it does not hold under a command that is never ready"});
}
