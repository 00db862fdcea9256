// SPDX-License-Identifier: BSL-1.0
#include <signal.h>
#include <sys/resource.h>

#include "helper.hpp"

namespace helper {
namespace {

int run_ignore(const Args& a) {
  set_handler(a.words[0], SIG_IGN);
  put_pid(a);
  write_all(1, "ready\n");
  return finish(a);
}

int run_immortal(const Args& a) {
  set_handler("all", do_nothing);
  put_pid(a);
  write_all(1, "ready\n");
  return finish(a);
}

int run_trap(const Args& a) {
  sigset_t set;
  sigemptyset(&set);
  for (const int s : signals(a.words[0])) sigaddset(&set, s);
  sigprocmask(SIG_BLOCK, &set, nullptr);
  write_all(1, "ready\n");
  while (const int left = poll_ms(deadline)) {
    const timespec time{left / 1000, left % 1000 * 1'000'000L};
    const int got = sigtimedwait(&set, nullptr, &time);
    if (got < 0) continue;
    nap(a.ms("after"));
    if (a.has("exit")) return static_cast<int>(a.number("exit"));
    write_all(1, "got " + std::to_string(got) + "\n");
  }
  return 0;
}

int run_raise(const Args& a) {
  const int signal = signals(a.words[0])[0];
  print_and_wait(a);
  const rlimit no_core{0, 0};
  setrlimit(RLIMIT_CORE, &no_core);
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, signal);
  set_handler(std::to_string(signal), SIG_DFL);
  sigprocmask(SIG_UNBLOCK, &set, nullptr);
  return raise(signal);
}

constexpr Verb verbs[] = {
    {"raise", run_raise, 1, 1, "SIG [out=TEXT] [err=TEXT] [after=MS]"},
    {"ignore", run_ignore, 1, 1, "SIG,SIG|all [pidfile=FILE]"},
    {"immortal", run_immortal, 0, 0, "[pidfile=FILE]"},
    {"trap", run_trap, 1, 1, "SIG,SIG|all [exit=CODE] [after=MS]"},
};

}  // namespace

std::span<const Verb> signal_verbs() { return verbs; }

}  // namespace helper
