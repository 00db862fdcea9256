// SPDX-License-Identifier: BSL-1.0
// The task of by_hand.cpp, done by the library.
//
//     ours PORT ROUNDS PROGRAM ARGUMENT...
//
// OVERHEAD_MORE is the number of further executor types in the program.
#include <cstdio>
#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

#include <mirakuru.hpp>

namespace {

namespace mk = mirakuru;

#if defined(OVERHEAD_HTTP)
mk::HTTPCheck check_of(const std::string& port) { return {"http://127.0.0.1:" + port + "/"}; }
#else
mk::TCPCheck check_of(const std::string& port) { return {"127.0.0.1", std::stoi(port)}; }
#endif

template <class... Policies>
std::size_t cycle(const std::vector<std::string>& words, Policies... policies) {
  mk::Executor executor{words, mk::DirectSpawner{}, std::move(policies)...};
  executor.start().stop();
  return 1 + executor.timeline().checks.back().attempts;  // 1: the look before the start
}

#if defined(OVERHEAD_MORE)
// One type for each number.
template <int number>
struct Holds {
  bool operator()(const mk::Process&) const { return true; }
};

template <int... numbers>
std::size_t more(const std::vector<std::string>& words, std::integer_sequence<int, numbers...>) {
  return (cycle(words, Holds<numbers>{}) + ... + 0);
}
#endif

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4) return 2;
  const std::vector<std::string> words{argv + 3, argv + argc};
  std::size_t attempts = 0;
  for (int round = std::atoi(argv[2]); round > 0; --round)
    attempts += cycle(words, check_of(argv[1]));
#if defined(OVERHEAD_MORE)
  attempts += more(words, std::make_integer_sequence<int, OVERHEAD_MORE>{});
#endif
  std::printf("%zu\n", attempts);
}
