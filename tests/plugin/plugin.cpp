// SPDX-License-Identifier: BSL-1.0
#include <unistd.h>

#include <exception>

#include <mirakuru.hpp>

extern "C" bool start_and_stop();

/// False when the guardian has not done its work.
extern "C" bool start_and_stop() {
  try {
    mirakuru::SimpleExecutor executor{"sleep 300"};
    executor.start();
    ::usleep(100'000);  // in which the guardian gives back what it does not need
    const bool running = executor.running();
    executor.stop();
    return running;
  } catch (const std::exception&) {
    return false;
  }
}
