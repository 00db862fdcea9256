// SPDX-License-Identifier: BSL-1.0
// This library as one of the peers. It does the orders that bench/peers writes to its input, and
// answers each with a line. Tabs separate the words.
//
//   wait VERB PLACE COMMAND   starts the service, stops it; answers when start() has returned
//   cycle COMMAND             starts and stops it; answers the nanoseconds
//   start COMMAND             starts it without a check
//   stop                      stops it
//
// `bench_peer now FILE` writes the clock to the file: the first act of a test.
#include <cstdint>
#include <cstdio>
#include <exception>
#include <fstream>
#include <iostream>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include <mirakuru.hpp>

#include "../page.h"

namespace {

namespace mk = mirakuru;
using Words = std::vector<std::string>;

template <class Check>
std::int64_t wait(const Words& command, Check check) {
  mk::Executor service{command, std::move(check)};
  service.start();
  const std::int64_t returned = monotonic_ns();
  service.stop();
  return returned;
}

std::int64_t wait(const std::string& verb, const std::string& place, const Words& command) {
  if (verb == "tcp") return wait(command, mk::TCPCheck{"127.0.0.1", std::stoi(place)});
  if (verb == "http") return wait(command, mk::HTTPCheck{"http://127.0.0.1:" + place + "/"});
  return wait(command, mk::BannerCheck{"^ready$"});
}

using Plain = decltype(mk::Executor{Words{}});

std::int64_t carry_out(const Words& words, std::optional<Plain>& service) {
  const std::int64_t begin = monotonic_ns();
  const Words command{words.begin() + (words[0] == "wait" ? 3 : 1), words.end()};
  if (words[0] == "wait") return wait(words[1], words[2], command);
  if (words[0] != "stop") service.emplace(command).start();
  if (words[0] != "start") service->stop();
  return monotonic_ns() - begin;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 3 && std::string{argv[1]} == "now") {
    const std::int64_t now = monotonic_ns();
    std::ofstream{argv[2]} << now << '\n';
    return 0;
  }
  std::optional<Plain> service;
  for (std::string line; std::getline(std::cin, line);) try {
      std::istringstream rest{line};
      Words words;
      for (std::string word; std::getline(rest, word, '\t');) words.push_back(word);
      std::cout << carry_out(words, service) << std::endl;
    } catch (const std::exception& error) {
      std::cout << error.what() << std::endl;
    }
}
