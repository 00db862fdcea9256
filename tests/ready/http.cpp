// SPDX-License-Identifier: BSL-1.0
#include <unistd.h>
#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include <mirakuru.hpp>

#include "support.hpp"

namespace mk = mirakuru;
using namespace std::chrono_literals;

namespace {

/// The start budget of what is to become ready: no test waits for its end.
constexpr auto ample = mk::TimeoutBudget{.start = 20s};

/// A marker for the child's arguments, by which no other test's child is found.
std::string mark() {
  static int count = 0;
  return "mark=http-" + std::to_string(::getpid()) + '-' + std::to_string(++count) + '-';
}

/// Words that run the helper program.
template <class... Words>
std::vector<std::string> helper(Words... words) {
  return {test::helper(), words...};
}

/// Words that run the helper program as a server on 127.0.0.1.
template <class... Words>
std::vector<std::string> serve(const test::Port& port, Words... words) {
  return helper("serve", "127.0.0.1", port.str(), words...);
}

/// Words that run Python's server on 127.0.0.1.
std::vector<std::string> python(const test::Port& port, const test::TempDir& dir) {
  return {"python3",   "-m",       "http.server", "--bind",
          "127.0.0.1", port.str(), "--directory", dir.path()};
}

/// The words as a shell reads them.
std::string line(const std::vector<std::string>& words) { return mk::Argv{words}.line(); }

bool has_ipv6() {
  // The loopback address, on any interface.
  if (test::slurp("/proc/net/if_inet6").find(std::string(31, '0') + '1') != std::string::npos)
    return true;
  MESSAGE("skipped: this machine has no ::1");
  return false;
}

/// What the error says that `action` throws; another error passes through.
template <class Error, class Action>
std::string message_of(Action action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  return "nothing was thrown";
}

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t found = 0;
  for (auto at = text.find(part); at != std::string::npos; at = text.find(part, at + part.size()))
    ++found;
  return found;
}

bool contains(const std::string& text, const std::string& part) { return count(text, part) > 0; }

/// The message with T in place of a duration behind `marker`.
std::string timeless(std::string message, const std::string& marker) {
  for (auto at = message.find(marker); at != std::string::npos; at = message.find(marker, at)) {
    at += marker.size();
    message.replace(at, std::min(message.find('\n', at), message.size()) - at, "T");
  }
  return message;
}

/// Checks that `start` times out when its budget is over, and that `expected` holds for what it
/// says. A busy machine may be late with the server or with the clock: it has five tries.
template <class Start, class Expected>
void check_timeout(std::chrono::milliseconds budget, Start start, Expected expected) {
  std::string message;
  std::chrono::nanoseconds took{};
  for (int tries = 0; tries < 5; ++tries) {
    const test::Elapsed elapsed;
    message = message_of<mk::TimeoutExpired>(start);
    took = elapsed.time();
    CHECK(took >= budget);
    if (took < budget + 250ms && expected(message)) return;
  }
  CAPTURE(message);
  CHECK(took < budget + 250ms);
  CHECK(expected(message));
}

/// The lines as one text.
std::string text_of(const std::vector<std::string>& lines) {
  std::string text;
  for (const auto& text_line : lines) text += (text.empty() ? "" : "\n") + text_line;
  return text;
}

/// The most memory that this process has held at once, since `forget_peak()` where the kernel lets
/// that be forgotten; in bytes.
long peak_memory() {
  const auto status = test::slurp("/proc/self/status");
  long kibibytes = 0;
  std::sscanf(status.c_str() + status.find("VmHWM:"), "VmHWM: %ld", &kibibytes);
  return kibibytes * 1024;
}

void forget_peak() { std::ofstream{"/proc/self/clear_refs"} << '5'; }

// Sanitizers hold freed memory back, and their shadow grows with what is touched.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool sanitized = true;
#elif defined(__has_feature)
constexpr bool sanitized = __has_feature(address_sanitizer) || __has_feature(thread_sanitizer);
#else
constexpr bool sanitized = false;
#endif

}  // namespace

// The original's scenarios ------------------------------------------------------------------------

