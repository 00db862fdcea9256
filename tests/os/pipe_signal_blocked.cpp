// SPDX-License-Identifier: BSL-1.0
#include <signal.h>
#include <unistd.h>
#include <cerrno>

#include <doctest/doctest.h>

#include <mirakuru/os/pipe_signal_blocked.hpp>

#include "child.hpp"

using mirakuru::detail::PipeSignalBlocked;

namespace {

/// True if the write to a pipe without a reader fails, and the process lives on.
bool breaks_pipe() {
  int ends[2];
  if (::pipe(ends) != 0) return false;
  ::close(ends[0]);
  const bool broken = ::write(ends[1], "x", 1) == -1 && errno == EPIPE;
  ::close(ends[1]);
  return broken;
}

bool is_pending() {
  sigset_t pending;
  ::sigpending(&pending);
  return ::sigismember(&pending, SIGPIPE) == 1;
}

bool is_blocked() {
  sigset_t now;
  ::pthread_sigmask(SIG_BLOCK, nullptr, &now);
  return ::sigismember(&now, SIGPIPE) == 1;
}

}  // namespace

TEST_CASE("PipeSignalBlocked: a write to a pipe without a reader ends no process") {
  CHECK(test::in_child([] { return breaks_pipe(); }) == 128 + SIGPIPE);
  CHECK(test::in_child([] {
          {
            const PipeSignalBlocked blocked;
            if (!breaks_pipe() || !is_blocked() || !is_pending()) return false;
          }
          return !is_blocked() && !is_pending();
        }) == 0);
}

TEST_CASE("PipeSignalBlocked: it changes nothing else") {
  CHECK(test::in_child([] {
          const PipeSignalBlocked outer;
          ::raise(SIGPIPE);  // somebody else's
          {
            const PipeSignalBlocked inner;
            if (!breaks_pipe()) return false;
          }
          return is_blocked() && is_pending();
        }) == 0);
  CHECK(test::in_child([] {
          ::signal(SIGPIPE, SIG_IGN);
          {
            const PipeSignalBlocked blocked;
            if (!breaks_pipe()) return false;
          }
          return !is_blocked() && breaks_pipe();
        }) == 0);
}
