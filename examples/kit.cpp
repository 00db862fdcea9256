// SPDX-License-Identifier: BSL-1.0
// The rest of the kit: input, a terminal, lines as they come, limits, pauses and ways to stop.
#include <iostream>
#include <mirakuru.hpp>
#include <mirakuru/kit.hpp>

namespace mk = mirakuru;
using namespace std::chrono_literals;

int main() {
  // A filter: its input is a text, and it runs to its end.
  std::cout << mk::run({"sort"}, mk::InputText{"b\na\n"}).output;
  std::cout << mk::run({"grep", "c"}, mk::InputText{"a\n"}, mk::Accept{1}).exit_code << '\n';

  // A program at a terminal prints line by line; the test types.
  mk::Executor shell{{"sh", "-c", "echo ready; read name; echo hello $name"},
                     mk::Pty{},
                     mk::BannerCheck{"^ready$"}};
  shell.start().write("world\n").wait(10s);
  std::cout << shell.output();

  // Each line comes to standard error at once, and a copy stays in `logs` after an error.
  mk::Executor tee{mk::Shell{"echo line; sleep 60"}, mk::Tee{}, mk::BannerCheck{"line"}};
  mk::Executor kept{"sleep 60", mk::Capture{.keep_on_failure = "logs"}};
  tee.start();
  kept.start();

  // At most 64 files and 10 s of processor time.
  mk::Executor limited{"sleep 60", mk::Limits{.files = 64, .cpu = 10s}};
  limited.start();
  limited.pause().resume();  // nobody of the tree runs for a while

  // Ways to stop: the input's end, a command, a signal for the leader alone. Signals follow.
  mk::Executor cat{"cat", mk::StopByInput{}};
  mk::Executor sleeper{"sleep 60", mk::StopByCommand{{"true"}, 100ms}};
  mk::Executor leader{"sleep 60", mk::Signals{.scope = mk::Scope::leader}};
  cat.start().stop();
  sleeper.start().stop();
  leader.start().stop();
}