TEST_CASE("scenario 27: it returns when a request succeeds") {
  const test::Port port;
  const test::TempDir dir;
  const auto words =
      std::vector<std::string>{"bash", "-c", "sleep 0.3 && exec " + line(python(port, dir))};
  mk::HTTPExecutor server{words, mk::HTTPCheck{port.url()}, ample};
  CHECK(server.command() == line(words));
  const test::Elapsed elapsed;
  server.start();
  CHECK(elapsed >= 300ms);
  CHECK(server.running());
  CHECK(test::http_get(port.number(), "/") == 200);
  server.stop();
  CHECK_FALSE(server.running());
  CHECK_FALSE(test::connects("127.0.0.1", port.number()));
  CHECK(test::processes_matching(dir.path()) == 0);
}

TEST_CASE("scenario 28: by a shell; refused before, answered inside, refused after") {
  const test::Port port;
  const test::TempDir dir;
  CHECK(test::http_get(port.number(), "/") == 0);
  {
    auto server = mk::HTTPExecutor{mk::Shell{line(python(port, dir)) + " && true"},
                                   mk::HTTPCheck{port.url()}, ample}
                      .start();
    CHECK(server.running());
    CHECK(test::http_get(port.number(), "/") == 200);
  }
  CHECK(test::http_get(port.number(), "/") == 0);
  CHECK(test::processes_matching(dir.path()) == 0);
}

TEST_CASE("scenario 29: each method, against a server that is slow to come up") {
  for (const std::string method : {"HEAD", "GET", "POST"}) {
    CAPTURE(method);
    const test::Port port;
    const auto tag = mark();
    mk::HTTPExecutor server{helper("h2", "127.0.0.1", port.str(), method, "countdown=200", tag),
                            mk::HTTPCheck{.url = port.url(), .method = method}, ample};
    const test::Elapsed elapsed;
    server.start();
    CHECK(elapsed >= 200ms);
    CHECK(server.running());
    CHECK(test::http_get(port.number(), "/") == 200);
    server.stop();
    CHECK(test::processes_matching(tag) == 0);
  }
}

TEST_CASE("scenario 30: a payload that the server looks for") {
  const test::Port port;
  const auto tag = mark();
  mk::HTTPExecutor server{
      helper("h2", "127.0.0.1", port.str(), "Key", "countdown=100", tag),
      mk::HTTPCheck{.url = port.url(), .method = "POST", .payload = {{"key", "hole"}}}, ample};
  server.start();
  CHECK(server.running());
  server.stop();

  mk::HTTPExecutor wrong{
      helper("h2", "127.0.0.1", port.str(), "Key", "countdown=0", tag),
      mk::HTTPCheck{.url = port.url(), .method = "POST", .payload = {{"key", "hold"}}},
      mk::TimeoutBudget{.start = 400ms}};
  check_timeout(
      400ms, [&] { wrong.start(); },
      [](const std::string& message) { return contains(message, "last answer: HTTP 500"); });
  CHECK(test::processes_matching(tag) == 0);
}

TEST_CASE("scenario 31: each method, against a server that comes up too late") {
  for (const std::string method : {"HEAD", "GET", "POST"}) {
    CAPTURE(method);
    const test::Port port;
    const auto tag = mark();
    mk::HTTPExecutor server{helper("h2", "127.0.0.1", port.str(), method, "countdown=20000", tag),
                            mk::HTTPCheck{.url = port.url(), .method = method},
                            mk::TimeoutBudget{.start = 500ms}};
    check_timeout(
        500ms, [&] { server.start(); },
        [](const std::string& message) {
          return contains(message, "timed out after 500 ms\n") &&
                 contains(message, "last answer: HTTP 500");
        });
    CHECK_FALSE(server.running());
    CHECK(test::processes_matching(tag) == 0);
  }
}

TEST_CASE("scenario 32: two executors on one port") {
  const test::Port port;
  const test::TempDir dir;
  mk::HTTPExecutor first{python(port, dir), mk::HTTPCheck{port.url()}, ample};
  mk::HTTPExecutor second{python(port, dir), mk::HTTPCheck{port.url()}, ample};
  first.start();
  const auto message = message_of<mk::AlreadyRunning>([&] { second.start(); });
  CHECK(contains(message, "seems to be already running"));
  CHECK(contains(message, "held by pid " + std::to_string(first.pid()) + " ("));
  CHECK_FALSE(second.running());
  CHECK_THROWS_AS(mk::HTTPExecutor(python(port, dir), mk::HTTPCheck{port.url()}).start(),
                  mk::AlreadyRunning);
  mk::Executor alone{python(port, dir), mk::HTTPCheck{port.url()}};
  CHECK(contains(message_of<mk::AlreadyRunning>([&] { alone.start(); }),
                 "held by pid " + std::to_string(first.pid()) + " ("));
  CHECK(test::commands_matching(dir.path()) == 1);
  first.stop();
  CHECK(test::processes_matching(dir.path()) == 0);
}

