// SPDX-License-Identifier: BSL-1.0
#include <dlfcn.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <algorithm>
#include <atomic>
#include <csignal>
#include <new>
#include <string>

#include <doctest/doctest.h>

#include <mirakuru/net/resolver.hpp>

#include "child.hpp"
#include "process.hpp"
#include "time.hpp"

using mirakuru::detail::AsyncResolver;
using mirakuru::detail::known_endpoints;

namespace {

// Names that no real resolver gets.
constexpr auto unknown_name = "unknown.mirakuru.test";
constexpr auto slow_name = "slow.mirakuru.test";
constexpr auto costly_name = "costly.mirakuru.test";

std::atomic<bool> slow_is_over = false;
std::atomic<bool> signals_were_blocked = false;

bool all_signals_are_blocked() {
  sigset_t mask;
  ::pthread_sigmask(SIG_SETMASK, nullptr, &mask);
  for (const int signal : {SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGCHLD, SIGALRM})
    if (::sigismember(&mask, signal) != 1) return false;
  return true;
}

/// True if the resolver's event comes within half a minute.
bool waited_for(const AsyncResolver& resolver) {
  pollfd event{.fd = resolver.event(), .events = POLLIN, .revents = 0};
  return ::poll(&event, 1, 30'000) == 1 && resolver.done();
}

}  // namespace

/// The system's resolver for all names but the three above.
extern "C" int getaddrinfo(const char* name, const char* service, const addrinfo* hints,
                           addrinfo** result) {
  const std::string asked = name != nullptr ? name : "";
  signals_were_blocked = all_signals_are_blocked();
  if (asked == slow_name) slow_is_over.wait(false);
  if (asked == costly_name) throw std::bad_alloc{};
  if (asked == unknown_name || asked == slow_name) return EAI_NONAME;
  static const auto system =
      reinterpret_cast<decltype(&getaddrinfo)>(::dlsym(RTLD_NEXT, "getaddrinfo"));
  return system(name, service, hints, result);
}

// The first two tests fork, so they come before all that make a thread.

TEST_CASE("AsyncResolver: without a descriptor the look-up fails at once") {
  if (test::sanitized) return;  // a sanitizer needs descriptors of its own
  CHECK(test::in_child([] {
          const rlimit none{.rlim_cur = 0, .rlim_max = 0};
          if (::setrlimit(RLIMIT_NOFILE, &none) != 0) return false;
          AsyncResolver resolver{"localhost", 80};
          return resolver.done() && resolver.event() == -1 && resolver.take().empty() &&
                 resolver.problem() == ::gai_strerror(EAI_AGAIN);
        }) == 0);
}

TEST_CASE("AsyncResolver: without a thread the look-up fails at once") {
  CHECK(test::in_child([] {
          if (!test::take_away(SYS_clone) || !test::take_away(SYS_clone3)) return false;
          AsyncResolver resolver{"localhost", 80};
          return resolver.done() && resolver.take().empty() &&
                 resolver.problem() == ::gai_strerror(EAI_AGAIN) && !all_signals_are_blocked();
        }) == 0);
}

TEST_CASE("AsyncResolver: a name of the hosts file is found") {
  AsyncResolver resolver{"localhost", 8080};
  REQUIRE(waited_for(resolver));
  const auto endpoints = resolver.take();
  REQUIRE_FALSE(endpoints.empty());
  const auto loopback = known_endpoints("localhost", 8080);
  for (const auto& endpoint : endpoints)
    CHECK(std::find(loopback.begin(), loopback.end(), endpoint) != loopback.end());
}

TEST_CASE("AsyncResolver: an unknown name has no endpoint and a reason") {
  AsyncResolver resolver{unknown_name, 80};
  REQUIRE(waited_for(resolver));
  CHECK(resolver.take().empty());
  CHECK(resolver.problem() == "host not found");
}

TEST_CASE("AsyncResolver: a look-up without memory fails, and the thread does not throw") {
  AsyncResolver resolver{costly_name, 80};
  REQUIRE(waited_for(resolver));
  CHECK(resolver.take().empty());
  CHECK(resolver.problem() == ::gai_strerror(EAI_MEMORY));
}

TEST_CASE("AsyncResolver: the thread takes no signals, and the caller's mask stays") {
  signals_were_blocked = false;
  const AsyncResolver resolver{unknown_name, 80};
  CHECK_FALSE(all_signals_are_blocked());
  REQUIRE(waited_for(resolver));
  CHECK(signals_were_blocked);
}

TEST_CASE("AsyncResolver: nobody waits for a slow resolver, and its descriptor is closed later") {
  const auto is_open = [](int fd) { return ::fcntl(fd, F_GETFD) >= 0; };
  int fd = -1;
  {
    const AsyncResolver resolver{slow_name, 80};
    fd = resolver.event();
    CHECK_FALSE(resolver.done());
    pollfd event{.fd = fd, .events = POLLIN, .revents = 0};
    CHECK(::poll(&event, 1, 0) == 0);
  }
  CHECK(is_open(fd));
  slow_is_over = true;
  slow_is_over.notify_all();
  CHECK(test::eventually([&] { return !is_open(fd); }));
}
