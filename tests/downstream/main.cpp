#include <mirakuru.hpp>

#include <iostream>

int main() {
#if !defined(MIRAKURU_NO_HTTP)
  // Never started: it is here to be linked.
  mirakuru::HTTPExecutor web{"false", mirakuru::HTTPCheck{"http://127.0.0.1:1/"}};
  if (web.running()) return 1;
#endif
  const std::string output = mirakuru::SimpleExecutor{"echo foobar"}.start().wait().output();
  std::cout << output;
  return output == "foobar\n" ? 0 : 1;
}
