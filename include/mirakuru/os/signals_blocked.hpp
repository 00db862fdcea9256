// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <signal.h>

namespace mirakuru::detail {

/// Blocks all signals in this thread during its lifetime. No signal handler of the host runs in
/// this thread, nor in a thread or a process that this thread makes meanwhile. Rests on
/// `pthread_sigmask`.
class SignalsBlocked {
 public:
  SignalsBlocked() noexcept {
    sigset_t all;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  ~SignalsBlocked() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  SignalsBlocked(const SignalsBlocked&) = delete;
  SignalsBlocked& operator=(const SignalsBlocked&) = delete;

 private:
  sigset_t before_;
};

}  // namespace mirakuru::detail
