// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>
#include <map>
#include <string>

#include <mirakuru/budget/duration.hpp>
#include <mirakuru/text/word.hpp>

namespace mirakuru {

/// One service for all test programs that a runner such as `ctest -j` starts side by side.
///
///     mk::Executor db{mk::Command{"redis-server --port 6399"}, mk::TCPCheck{"127.0.0.1", 6399},
///                     mk::Shared{.name = "redis"}};
///     db.start();  // the first program starts it, the others join
///
/// `start()` joins the service if it is there, and waits for it if another program starts it. Else
/// it starts the service. If the program that starts it is killed meanwhile, another one starts it
/// anew; its failure is the error of all that wait. `pid()`, `output()`, `running()`,
/// `exit_code()`, `check_alive()` and `wait()` are about the one service.
///
/// `stop()`, `kill()`, a `wait_for()` that fails, the destructor and the end of the program, in any
/// way, leave the service. It is ended by the signals of its first program's strategy, `linger`
/// after the last one has left. A stop by input closes it; a stop by a command runs none, and the
/// signals follow. A service whose leader fails is ended, too.
///
/// All programs have to give the same command, input, files of output, checks, limits, strategy,
/// stop budget and linger time. Otherwise `start()` throws an `ExecutorError` with the difference.
/// Values that are published may differ: of a command that has `--port 6401` and publishes "6401"
/// all but the number has to be equal. Only the program that has started the service can `write()`,
/// and the service keeps its input.
///
/// What tests do to the service is not kept apart: give each a database or a prefix of its own. A
/// directory of the service has to live as long as the service, which the first program's `TempDir`
/// does not. Needs a spawner with a guardian, and an output that is the service's own: `Capture`,
/// `ToFile` or `Discard`.
///
/// A fork of a program that executes nothing else counts as that program.
///
/// If the guardian is killed, the kernel kills the leader. Each program that has joined kills the
/// rest of the tree with its next call, and with the end of its executor. The starter that has left
/// does so with the next start of a shared service. The rest stays if all of them end without that.
///
/// Rests on unix(7): an abstract socket, whose one `bind` elects the starter. So nothing is left in
/// any directory. The name belongs to the user and to the network namespace. Another user who knows
/// it can take an address, and the next one is used; one who takes all 16 keeps this user out, and
/// the error says so. `stopped(body)` leaves the service for the time of `body`.
struct Shared {
  static constexpr bool shares = true;

  /// Programs share by this name. Not empty.
  Word name;
  /// Keeps equal names apart, such as the build directory; empty: none.
  Word scope = {};
  /// How long the service outlives the last program, zero or more.
  Duration linger = std::chrono::seconds{2};
  /// For all programs: the values of the one that has started it. `published()` returns them.
  std::map<std::string, Word> publish = {};
};

}  // namespace mirakuru
