// SPDX-License-Identifier: BSL-1.0
// Starts and stops a program. measure.py counts the system calls.
//
//     cycle guarded|direct ROUNDS PROGRAM ARGUMENT...
#include <cstdlib>
#include <string>
#include <vector>

#include <mirakuru.hpp>

namespace {

namespace mk = mirakuru;

template <class Spawner>
void cycle(int rounds, const std::vector<std::string>& words) {
  mk::Executor executor{words, Spawner{}};
  for (; rounds > 0; --rounds) executor.start().stop();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4) return 2;
  const std::vector<std::string> words{argv + 3, argv + argc};
  if (std::string{argv[1]} == "direct")
    cycle<mk::DirectSpawner>(std::atoi(argv[2]), words);
  else
    cycle<mk::GuardedSpawner>(std::atoi(argv[2]), words);
}