TEST_CASE("scenario 33: the port is 80 where the URL has none") {
  const mk::HTTPCheck check{"http://127.0.0.1/status"};
  CHECK(check.url.port() == 80);
  const mk::TCPCheck derived = check;
  CHECK(derived.port == 80);
  CHECK(derived.host.str() == "127.0.0.1");
  CHECK(mk::URL{"http://127.0.0.1:/status"}.port() == 80);

  // Both, for a server on one address only would let another one be asked.
  if (!test::detail::Endpoint{"0.0.0.0", 80}.can_bind() ||
      !test::detail::Endpoint{"::", 80}.can_bind()) {
    MESSAGE("skipped: port 80 is taken or not allowed");
    return;
  }
  const auto tag = mark();
  CHECK_FALSE(test::connects("127.0.0.1", 80));
  mk::HTTPExecutor server{
      helper("serve", "127.0.0.1", "80", "echo", "host=127.0.0.1", "path=/status", tag), check,
      ample};
  server.start();
  CHECK(test::connects("127.0.0.1", 80));
  server.stop();
  CHECK_FALSE(test::connects("127.0.0.1", 80));
  CHECK(test::processes_matching(tag) == 0);
}

TEST_CASE("scenario 34: which status counts") {
  const test::Port port;
  const test::TempDir dir;
  const auto url = port.url("/badpath");

  const mk::HTTPCheck wrong[] = {{.url = url}, {.url = url, .status = 200}};
  for (const auto& check : wrong) {
    // On a busy machine the budget may be over before the server has come up.
    std::string message;
    for (auto budget = 1s; budget < 20s && !contains(message, "last answer: HTTP 404");
         budget *= 2) {
      mk::HTTPExecutor server{python(port, dir), check, mk::TimeoutBudget{.start = budget}};
      message = message_of<mk::TimeoutExpired>([&] { server.start(); });
      CHECK(contains(message, "timed out after "));
      CHECK_FALSE(server.running());
    }
    CAPTURE(message);
    CHECK(contains(message, "last answer: HTTP 404"));
  }
  const mk::HTTPCheck right[] = {{.url = url, .status = "404"},
                                 {.url = url, .status = 404},
                                 {.url = url, .status = "(2|4)\\d\\d"},
                                 {.url = url, .status = "(200|404)"}};
  for (const auto& check : right) {
    mk::HTTPExecutor server{python(port, dir), check, ample};
    server.start();
    CHECK(server.running());
    server.stop();
  }
  CHECK(test::processes_matching(dir.path()) == 0);
}

// Real servers ------------------------------------------------------------------------------------

TEST_CASE("nginx") {
  if (!test::exists("/usr/sbin/nginx") && std::system("command -v nginx >/dev/null") != 0) {
    MESSAGE("skipped: there is no nginx");
    return;
  }
  const std::string program = test::exists("/usr/sbin/nginx") ? "/usr/sbin/nginx" : "nginx";
  const test::Port port;
  const test::TempDir dir;
  std::ofstream{dir / "nginx.conf"}
      << (::geteuid() == 0 ? "user root root;\n" : "") << "daemon off;\nworker_processes 2;\npid "
      << dir / "pid" << ";\nerror_log " << dir / "error.log"
      << ";\nevents {}\nhttp {\n  access_log " << dir / "access.log"
      << ";\n  client_body_temp_path " << dir / "body" << ";\n  proxy_temp_path " << dir / "proxy"
      << ";\n  fastcgi_temp_path " << dir / "fastcgi" << ";\n  uwsgi_temp_path " << dir / "uwsgi"
      << ";\n  scgi_temp_path " << dir / "scgi"
      << ";\n  server {\n    listen 127.0.0.1:" << port.str()
      << ";\n    location /status { return 200 fine; }\n"
         "    location /teapot { return 418; }\n  }\n}\n";
  const std::vector<std::string> words{program,           "-p", dir.path(),        "-e",
                                       dir / "error.log", "-c", dir / "nginx.conf"};
  mk::HTTPExecutor nginx{words, mk::HTTPCheck{port.url("/status?from=test")}, ample,
                         mk::Signals{.stop = SIGQUIT}};
  nginx.start();
  CHECK(nginx.running());
  CHECK(test::http_get(port.number(), "/teapot") == 418);
  std::vector<pid_t> tree;  // the first worker answers before the second is there
  CHECK(test::eventually([&] { return (tree = test::children_of(nginx.pid())).size() == 2; }));
  tree.push_back(nginx.pid());
  nginx.stop();
  CHECK(nginx.exit_code() == 0);
  for (const pid_t pid : tree) CHECK_FALSE(test::alive(pid));
  CHECK_FALSE(test::connects("127.0.0.1", port.number()));
  CHECK(contains(test::slurp(dir / "access.log"), "\"HEAD /status?from=test HTTP/1.1\" 200"));

  mk::HTTPExecutor teapot{
      words, mk::HTTPCheck{.url = port.url("/teapot"), .status = 418, .method = "GET"}, ample};
  teapot.start().stop();
}

