// SPDX-License-Identifier: BSL-1.0
#include <pthread.h>
#include <unistd.h>
#include <cerrno>
#include <csignal>
#include <optional>
#include <thread>

#include <doctest/doctest.h>

#include <mirakuru/os/signals_blocked.hpp>

#include "child.hpp"

using mirakuru::detail::PipeSignalBlocked;
using mirakuru::detail::SignalsBlocked;

namespace {

volatile std::sig_atomic_t handled = 0;

bool is_blocked(int signal) {
  sigset_t mask;
  ::pthread_sigmask(SIG_SETMASK, nullptr, &mask);
  return ::sigismember(&mask, signal) == 1;
}

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

}  // namespace

TEST_CASE("SignalsBlocked: a handler runs after the lifetime, not during it") {
  struct sigaction counting{}, before{};
  counting.sa_handler = [](int) { handled = handled + 1; };
  REQUIRE(::sigaction(SIGUSR1, &counting, &before) == 0);
  {
    const SignalsBlocked signals;
    ::raise(SIGUSR1);
    CHECK(handled == 0);
  }
  CHECK(handled == 1);
  ::sigaction(SIGUSR1, &before, nullptr);
}

TEST_CASE("SignalsBlocked: the mask afterwards is the mask before") {
  sigset_t one;
  ::sigemptyset(&one);
  ::sigaddset(&one, SIGUSR2);
  REQUIRE(::pthread_sigmask(SIG_BLOCK, &one, nullptr) == 0);
  {
    const SignalsBlocked outer;
    {
      const SignalsBlocked inner;
    }
    CHECK(is_blocked(SIGTERM));
    CHECK(is_blocked(SIGUSR2));
  }
  CHECK_FALSE(is_blocked(SIGTERM));
  CHECK(is_blocked(SIGUSR2));
  ::pthread_sigmask(SIG_UNBLOCK, &one, nullptr);
}

TEST_CASE("SignalsBlocked: a thread that is made meanwhile blocks them, too") {
  bool in_thread = false;
  std::optional<SignalsBlocked> signals{std::in_place};
  std::thread thread{[&] { in_thread = is_blocked(SIGTERM) && is_blocked(SIGINT); }};
  signals.reset();
  thread.join();
  CHECK(in_thread);
  CHECK_FALSE(is_blocked(SIGTERM));
}

TEST_CASE("PipeSignalBlocked: a write to a pipe without a reader ends no process") {
  CHECK(test::in_child([] { return breaks_pipe(); }) == 128 + SIGPIPE);
  CHECK(test::in_child([] {
          {
            const PipeSignalBlocked blocked;
            if (!breaks_pipe() || !is_blocked(SIGPIPE) || !is_pending()) return false;
          }
          return !is_blocked(SIGPIPE) && !is_pending();
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
          return is_blocked(SIGPIPE) && is_pending();
        }) == 0);
  CHECK(test::in_child([] {
          ::signal(SIGPIPE, SIG_IGN);
          {
            const PipeSignalBlocked blocked;
            if (!breaks_pipe()) return false;
          }
          return !is_blocked(SIGPIPE) && breaks_pipe();
        }) == 0);
}
