// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/types.h>
#include <cstdint>

#include <mirakuru/stop/schedule.hpp>

// The words between a guardian and its owner.

namespace mirakuru::detail {

/// The news of a guardian for its owner. Stragglers come several in one message, as each message
/// wakes the owner.
struct Report {
  static constexpr int most_in_message = 16;
  enum Kind : int { spawned, failed, straggler, refused, paused, ended, up, far_failed, unlinked };

  Kind kind;
  pid_t pid;
  int value;       // the guardian's own id of `spawned`, the errno of `failed`, `refused` and
                   // `far_failed`, the exit code of `ended`
  bool last;       // nothing is below the guardian any more, and it exits
  char text[243];  // the failed call, the command line of the process, the host of `up`, or the
                   // last words of a connection that has ended by itself
};

/// A message from the owner is one byte: a signal for the tree, and this bit if the owner has sent
/// the signal to the leader's group itself. Two numbers beyond all signals pause the tree, and let
/// it go on. A third one is followed by a signal for the leader alone.
inline constexpr unsigned char group_has_it = 0x80, to_leader = 0x7d, pause_tree = 0x7e,
                               resume_tree = 0x7f;

/// A signal for the command after its owner's death.
struct LastSignal {
  std::int64_t after;  // nanoseconds
  int signal;
  Scope scope;
};

}  // namespace mirakuru::detail
