// SPDX-License-Identifier: BSL-1.0
// Every check in wait_for(), and checks of a user's own that are made of others.
#include <chrono>
#include <csignal>
#include <fstream>
#include <memory>
#include <string>
#include <utility>

#include <doctest/doctest.h>

#include <asio/bind_executor.hpp>
#include <asio/io_context.hpp>
#include <asio/use_future.hpp>

#include <mirakuru.hpp>
#include <mirakuru/async.hpp>

#include "errors.hpp"
#include "files.hpp"
#include "net.hpp"
#include "time.hpp"
#include "words.hpp"

namespace mk = mirakuru;
using namespace std::chrono_literals;
using test::contains;
using test::helper;
using test::in_time;
using test::message_of;

namespace {

/// A shell that does `line` for each line of its standard input.
auto shell_for(const std::string& line) {
  return mk::Executor{mk::Shell{"while read -r word; do " + line + "; done"}, mk::HeldOpen{}};
}

/// A service that is ready when its URL answers and it has said so.
struct WebReady {
  static constexpr bool reads_output = mk::BannerCheck::reads_output;

  mk::HTTPCheck http;
  mk::BannerCheck banner;

  [[nodiscard]] std::string describe() const {
    return http.describe() + " and " + banner.describe();
  }
  [[nodiscard]] std::string hint(const mk::Process& process) const { return http.hint(process); }
  [[nodiscard]] std::unique_ptr<mk::Probe> precheck() const { return http.precheck(); }
  [[nodiscard]] std::string describe_conflict() const { return http.describe_conflict(); }

  [[nodiscard]] std::unique_ptr<mk::Probe> probe(const mk::Process& process) const {
    return std::make_unique<Both>(http.probe(process), banner.probe(process));
  }

 private:
  /// Looks for the banner first, then at the URL.
  class Both final : public mk::Probe {
   public:
    Both(std::unique_ptr<mk::Probe> http, std::unique_ptr<mk::Probe> banner)
        : at_hand_{std::move(banner)}, next_{std::move(http)} {}

    mk::Readiness poll(mk::TimePoint now) override {
      auto answer = at_hand_->poll(now);
      if (!answer || !next_) return answer;
      at_hand_ = std::move(next_);
      return at_hand_->poll(now);
    }
    void wait(mk::TimePoint now, mk::WaitSet& waits) const override { at_hand_->wait(now, waits); }
    [[nodiscard]] bool pending() const noexcept override { return at_hand_->pending(); }
    void close(mk::TimePoint until) override { at_hand_->close(until); }

   private:
    std::unique_ptr<mk::Probe> at_hand_, next_;
  };
};

/// The same by composition.
struct WebReadyToo {
  mk::AllOf<mk::HTTPCheck, mk::BannerCheck> all;

  static constexpr bool reads_output = decltype(all)::reads_output;
  [[nodiscard]] std::string describe() const { return "the web server"; }
  [[nodiscard]] std::unique_ptr<mk::Probe> precheck() const { return all.precheck(); }
  [[nodiscard]] std::unique_ptr<mk::Probe> probe(const mk::Process& process) const {
    return all.probe(process);
  }
};

template <class Check>
void check_web_server(const Check& check, const test::Port& port) {
  const auto server = [&](const char* delay, const char* say) {
    return mk::Executor{helper("serve", "127.0.0.1", port.str(), "ok", delay, say), check, in_time};
  };
  auto service = server("delay=100", "say=up\\n");
  const test::Elapsed elapsed;
  service.start();
  CHECK(elapsed >= 100ms);
  CHECK(test::http_get(port.number(), "/") == 200);
  CHECK(contains(service.output(), "up"));
  // Its port is asked about before the start.
  auto second = server("delay=0", "say=up\\n");
  CHECK(contains(message_of<mk::AlreadyRunning>([&] { second.start(); }), "seems to be already"));
  service.stop();
  mk::Executor silent{helper("serve", "127.0.0.1", port.str(), "ok"), check,
                      mk::TimeoutBudget{.start = 300ms}};
  CHECK(contains(message_of<mk::TimeoutExpired>([&] { silent.start(); }),
                 "\n  waited for: " + check.describe()));
  CHECK_FALSE(silent.running());
}

}  // namespace

