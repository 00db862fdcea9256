// SPDX-License-Identifier: BSL-1.0
// The page that bench/child.c writes for its starter. Both have mapped the file.
#pragma once

#include <stdint.h>
#include <time.h>

struct page {
  volatile int64_t begin;  // nanoseconds of CLOCK_MONOTONIC: main() was entered
  volatile int64_t ready;  // right before the system call that makes it ready; 0: not yet
  volatile int64_t early;  // connections accepted before it was ready
};

static inline int64_t monotonic_ns(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * INT64_C(1000000000) + time.tv_nsec;
}