TEST_CASE("Redis by TCP, and what it says to a request") {
  const test::Port port;
  const test::TempDir dir;
  const mk::Command command{
      .argv = std::vector<std::string>{"redis-server", "--port", port.str(), "--bind", "127.0.0.1",
                                       "--save", "", "--appendonly", "no", "--dir", dir.path()}};
  mk::TCPExecutor redis{command, mk::TCPCheck{"127.0.0.1", port.number()}, ample};
  try {
    redis.start();
  } catch (const mk::SpawnError& error) {
    MESSAGE("skipped: ", error.what());
    return;
  }
  CHECK(redis.running());
  redis.stop();
  CHECK(redis.exit_code() == 0);

  mk::HTTPExecutor no_http_server{command, mk::HTTPCheck{port.url()},
                                  mk::TimeoutBudget{.start = 1s}};
  // It closes on a Host header: whether its answer is still seen is a matter of luck.
  check_timeout(
      1s, [&] { no_http_server.start(); },
      [](const std::string& message) {
        return contains(message, "last answer: not an HTTP answer") ||
               contains(message, "last answer: closed without an HTTP answer") ||
               contains(message, "last answer: connection reset by peer");
      });
  CHECK_FALSE(test::connects("127.0.0.1", port.number()));
}

// Servers that do as they should not --------------------------------------------------------------

TEST_CASE("no server makes a start outlive its budget") {
  struct Case {
    std::string behaviour;
    std::vector<std::string> reasons;  // one of them is given
  };
  const Case cases[] = {
      {"mute", {"no answer within "}},
      {"drip", {"no answer within "}},
      {"endless-headers", {"more than 64 KiB in front of the body"}},
      {"garbage", {"not an HTTP answer: "}},
      {"close", {"closed without an HTTP answer", "connection reset by peer", "broken pipe"}},
      {"close-after-request", {"closed without an HTTP answer"}},
      {"continue-only", {"no answer within "}},
      {"huge-header", {"more than 64 KiB in front of the body"}},
  };
  for (const auto& [behaviour, reasons] : cases) {
    CAPTURE(behaviour);
    const test::Port port;
    const auto tag = mark();
    mk::HTTPExecutor server{serve(port, behaviour, tag), mk::HTTPCheck{port.url()},
                            mk::TimeoutBudget{.start = 700ms}};
    // A single attempt has a second: the deadline has to end it.
    check_timeout(
        700ms, [&] { server.start(); },
        [&](const std::string& message) {
          return contains(message, "timed out after 700 ms\n") &&
                 contains(message, "waited for: HEAD " + port.url() + ", for ") &&
                 std::any_of(reasons.begin(), reasons.end(), [&](const std::string& reason) {
                   return contains(message, "\n  last answer: " + reason);
                 });
        });
    CHECK_FALSE(server.running());
    CHECK(test::processes_matching(tag) == 0);
  }
}

