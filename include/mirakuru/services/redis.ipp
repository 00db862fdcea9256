// SPDX-License-Identifier: BSL-1.0
#pragma once

// Written on the public face alone.

#include <string_view>
#include <utility>

#include <mirakuru.hpp>
#include <mirakuru/kit.hpp>
#include <mirakuru/services/redis.hpp>

namespace mirakuru {

struct Redis::State {
  std::filesystem::path bin;
  FreePort port = {};
  TempDir dir = TempDir{"redis"};
  std::filesystem::path socket = {};
  Server server;  // ends before its directory

  explicit State(const Options& options)
      : bin{options.bin},
        // Source: unix(7), sun_path.
        socket{dir.path().native().size() + 5 <= 107 ? dir / "sock" : std::filesystem::path{}},
        server{Command{.argv = words(options), .cwd = dir, .scratch = dir},
               // With a password it answers, too.
               TalkCheck{.port = port, .send = "PING\r\n", .expect = "^(\\+PONG|-NOAUTH)"},
               options.budget} {}

  [[nodiscard]] std::string program(const char* name) const {
    return bin.empty() ? name : std::filesystem::absolute(bin) / name;
  }
  [[nodiscard]] std::vector<std::string> words(const Options& options) const {
    std::map<std::string, std::string> settings{
        {"bind", "127.0.0.1"}, {"save", ""}, {"appendonly", "no"}, {"databases", "16"}};
    if (!socket.empty()) settings["unixsocket"] = socket;
    for (const auto& [name, value] : options.settings) settings[name] = value;
    settings.insert_or_assign("port", port.str());
    settings.insert_or_assign("dir", dir.path());
    settings.insert_or_assign("daemonize", "no");
    std::vector<std::string> all{program("redis-server")};
    for (const auto& [name, value] : settings) all.insert(all.end(), {"--" + name, value});
    return all;
  }
};

MIRAKURU_DECL Redis::Redis(const Options& options, std::source_location where)
    : state_{std::make_unique<State>(options)} {
  start(where);
}
MIRAKURU_DECL Redis::Redis(Redis&& other) noexcept = default;
MIRAKURU_DECL Redis& Redis::operator=(Redis&& other) noexcept = default;
MIRAKURU_DECL Redis::~Redis() = default;

MIRAKURU_DECL std::string Redis::url(int database) const {
  return "redis://127.0.0.1:" + state_->port.str() + '/' + std::to_string(database);
}
MIRAKURU_DECL std::string Redis::cli(const std::vector<std::string>& words,
                                     std::source_location where) const {
  std::vector<std::string> all{state_->program("redis-cli"), "-e", "-p", state_->port.str()};
  all.insert(all.end(), words.begin(), words.end());
  return run({Argv{std::move(all)}, where}, NoInput{}).output;
}
MIRAKURU_DECL Redis::Server& Redis::server() noexcept { return state_->server; }
MIRAKURU_DECL Redis& Redis::start(std::source_location where) {
  server().start(where);
  return *this;
}
MIRAKURU_DECL Redis& Redis::stop() {
  server().stop();
  return *this;
}
MIRAKURU_DECL std::uint16_t Redis::port() const noexcept { return state_->port.number(); }
MIRAKURU_DECL std::filesystem::path Redis::socket() const { return state_->socket; }

}  // namespace mirakuru