TEST_CASE("wait_for: a pid file and a line of a log file, from the call on") {
  const test::TempDir directory;
  const auto pid_file = directory / "pid", log = directory / "log";
  auto service = shell_for("echo $$ > " + pid_file + "; echo $word >> " + log);
  std::ofstream{log} << "ready\n";
  service.start();
  const mk::PidCheck has_pid{pid_file};
  const mk::LogFileCheck is_ready{.path = log, .pattern = "^ready$"};
  CHECK_THROWS_AS(service.wait_for(is_ready, 100ms), mk::TimeoutExpired);
  service.start();
  // The shell answers while the wait is under way.
  bool told = false;
  service.wait_for(mk::AllOf{is_ready, has_pid,
                             [&](const mk::Process&) {
                               if (!std::exchange(told, true)) service.write("ready\n");
                               return true;
                             }},
                   30s);
  CHECK(test::read_pids(pid_file) == std::vector{service.pid()});
  CHECK(service.wait_for(has_pid, 30s).running());
}

TEST_CASE("wait_for: connections, URLs and answers, of sockets that listen later") {
  const test::Port port;
  const test::TempDir directory;
  const auto path = directory / "socket";
  mk::Executor web{helper("serve", "127.0.0.1", port.str(), "ok", "delay=100")};
  web.start();
  web.wait_for(mk::TCPCheck{"127.0.0.1", port.number()}, 30s);
  web.wait_for(mk::HTTPCheck{port.url()}, 30s);
  web.wait_for(mk::TalkCheck{.port = port.number(), .send = "GET / HTTP/1.0\r\n\r\n"}, 30s);
  CHECK(web.running());
  mk::Executor local{helper("unix", path, "delay=100")};
  local.start();
  local.wait_for(mk::UnixSocketCheck{path}, 30s);
  local.wait_for(mk::TalkCheck{.send = "a\n", .expect = "^a$", .socket = path}, 30s);
  CHECK(local.running());
}

TEST_CASE("wait_for: ExitCheck takes an end with 0, and no other end") {
  mk::Executor good{mk::Shell{"sleep 0.05"}};
  good.start().wait_for(mk::ExitCheck{}, 30s);
  CHECK_FALSE(good.running());
  CHECK(good.exit_code() == 0);
  mk::Executor bad{mk::Shell{"sleep 0.05; exit 3"}};
  CHECK(message_of<mk::ProcessExitedWithError>([&] {
          bad.start().wait_for(mk::ExitCheck{}, 30s);
        }).starts_with("exited with a non-zero code: 3 before wait_for() could pass\n"));
  mk::Executor late{"sleep 300"};
  CHECK_THROWS_AS(late.start().wait_for(mk::ExitCheck{}, 50ms), mk::TimeoutExpired);
}

TEST_CASE("wait_for: composed checks, whose arms see the output from the call on") {
  mk::Executor service{mk::Shell{"echo before; read -r word; echo after; exec sleep 300"},
                       mk::HeldOpen{}, mk::BannerCheck{"before"}, in_time};
  service.start();
  const mk::ExecCheck passes{"true"};
  const mk::BannerCheck before{"^before$"}, after{"^after$"};
  service.wait_for(mk::AnyOf{before, passes}, 30s);
  service.wait_for(mk::StableFor{30ms, passes}, 30s);
  bool told = false;
  const auto tell = [&](const mk::Process&) {
    if (!std::exchange(told, true)) service.write("go\n");
    return true;
  };
  service.wait_for(mk::AllOf{mk::Within{20s, after}, tell}, 30s);
  CHECK(service.running());
  CHECK(contains(message_of<mk::TimeoutExpired>(
                     [&] { service.wait_for(mk::Within{50ms, mk::AnyOf{before, after}}, 30s); }),
                 "timed out after 50 ms\n"));
}

TEST_CASE("async_wait_for: it takes the checks, too") {
  asio::io_context context;
  const test::Port port;
  mk::Executor web{helper("serve", "127.0.0.1", port.str(), "ok", "delay=50")};
  web.start();
  const auto passes = [&](auto check) {
    auto future =
        web.async_wait_for(std::move(check), 30s, asio::bind_executor(context, asio::use_future));
    context.restart();
    context.run();
    future.get();
    return web.running();
  };
  CHECK(passes(mk::TalkCheck{.port = port.number(), .send = "GET / HTTP/1.0\r\n\r\n"}));
  CHECK(passes(mk::ExecCheck{"true"}));
  CHECK(passes(mk::AllOf{mk::HTTPCheck{port.url()}, mk::StableFor{20ms, mk::ExecCheck{"true"}}}));
}

TEST_CASE("Checks: one of a user's own may hold and use the built-in ones") {
  const test::Port first, second;
  check_web_server(WebReady{.http = {first.url()}, .banner = {"^up$"}}, first);
  check_web_server(WebReadyToo{mk::AllOf{mk::HTTPCheck{second.url()}, mk::BannerCheck{"^up$"}}},
                   second);
}