TEST_CASE("odd answers that are answers all the same") {
  for (const std::string behaviour : {"ok", "endless-body", "continue", "chunked", "http10"})
    for (const std::string method : {"HEAD", "GET", "POST"}) {
      CAPTURE(behaviour);
      CAPTURE(method);
      const test::Port port;
      const auto tag = mark();
      mk::HTTPExecutor server{serve(port, behaviour, tag),
                              mk::HTTPCheck{.url = port.url(), .method = method}, ample};
      const test::Elapsed elapsed;
      server.start();
      CHECK(elapsed < 5s);
      CHECK(server.running());
      server.stop();
      CHECK(test::processes_matching(tag) == 0);
    }
}

TEST_CASE("a server that leaves its first request without an answer costs one attempt") {
  const test::Port port;
  const test::TempDir dir;
  const auto tag = mark();
  mk::HTTPExecutor server{serve(port, "mute-once", "log=" + (dir / "log"), tag),
                          mk::HTTPCheck{port.url()}, ample};
  const test::Elapsed elapsed;
  server.start();
  CHECK(elapsed < 5s);
  CHECK(count(test::slurp(dir / "log"), "HEAD / HTTP/1.1\r\n") == 2);
  server.stop();
  CHECK(test::processes_matching(tag) == 0);
}

TEST_CASE("an answer that comes in single bytes gets through within an attempt") {
  const test::Port port;
  const test::TempDir dir;
  mk::HTTPExecutor server{serve(port, "drip", "interval=5", "log=" + (dir / "log")),
                          mk::HTTPCheck{port.url()}, ample};
  server.start();
  CHECK(server.running());
  CHECK(count(test::slurp(dir / "log"), "HEAD / ") == 1);
}

TEST_CASE("an attempt that the deadline ends is told of, not the refusals in front of it") {
  const test::Port port;
  mk::Executor server{serve(port, "mute", "delay=100"), mk::HTTPCheck{port.url()},
                      mk::TimeoutBudget{.start = 800ms}};
  check_timeout(
      800ms, [&] { server.start(); },
      [&](const std::string& message) {
        return timeless(timeless(message, ", for "), "no answer within ") ==
               text_of({"timed out after 800 ms",
                        "  command: " + line(serve(port, "mute", "delay=100")),
                        "  waited for: HEAD " + port.url() + ", for T",
                        "  last answer: no answer within T"});
      });
}

TEST_CASE("the whole message: a status that is not the one") {
  const test::Port port;
  const auto words = serve(port, "status", "status=503", "say=listening\\n");
  mk::HTTPExecutor server{words, mk::HTTPCheck{.url = port.url("/a?b=c"), .method = "GET"},
                          mk::TimeoutBudget{.start = 500ms}};
  check_timeout(
      500ms, [&] { server.start(); },
      [&](const std::string& message) {
        return timeless(message, ", for ") ==
               text_of({"timed out after 500 ms", "  command: " + line(words),
                        "  waited for: GET " + port.url("/a?b=c") + ", for T",
                        "  last answer: HTTP 503",
                        "  the end of standard output:", "    listening"});
      });
}

TEST_CASE("the memory for an answer is bounded, however long it is") {
  const auto ask = [](const std::string& behaviour) {
    const test::Port port;
    mk::HTTPExecutor server{serve(port, behaviour), mk::HTTPCheck{port.url()},
                            mk::TimeoutBudget{.start = 400ms}};
    try {
      server.start();
    } catch (const mk::TimeoutExpired&) {
    }
  };
  ask("ok");  // what is allocated once is allocated
  forget_peak();
  const long before = peak_memory();
  for (const std::string behaviour : {"endless-headers", "endless-body", "huge-header"})
    ask(behaviour);
  const long grown = peak_memory() - before;
  CAPTURE(grown);
  CHECK(before > 0);
  CHECK((sanitized || grown < 2 * 1024 * 1024));
}

TEST_CASE("localhost is answered at ::1 while 127.0.0.1 stays mute") {
  if (!has_ipv6()) return;
  const test::Port port;
  const auto tag = mark();
  mk::HTTPExecutor server{
      mk::Shell{line(serve(port, "mute", tag)) + " & exec " +
                line(helper("serve", "::1", port.str(), "ok", "v6only=1", "delay=100", tag))},
      mk::HTTPCheck{port.url("/", "localhost")}, mk::TimeoutBudget{.start = 5s}};
  CHECK_NOTHROW(server.start());
  CHECK(server.running());
  server.stop();
  CHECK(test::processes_matching(tag) == 0);
}

