#include <mirakuru.hpp>
#include <mirakuru/async.hpp>

int b();

int b() {
  mirakuru::SimpleExecutor executor{"true"};
  return executor.running() ? 1 : 0;
}
