// SPDX-License-Identifier: BSL-1.0
#include <pthread.h>
#include <csignal>
#include <optional>
#include <thread>

#include <doctest/doctest.h>

#include <mirakuru/os/signals_blocked.hpp>

using mirakuru::detail::SignalsBlocked;

namespace {

volatile std::sig_atomic_t handled = 0;

bool blocked(int signal) {
  sigset_t mask;
  ::pthread_sigmask(SIG_SETMASK, nullptr, &mask);
  return ::sigismember(&mask, signal) == 1;
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
    CHECK(blocked(SIGTERM));
    CHECK(blocked(SIGUSR2));
  }
  CHECK_FALSE(blocked(SIGTERM));
  CHECK(blocked(SIGUSR2));
  ::pthread_sigmask(SIG_UNBLOCK, &one, nullptr);
}

TEST_CASE("SignalsBlocked: a thread that is made meanwhile blocks them, too") {
  bool in_thread = false;
  std::optional<SignalsBlocked> signals{std::in_place};
  std::thread thread{[&] { in_thread = blocked(SIGTERM) && blocked(SIGINT); }};
  signals.reset();
  thread.join();
  CHECK(in_thread);
  CHECK_FALSE(blocked(SIGTERM));
}