TEST_CASE("defect 6: a stranger's answer does not stand in for a child that has ended") {
  const test::Port port;
  const test::TempDir dir;
  const auto log = dir / "log";
  // It takes the request, and answers it when the child has long ended because of it.
  mk::TCPExecutor stranger{serve(port, "continue", "interval=10000", "log=" + log),
                           mk::TCPCheck{"127.0.0.1", port.number()}, ample};
  const auto appears = [&](const mk::Process&) {
    stranger.start();
    return true;
  };
  mk::Executor server{mk::Shell{"while ! [ -s " + log + " ]; do sleep 0.01; done"}, appears,
                      mk::HTTPCheck{port.url()}, ample};
  const test::Elapsed elapsed;
  try {
    server.start();
    FAIL("it counts as ready");
  } catch (const mk::ProcessExitedWithError& error) {
    CHECK(error.exit_code() == 0);
    CHECK(contains(error.what(), "exited with code 0 before it was ready"));
  }
  CHECK(elapsed < 8s);
  CHECK_FALSE(server.running());
}

// Compositions ------------------------------------------------------------------------------------

TEST_CASE("the HTTP check alone, with the TCP check, and with a TCP check of another port") {
  static_assert(std::is_same_v<mk::HTTPExecutor, mk::Executor<mk::TCPCheck, mk::HTTPCheck>>);
  const test::Port port, other;
  const auto tag = mark();
  const mk::HTTPCheck check{port.url()};
  SUBCASE("alone") {
    mk::Executor server{serve(port, "ok", "delay=100", tag), check, ample};
    static_assert(std::is_same_v<decltype(server), mk::Executor<mk::HTTPCheck, mk::TimeoutBudget>>);
    server.start();
    CHECK(test::http_get(port.number(), "/") == 200);
    server.stop();
  }
  SUBCASE("with the TCP check that is derived from it") {
    mk::HTTPExecutor server{serve(port, "ok", "delay=100", tag), check, ample};
    server.start();
    CHECK(test::http_get(port.number(), "/") == 200);
    server.stop();
  }
  SUBCASE("with a TCP check of another port") {
    mk::HTTPExecutor server{mk::Shell{line(serve(port, "ok", tag)) + " & exec " +
                                      line(helper("listen", "127.0.0.1", other.str(), tag))},
                            mk::TCPCheck{"127.0.0.1", other.number()}, check, ample};
    server.start();
    CHECK(test::http_get(port.number(), "/") == 200);
    CHECK(test::connects("127.0.0.1", other.number()));
    server.stop();
  }
  CHECK(test::processes_matching(tag) == 0);
}

TEST_CASE("every form of a host") {
  const std::pair<std::string, std::string> served_and_asked[] = {
      {"127.0.0.1", "127.0.0.1"}, {"127.0.0.1", "localhost"}, {"::1", "::1"}, {"::1", "localhost"}};
  for (const auto& [served, asked] : served_and_asked) {
    if (served == "::1" && !has_ipv6()) continue;
    CAPTURE(served);
    CAPTURE(asked);
    const test::Port port;
    const auto tag = mark();
    mk::HTTPExecutor server{
        helper("serve", served, port.str(), "echo",
               "host=" + test::url_host(asked) + ':' + port.str(), "delay=50", tag),
        mk::HTTPCheck{port.url("/", asked)}, ample};
    server.start();
    CHECK(server.running());
    server.stop();
    CHECK(test::processes_matching(tag) == 0);
  }
}

// What is sent ------------------------------------------------------------------------------------

namespace {

/// Runs a server that answers 200 only to a request as `expected` says, and hands back all that it
/// was sent.
template <class... Expected>
std::string sent(const test::Port& port, const mk::HTTPCheck& check, Expected... expected) {
  const test::TempDir dir;
  const auto log = dir / "log";
  mk::HTTPExecutor server{serve(port, "echo", "log=" + log, expected...), check,
                          mk::TimeoutBudget{.start = 5s}};
  CHECK_NOTHROW(server.start());
  return test::slurp(log);
}

}  // namespace

TEST_CASE("the request: a plain one") {
  const test::Port port;
  const auto request = sent(port, {port.url()}, "method=HEAD", "path=/",
                            "body=", "host=127.0.0.1:" + port.str(), "header=Connection: close");
  CHECK(request.starts_with("HEAD / HTTP/1.1\r\n"));
  CHECK(request.ends_with("\r\n\r\n"));
  CHECK_FALSE(contains(request, "Content-"));
}

