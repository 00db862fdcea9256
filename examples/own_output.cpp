// SPDX-License-Identifier: BSL-1.0
// How do I send the output to a place of my own choice?
// An output policy is a value with open(). Each start calls it.
#include <filesystem>
#include <fstream>
#include <iostream>
#include <mirakuru.hpp>
#include <mirakuru/kit.hpp>
#include <string>

namespace mk = mirakuru;

/// Each run has a log file of its own: NAME.1, NAME.2, ...
struct NumberedLog {
  static constexpr bool keeps_output = true;  // output() can read it
  std::string name;

  mk::OutputStreams open() const {
    int number = 1;
    while (std::filesystem::exists(name + "." + std::to_string(number))) ++number;
    return mk::ToFile{name + "." + std::to_string(number)}.open();
  }
};

int main() {
  const mk::TempDir directory;
  mk::Executor service{mk::Shell{"echo listening; exec sleep 60"}, mk::BannerCheck{"listening"},
                       NumberedLog{directory / "service.log"}};
  service.start().stop().start().stop();

  int logs = 0;
  for (const auto& entry : std::filesystem::directory_iterator{directory.path()}) {
    std::string line;
    std::getline(std::ifstream{entry.path()}, line);
    std::cout << entry.path().filename() << ": " << line << '\n';
    logs += line == "listening";
  }
  return logs == 2 ? 0 : 1;
}
