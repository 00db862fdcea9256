// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <signal.h>

namespace mirakuru::detail {

/// Blocks all signals in this thread for its lifetime: no handler of the host runs in this thread,
/// nor in a thread or a process that it makes meanwhile.
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
