// SPDX-License-Identifier: BSL-1.0
// A stopwatch, and a wait for a condition.

#pragma once

#include <poll.h>

#include <chrono>
#include <ctime>

namespace test {

using std::chrono::milliseconds;

/// A stopwatch that runs from its construction.
class Elapsed {
 public:
  milliseconds ms() const { return std::chrono::duration_cast<milliseconds>(time()); }
  double seconds() const { return std::chrono::duration<double>{time()}.count(); }
  std::chrono::steady_clock::duration time() const {
    return std::chrono::steady_clock::now() - start_;
  }
  void restart() { start_ = std::chrono::steady_clock::now(); }

  friend bool operator<(const Elapsed& e, std::chrono::nanoseconds limit) {
    return e.time() < limit;
  }
  friend bool operator>=(const Elapsed& e, std::chrono::nanoseconds limit) { return !(e < limit); }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

/// Asks each millisecond. True as soon as the predicate is true, false at the limit.
template <class Predicate>
bool eventually(Predicate&& predicate, milliseconds limit = milliseconds{5000}) {
  const Elapsed elapsed;
  while (!predicate()) {
    if (elapsed >= limit) return false;
    const timespec pause{0, 1'000'000};
    ppoll(nullptr, 0, &pause, nullptr);
  }
  return true;
}

}  // namespace test