TEST_CASE("the request: method, path, query and headers") {
  const test::Port port;
  const auto target = "/a/b%20c;d?e=f&g=%2Fh&i[]=j?k/l";
  const auto request = sent(port,
                            {.url = port.url(target) + "#fragment",
                             .method = "PURGE",
                             .headers = {{"X-Test", "1"},
                                         {"x-two", "a b, c"},
                                         {"accept", "text/plain"},
                                         {"X-Empty", ""}}},
                            "method=PURGE", std::string{"path="} + target, "header=X-Test: 1",
                            "header=X-Two: a b, c", "header=Accept: text/plain");
  CHECK(count(request, "PURGE ") == 1);
  CHECK(contains(request, "\r\nX-Empty: \r\n"));
  CHECK_FALSE(contains(request, "*/*"));
  CHECK_FALSE(contains(request, "fragment"));
}

TEST_CASE("the request: a query where there is no path") {
  const test::Port port;
  sent(port, {"http://127.0.0.1:" + port.str() + "?a=b"}, "path=/?a=b");
  sent(port, {"HTTP://127.0.0.1:" + port.str()}, "path=/");
}

TEST_CASE("the request: a Host of one's own") {
  const test::Port port;
  const auto request =
      sent(port, {.url = port.url(), .headers = {{"HOST", "example.test"}}}, "host=example.test");
  CHECK(count(request, "example.test") == 1);
  CHECK_FALSE(contains(request, "Host: 127"));
}

TEST_CASE("the request: a form") {
  const test::Port port;
  sent(port, {.url = port.url(), .method = "POST", .payload = {{"key", "hole"}}}, "method=POST",
       "body=key=hole", "header=Content-Type: application/x-www-form-urlencoded",
       "header=Content-Length: 8");
  sent(port,
       {.url = port.url(),
        .method = "PUT",
        .payload = {{"a b", "c&d=e/f+g"}, {"\xc3\xa9", "~*-._"}, {"empty", ""}}},
       "method=PUT", "body=a+b=c%26d%3De%2Ff%2Bg&%C3%A9=%7E*-._&empty=");
}

TEST_CASE("the request: a text") {
  const test::Port port;
  const std::string json = R"({"key": "hole"})";
  sent(port, {.url = port.url(), .method = "POST", .payload = json}, "body=" + json,
       "header=Content-Length: 15", "header=Content-Type: text/plain; charset=utf-8");
  const auto request = sent(port,
                            {.url = port.url(),
                             .method = "POST",
                             .payload = json,
                             .headers = {{"content-type", "application/json"}}},
                            "body=" + json, "header=Content-Type: application/json");
  CHECK_FALSE(contains(request, "text/plain"));
  // Larger than the buffers of a connection.
  const std::string large(100'000, 'x');
  CHECK(sent(port, {.url = port.url(), .method = "POST", .payload = large}, "body=" + large)
            .ends_with("\r\n\r\n" + large));
}

TEST_CASE("the request: a method that has a body says so when there is none") {
  // RFC 9110, 8.6: servers may answer 411 to a POST that has no Content-Length.
  const test::Port port;
  sent(port, {.url = port.url(), .method = "POST"}, "body=", "header=Content-Length: 0");
  sent(port, {.url = port.url(), .method = "POST", .payload = ""},
       "body=", "header=Content-Length: 0");
}

// What counts as ready ----------------------------------------------------------------------------

TEST_CASE("a status is a number or an expression for the whole code") {
  const auto ready = [](int status, const mk::StatusPattern& expected, const std::string& method) {
    const test::Port port;
    mk::HTTPExecutor server{serve(port, "status", "status=" + std::to_string(status)),
                            mk::HTTPCheck{.url = port.url(), .status = expected, .method = method},
                            mk::TimeoutBudget{.start = 20s}};
    server.start();
    return server.running();
  };
  CHECK(ready(200, 200, "GET"));
  CHECK(ready(204, 204, "GET"));
  CHECK(ready(204, "20.", "HEAD"));
  CHECK(ready(304, "30[24]", "GET"));
  CHECK(ready(503, "[^2]\\d\\d", "HEAD"));
  CHECK(ready(101, 101, "GET"));

  const auto not_ready = [](int status, const mk::StatusPattern& expected) {
    const test::Port port;
    mk::HTTPExecutor server{serve(port, "status", "status=" + std::to_string(status)),
                            mk::HTTPCheck{.url = port.url(), .status = expected},
                            mk::TimeoutBudget{.start = 400ms}};
    check_timeout(
        400ms, [&] { server.start(); },
        [&](const std::string& message) {
          return contains(message, "last answer: HTTP " + std::to_string(status));
        });
  };
  not_ready(200, "20|404");
  not_ready(204, 200);
  not_ready(302, "2\\d\\d");  // a redirect is not followed

  for (const std::string pattern : {"20", "2", "", "2000", "abc", "099", "(", "[2", "*"}) {
    CAPTURE(pattern);
    CHECK_THROWS_AS(mk::StatusPattern{pattern}, std::invalid_argument);
  }
  for (const int code : {0, 20, 99, 1000, -200}) {
    CAPTURE(code);
    CHECK_THROWS_AS(mk::StatusPattern{code}, std::invalid_argument);
  }
  CHECK(mk::StatusPattern{"(2|4)\\d\\d"}.matches(404));
  CHECK_FALSE(mk::StatusPattern{"(2|4)\\d\\d"}.matches(304));
  CHECK_FALSE(mk::StatusPattern{"20|404"}.matches(200));
}

TEST_CASE("wrong arguments are refused before anything runs") {
  for (const std::string url : {"",
                                "127.0.0.1",
                                "127.0.0.1:80",
                                "http://",
                                "http:///path",
                                "http://:80/",
                                "ftp://host/",
                                "https://127.0.0.1/",
                                "HTTPS://127.0.0.1/",
                                "http://user@127.0.0.1/",
                                "http://user:secret@127.0.0.1/",
                                "http://127.0.0.1:0/",
                                "http://127.0.0.1:65536/",
                                "http://127.0.0.1:99999999999999999999/",
                                "http://127.0.0.1:8o/",
                                "http://127.0.0.1:-1/",
                                "http://127.0.0.1:+80/",
                                "http://::1/",
                                "http://[::1/",
                                "http://[127.0.0.1]/",
                                "http://[]/",
                                "http://[::1]x/",
                                "http://[::1]80/",
                                "http://a b/",
                                "http://127.0.0.1/a b",
                                "http://127.0.0.1/\r\nX-Evil:1",
                                "http://127.0.0.1/\x7f",
                                "http:/127.0.0.1/"}) {
    CAPTURE(url);
    CHECK_THROWS_AS(mk::URL{url}, std::invalid_argument);
  }
  for (const std::string method : {"", "GE T", "GET\r\n", "G:T", "G\xc3\xa9T"}) {
    CAPTURE(method);
    CHECK_THROWS_AS(mk::Method{method}, std::invalid_argument);
  }
  const mk::Headers::Field fields[] = {{"", "1"},
                                       {"X Test", "1"},
                                       {"X-Test:", "1"},
                                       {"X-Test", "a\r\n"},
                                       {"X-Test", "a\nb"},
                                       {"X\r\nY", "1"},
                                       {"X-Test", std::string(1, '\0')}};
  for (const auto& field : fields) {
    CAPTURE(field.first);
    CAPTURE(field.second);
    CHECK_THROWS_AS(mk::Headers{field}, std::invalid_argument);
  }
  CHECK_THROWS_WITH_AS(mk::URL{"https://127.0.0.1/"},
                       "the URL 'https://127.0.0.1/' asks for TLS, which is not supported",
                       std::invalid_argument);
}

TEST_CASE("the parts of a URL") {
  const mk::URL url{"http://[::1]:8080/a/b?c=d&e#f"};
  CHECK(url.host().str() == "::1");
  CHECK(url.port() == 8080);
  CHECK(url.target() == "/a/b?c=d&e");
  CHECK(url.text() == "http://[::1]:8080/a/b?c=d&e#f");
  CHECK(mk::URL{"http://[::1]"}.port() == 80);
  CHECK(mk::URL{"http://localhost#top"}.target() == "/");
  CHECK(mk::URL{"http://localhost/?a:b@c"}.host().str() == "localhost");
}
