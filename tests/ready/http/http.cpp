// SPDX-License-Identifier: BSL-1.0
#include <unistd.h>
#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include <mirakuru.hpp>

#include "errors.hpp"
#include "files.hpp"
#include "hostile.hpp"
#include "net.hpp"
#include "process.hpp"
#include "time.hpp"
#include "words.hpp"

namespace mk = mirakuru;
using namespace std::chrono_literals;
using test::check_timeout;
using test::contains;
using test::count;
using test::has_ipv6;
using test::helper;
using test::line;
using test::mark;
using test::message_of;
using test::python_server;
using test::text_of;
using test::timeless;

namespace {

/// A start budget for services that become ready: no test waits for its end.
constexpr auto ample = mk::TimeoutBudget{.start = 20s};

/// Words that run the helper program as a server on 127.0.0.1.
template <class... Words>
std::vector<std::string> serve(const test::Port& port, Words... words) {
  return helper("serve", "127.0.0.1", port.str(), words...);
}

/// The peak of the memory of this process in bytes, since forget_peak() where the kernel supports
/// it.
long peak_memory() { return test::status_of(::getpid(), "VmHWM") * 1024; }

void forget_peak() { std::ofstream{"/proc/self/clear_refs"} << '5'; }

}  // namespace

// The original's scenarios ------------------------------------------------------------------------

TEST_CASE("HTTPCheck: start() returns when a request succeeds [scenario 27]") {
  const test::Port port;
  const test::TempDir dir;
  const auto words = std::vector<std::string>{
      "bash", "-c", "sleep 0.3 && exec " + line(python_server(port.str(), dir.path()))};
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

TEST_CASE("HTTPCheck: the server answers in the scope, not before or after [scenario 28]") {
  const test::Port port;
  const test::TempDir dir;
  CHECK(test::http_get(port.number(), "/") == 0);
  {
    auto server =
        mk::HTTPExecutor{mk::Shell{line(python_server(port.str(), dir.path())) + " && true"},
                         mk::HTTPCheck{port.url()}, ample}
            .start();
    CHECK(server.running());
    CHECK(test::http_get(port.number(), "/") == 200);
  }
  CHECK(test::http_get(port.number(), "/") == 0);
  CHECK(test::processes_matching(dir.path()) == 0);
}

TEST_CASE("HTTPCheck: each method waits for a slow server [scenario 29]") {
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

TEST_CASE("HTTPCheck: a payload is sent to the server [scenario 30]") {
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

TEST_CASE("HTTPCheck: each method times out at a server that is too slow [scenario 31]") {
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

TEST_CASE("HTTPCheck: a second executor on the port is refused [scenario 32]") {
  const test::Port port;
  const test::TempDir dir;
  mk::HTTPExecutor first{python_server(port.str(), dir.path()), mk::HTTPCheck{port.url()}, ample};
  mk::HTTPExecutor second{python_server(port.str(), dir.path()), mk::HTTPCheck{port.url()}, ample};
  first.start();
  const auto message = message_of<mk::AlreadyRunning>([&] { second.start(); });
  CHECK(contains(message, "seems to be already running"));
  CHECK(contains(message, "held by pid " + std::to_string(first.pid()) + " ("));
  CHECK_FALSE(second.running());
  CHECK_THROWS_AS(
      mk::HTTPExecutor(python_server(port.str(), dir.path()), mk::HTTPCheck{port.url()}).start(),
      mk::AlreadyRunning);
  mk::Executor alone{python_server(port.str(), dir.path()), mk::HTTPCheck{port.url()}};
  CHECK(contains(message_of<mk::AlreadyRunning>([&] { alone.start(); }),
                 "held by pid " + std::to_string(first.pid()) + " ("));
  CHECK(test::commands_matching(dir.path()) == 1);
  first.stop();
  CHECK(test::processes_matching(dir.path()) == 0);
}

TEST_CASE("HTTPCheck: the port is 80 where the URL has none [scenario 33]") {
  const mk::HTTPCheck check{"http://127.0.0.1/status"};
  CHECK(check.url.port() == 80);
  const mk::TCPCheck derived = check;
  CHECK(derived.port == 80);
  CHECK(derived.host.str() == "127.0.0.1");
  CHECK(mk::URL{"http://127.0.0.1:/status"}.port() == 80);

  // Both must be free: the check would reach a server on the other address.
  if (!test::Endpoint{"0.0.0.0", 80}.can_bind() || !test::Endpoint{"::", 80}.can_bind()) {
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

TEST_CASE("HTTPCheck: only the given status counts [scenario 34]") {
  const test::Port port;
  const test::TempDir dir;
  const auto url = port.url("/badpath");

  const mk::HTTPCheck wrong[] = {{.url = url}, {.url = url, .status = 200}};
  for (const auto& check : wrong) {
    // On a busy machine the budget may end before the server listens.
    std::string message;
    for (auto budget = 1s; budget < 20s && !contains(message, "last answer: HTTP 404");
         budget *= 2) {
      mk::HTTPExecutor server{python_server(port.str(), dir.path()), check,
                              mk::TimeoutBudget{.start = budget}};
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
    mk::HTTPExecutor server{python_server(port.str(), dir.path()), check, ample};
    server.start();
    CHECK(server.running());
    server.stop();
  }
  CHECK(test::processes_matching(dir.path()) == 0);
}

// Real servers ------------------------------------------------------------------------------------

TEST_CASE("HTTPCheck: nginx starts and stops") {
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
  std::vector<pid_t> tree;  // the first worker answers before the second exists
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

TEST_CASE("HTTPCheck: Redis is ready by TCP, and its answer is not HTTP") {
  const test::Port port;
  const test::TempDir dir;
  const mk::Command command{.argv = test::redis_server(port.str(), dir.path())};
  mk::TCPExecutor redis{command, mk::TCPCheck{"127.0.0.1", port.number()}, ample};
  if (!test::starts_if_installed(redis)) return;
  CHECK(redis.running());
  redis.stop();
  CHECK(redis.exit_code() == 0);

  mk::HTTPExecutor no_http_server{command, mk::HTTPCheck{port.url()},
                                  mk::TimeoutBudget{.start = 1s}};
  // It closes the connection on a Host header: its answer may be lost.
  check_timeout(
      1s, [&] { no_http_server.start(); },
      [](const std::string& message) {
        return contains(message, "last answer: not an HTTP answer") ||
               contains(message, "last answer: closed without an HTTP answer") ||
               contains(message, "last answer: connection reset by peer");
      });
  CHECK_FALSE(test::connects("127.0.0.1", port.number()));
}

TEST_CASE("HTTPCheck: an answer that is not the one waited for has a hint") {
  struct Case {
    std::string answer, reason;
  };
  const Case cases[] = {
      {"HTTP/1.1 501 No\\r\\n\\r\\n", "HTTP 501 (to GET, as HEAD was refused)"},
      {"HTTP/1.1 405 No\\r\\n\\r\\n", "HTTP 405 (to GET, as HEAD was refused)"},
      {"HTTP/1.1 301 M\\r\\nLocation: /x/\\r\\n\\r\\n",
       "HTTP 301 to /x/ (redirects are not followed)"},
      {"HTTP/1.1 404 No\\r\\nLocation: /x/\\r\\n\\r\\n", "HTTP 404"},
      {"HTTP/1.1 400 Bad\\r\\n\\r\\n", "HTTP 400 (does the port speak TLS?)"},
      {"\\x15\\x03\\x01\\x00\\x02\\x02\\x46",
       "(the port speaks TLS, as it seems; take HTTPSCheck)"},
      {"", "closed without an HTTP answer (does the port speak TLS?)"},
  };
  for (const auto& [answer, reason] : cases) {
    CAPTURE(reason);
    const test::Port port;
    const std::string program = "import socket\ns = socket.create_server(('127.0.0.1', " +
                                port.str() +
                                "))\nwhile True:\n c = s.accept()[0]\n c.recv(4096)\n c.send(b'" +
                                answer + "')\n c.close()\n";
    mk::Executor server{
        {"python3", "-c", program}, mk::TCPCheck{"127.0.0.1", port.number()}, test::in_time};
    const auto wait = [&](std::chrono::milliseconds limit) {
      server.start().wait_for(mk::HTTPCheck{port.url()}, limit);
    };
    test::message_of_timeout(1s, wait, reason + '\n');
  }
}

// Servers that break the rules --------------------------------------------------------------------

TEST_CASE("HTTPCheck: no server makes a start last longer than its budget [defect 3]") {
  for (const auto& [behaviour, reasons] : test::hostile_servers()) {
    CAPTURE(behaviour);
    const test::Port port;
    const auto tag = mark();
    mk::HTTPExecutor server{serve(port, behaviour, tag), mk::HTTPCheck{port.url()},
                            mk::TimeoutBudget{.start = 700ms}};
    // A single attempt may take a second: the deadline has to end it.
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

TEST_CASE("HTTPCheck: odd answers count as answers") {
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

TEST_CASE("HTTPCheck: a first request without an answer costs one attempt") {
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

TEST_CASE("HTTPCheck: an answer in single bytes arrives within one attempt") {
  const test::Port port;
  const test::TempDir dir;
  mk::HTTPExecutor server{serve(port, "drip", "interval=5", "log=" + (dir / "log")),
                          mk::HTTPCheck{port.url()}, ample};
  server.start();
  CHECK(server.running());
  CHECK(count(test::slurp(dir / "log"), "HEAD / ") == 1);
}

TEST_CASE("HTTPCheck: the message tells of the attempt at the deadline, not of earlier refusals") {
  const test::Port port;
  mk::Executor server{serve(port, "mute", "delay=100"), mk::HTTPCheck{port.url()},
                      mk::TimeoutBudget{.start = 800ms}};
  check_timeout(
      800ms, [&] { server.start(); },
      [&](const std::string& message) {
        return timeless(timeless(message, ", for "), "no answer within ") ==
               text_of({"timed out after 800 ms",
                        "  command: " + line(serve(port, "mute", "delay=100")), "  started at: L",
                        "  waited for: HEAD " + port.url() + ", for T",
                        "  last answer: no answer within T", "  note: it has printed nothing"});
      });
}

TEST_CASE("HTTPCheck: the whole message of a wrong status") {
  const test::Port port;
  const auto words = serve(port, "status", "status=503", "say=listening\\n");
  mk::HTTPExecutor server{words, mk::HTTPCheck{.url = port.url("/a?b=c"), .method = "GET"},
                          mk::TimeoutBudget{.start = 500ms}};
  check_timeout(
      500ms, [&] { server.start(); },
      [&](const std::string& message) {
        return timeless(message, ", for ") ==
               text_of({"timed out after 500 ms", "  command: " + line(words), "  started at: L",
                        "  waited for: GET " + port.url("/a?b=c") + ", for T",
                        "  last answer: HTTP 503",
                        "  the end of standard output:", "    listening"});
      });
}

TEST_CASE("HTTPCheck: the memory for an answer is bounded") {
  const auto ask = [](const std::string& behaviour) {
    const test::Port port;
    mk::HTTPExecutor server{serve(port, behaviour), mk::HTTPCheck{port.url()},
                            mk::TimeoutBudget{.start = 400ms}};
    try {
      server.start();
    } catch (const mk::TimeoutExpired&) {
    }
  };
  ask("ok");  // this makes the allocations that happen once
  forget_peak();
  const long before = peak_memory();
  for (const std::string behaviour : {"endless-headers", "endless-body", "huge-header"})
    ask(behaviour);
  const long grown = peak_memory() - before;
  CAPTURE(grown);
  CHECK(before > 0);
  CHECK((test::sanitized || grown < 2 * 1024 * 1024));
}

TEST_CASE("HTTPCheck: localhost is ready at ::1 while 127.0.0.1 stays mute") {
  if (!has_ipv6()) return;
  const test::Port port;
  const auto tag = mark();
  mk::HTTPExecutor server{
      mk::Shell{line(serve(port, "mute", tag)) + " & exec " +
                line(helper("serve", "::1", port.str(), "ok", "v6only=1", "delay=100", tag))},
      mk::HTTPCheck{port.url("/", "localhost")}, ample};
  CHECK_NOTHROW(server.start());
  CHECK(server.running());
  server.stop();
  CHECK(test::processes_matching(tag) == 0);
}

TEST_CASE("HTTPCheck: a foreign answer does not count after the end of the command [defect 6]") {
  const test::Port port;
  const test::TempDir dir;
  const auto log = dir / "log";
  // It takes the request; its answer comes long after the command has ended.
  mk::TCPExecutor stranger{serve(port, "continue", "interval=10000", "log=" + log),
                           mk::TCPCheck{"127.0.0.1", port.number()}, ample};
  const auto appears = [&](const mk::Process&) {
    stranger.start();
    return true;
  };
  mk::Executor server{mk::Shell{"while ! [ -s " + log + " ]; do sleep 0.01; done"}, appears,
                      mk::HTTPCheck{.url = port.url(), .owned = false}, ample};
  const test::Elapsed elapsed;
  test::check_ends_before_ready(server);
  CHECK(elapsed < 8s);
  CHECK_FALSE(server.running());
}

// Compositions ------------------------------------------------------------------------------------

TEST_CASE("HTTPCheck: it works alone, with its TCP check and with one of another port") {
  static_assert(std::is_same_v<mk::HTTPExecutor, mk::Executor<mk::TCPCheck, mk::HTTPCheck>>);
  const test::Port port, other;
  const auto tag = mark();
  const mk::HTTPCheck check{port.url()};
  SUBCASE("the HTTP check is alone") {
    mk::Executor server{serve(port, "ok", "delay=100", tag), check, ample};
    static_assert(std::is_same_v<decltype(server), mk::Executor<mk::HTTPCheck, mk::TimeoutBudget>>);
    server.start();
    CHECK(test::http_get(port.number(), "/") == 200);
    server.stop();
  }
  SUBCASE("the TCP check is derived from it") {
    mk::HTTPExecutor server{serve(port, "ok", "delay=100", tag), check, ample};
    server.start();
    CHECK(test::http_get(port.number(), "/") == 200);
    server.stop();
  }
  SUBCASE("the TCP check has another port") {
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

TEST_CASE("HTTPCheck: every form of a host is ready") {
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

// Requests ----------------------------------------------------------------------------------------

namespace {

/// Runs a server that answers 200 only to the expected request; returns the whole request.
template <class... Expected>
std::string sent(const test::Port& port, const mk::HTTPCheck& check, Expected... expected) {
  const test::TempDir dir;
  const auto log = dir / "log";
  mk::HTTPExecutor server{serve(port, "echo", "log=" + log, expected...), check, ample};
  CHECK_NOTHROW(server.start());
  return test::slurp(log);
}

}  // namespace

TEST_CASE("HTTPCheck: a plain request") {
  const test::Port port;
  const auto request = sent(port, {port.url()}, "method=HEAD", "path=/",
                            "body=", "host=127.0.0.1:" + port.str(), "header=Connection: close");
  CHECK(request.starts_with("HEAD / HTTP/1.1\r\n"));
  CHECK(request.ends_with("\r\n\r\n"));
  CHECK_FALSE(contains(request, "Content-"));
}

TEST_CASE("HTTPCheck: a request has method, path, query and headers [difference 5]") {
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

TEST_CASE("HTTPCheck: a request may have a query without a path") {
  const test::Port port;
  sent(port, {"http://127.0.0.1:" + port.str() + "?a=b"}, "path=/?a=b");
  sent(port, {"HTTP://127.0.0.1:" + port.str()}, "path=/");
}

TEST_CASE("HTTPCheck: a request may have a Host header of the user") {
  const test::Port port;
  const auto request =
      sent(port, {.url = port.url(), .headers = {{"HOST", "example.test"}}}, "host=example.test");
  CHECK(count(request, "example.test") == 1);
  CHECK_FALSE(contains(request, "Host: 127"));
}

TEST_CASE("HTTPCheck: a request sends a form") {
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

TEST_CASE("HTTPCheck: a request sends a text") {
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

TEST_CASE("HTTPCheck: a method with a body sends Content-Length without one, too") {
  // RFC 9110, 8.6: servers may answer 411 to a POST that has no Content-Length.
  const test::Port port;
  sent(port, {.url = port.url(), .method = "POST"}, "body=", "header=Content-Length: 0");
  sent(port, {.url = port.url(), .method = "POST", .payload = ""},
       "body=", "header=Content-Length: 0");
}

// Answers that count as ready ---------------------------------------------------------------------

TEST_CASE("HTTPCheck: a status is a number or an expression for the whole code") {
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

TEST_CASE("HTTPCheck: wrong arguments are refused before anything runs") {
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
  CHECK_THROWS_WITH_AS(
      mk::URL{"https://127.0.0.1/"},
      "the URL 'https://127.0.0.1/' asks for TLS; take HTTPSCheck of <mirakuru/tls.hpp>",
      std::invalid_argument);
}

TEST_CASE("URL: its parts are host, port and target") {
  const mk::URL url{"http://[::1]:8080/a/b?c=d&e#f"};
  CHECK(url.host().str() == "::1");
  CHECK(url.port() == 8080);
  CHECK(url.target() == "/a/b?c=d&e");
  CHECK(url.text() == "http://[::1]:8080/a/b?c=d&e#f");
  CHECK(mk::URL{"http://[::1]"}.port() == 80);
  const mk::URL there{mk::spawned_host, 81, "/a?b"};
  CHECK(there.host().is_spawned());
  CHECK(there.port() == 81);
  CHECK(there.target() == "/a?b");
  CHECK(there.text() == "http://the spawned host:81/a?b");
  CHECK_THROWS_AS((mk::URL{mk::spawned_host, 81, "a"}), std::invalid_argument);
  CHECK_THROWS_AS((mk::URL{mk::spawned_host, 81, "/a b"}), std::invalid_argument);
  CHECK(mk::URL{"http://localhost#top"}.target() == "/");
  CHECK(mk::URL{"http://localhost/?a:b@c"}.host().str() == "localhost");
}

// The body, the socket, and what may be there -----------------------------------------------------

namespace {

/// A server that answers each request with these bytes, given as in Python.
std::vector<std::string> answering(const test::Port& port, const std::string& code) {
  return {"python3", "-u", "-c",
          "import socket, time\nkept = []\ns = socket.create_server(('127.0.0.1', " + port.str() +
              "))\nwhile True:\n c = s.accept()[0]\n r = c.recv(4096)\n try:\n  " + code +
              "\n except OSError: pass\n c.close()\n"};
}

}  // namespace

TEST_CASE("HTTPCheck: a line of the body has to match") {
  const test::Port port;
  mk::Executor server{
      answering(port,
                "n = globals().get('n', 0) + 1; c.send(b'HTTP/1.1 200 OK\\r\\nConnection: "
                "close\\r\\n\\r\\n{\"status\": \"' + (b'UP' if n > 2 else b'DOWN') + b'\"}')"),
      mk::HTTPCheck{.url = port.url("/health"), .body = "\"status\":\\s*\"UP\""}, ample};
  server.start();
  CHECK(server.timeline().checks.at(0).attempts > 2);
  const auto wait = [&](std::chrono::milliseconds limit) {
    server.start().wait_for(mk::HTTPCheck{.url = port.url("/health"), .body = "BROKEN"}, limit);
  };
  const auto message = test::message_of_timeout(
      300ms, wait,
      "last answer: HTTP 200, but its body has no line that matches: {\"status\": \"UP\"}\n");
  CHECK(contains(message, "waited for: GET " + port.url("/health") + " with a line with 'BROKEN'"));
}

TEST_CASE("HTTPCheck: a callable for the body begins anew with each answer") {
  const test::Port port;
  mk::Executor server{answering(port, "c.send(b'HTTP/1.1 200 OK\\r\\n\\r\\none\\ntwo\\n')"),
                      mk::TCPCheck{"127.0.0.1", port.number()}, ample};
  server.start();
  const auto is_line = [&](int number) {
    return mk::HTTPCheck{.url = port.url(), .body = [number, line = 0](std::string_view) mutable {
                           return ++line == number;
                         }};
  };
  CHECK_NOTHROW(server.wait_for(is_line(2), 10s));
  CHECK_THROWS_AS(server.wait_for(is_line(5), 700ms), mk::TimeoutExpired);
}

TEST_CASE("HTTPCheck: a body behind headers that break the rules is none") {
  const test::Port port;
  mk::Executor server{answering(port, "c.send(b'HTTP/1.1 200 OK\\nContent-Length: 5\\n\\nready')"),
                      mk::TCPCheck{"127.0.0.1", port.number()}, ample};
  server.start();
  const auto wait = [&](std::chrono::milliseconds limit) {
    server.start().wait_for(mk::HTTPCheck{.url = port.url(), .body = "ready"}, limit);
  };
  test::message_of_timeout(300ms, wait, "last answer: HTTP 200, but its headers break the rules");
}

TEST_CASE("HTTPCheck: a body that streams matches as it comes, and never outlives the deadline") {
  const test::Port port;
  const std::string stream =
      "c.send(b'HTTP/1.1 200 OK\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\n')\n  for i in "
      "range(1000): "
      "c.send(b'9\\r\\ndata: %03d\\r\\n' % i) if i % 2 else c.send(b'1\\r\\n\\n\\r\\n'); "
      "time.sleep(0.01)";
  mk::Executor server{answering(port, stream),
                      mk::HTTPCheck{.url = port.url(), .body = "^data: 011$"}, ample};
  server.start();
  mk::Executor never{answering(port, stream),
                     mk::AnyOf{mk::HTTPCheck{.url = port.url(), .body = "never"},
                               mk::Within{10s, mk::HTTPCheck{.url = port.url(), .body = "nor"}}},
                     mk::TimeoutBudget{.start = 700ms}};
  server.stop();
  check_timeout(700ms, [&] { never.start(); }, [](const std::string&) { return true; });
}

TEST_CASE("HTTPCheck: the begin of a body that goes on is the reason") {
  const test::Port port;
  mk::Executor server{answering(port,
                                "c.send(b'HTTP/1.1 200 OK\\r\\n\\r\\ndata: wait\\n{\"status\": "
                                "\"UP\"}'); kept.append(c.dup())"),
                      mk::TCPCheck{"127.0.0.1", port.number()}, ample};
  server.start();
  const auto wait = [&](std::chrono::milliseconds limit) {
    server.start().wait_for(mk::HTTPCheck{.url = port.url(), .body = "^ready"}, limit);
  };
  const auto message = test::message_of_timeout(300ms, wait, "last answer: HTTP 200, but so far");
  CHECK(contains(message,
                 "last answer: HTTP 200, but so far its body has no line that matches: data: "
                 "wait\\n{\"status\": \"UP\"}\n"));
}

TEST_CASE("HTTPCheck: an unfinished last line counts at the end of the attempt") {
  const test::Port port;
  // The connection stays open, and a later byte could undo the match.
  mk::Executor server{
      answering(port, "c.send(b'HTTP/1.1 200 OK\\r\\n\\r\\nready'); kept.append(c.dup())"),
      mk::HTTPCheck{.url = port.url(), .body = "^ready$"}, ample};
  CHECK(server.start().running());
}

TEST_CASE("HTTPCheck: an endless body costs one attempt at most") {
  const test::Port port;
  mk::Executor server{serve(port, "endless-body"),
                      mk::HTTPCheck{.url = port.url(), .body = "needle"},
                      mk::TimeoutBudget{.start = 700ms}};
  check_timeout(
      700ms, [&] { server.start(); },
      [](const std::string& message) {
        return contains(message,
                        "HTTP 200, but its body has no line that matches in its first MiB: ");
      });
}

TEST_CASE("HTTPCheck: GET follows a HEAD that is refused, unless a method was given") {
  for (const std::string status : {"405", "501"}) {
    CAPTURE(status);
    const test::Port port;
    const auto words =
        answering(port, "c.send(b'HTTP/1.1 ' + (b'200' if r.startswith(b'GET') else b'" + status +
                            "') + b' X\\r\\n\\r\\n')");
    mk::Executor server{words, mk::StableFor{20ms, mk::HTTPCheck{port.url()}}, ample};
    CHECK_NOTHROW(server.start());
    const auto head = [&](std::chrono::milliseconds limit) {
      server.start().wait_for(mk::HTTPCheck{.url = port.url(), .method = "HEAD"}, limit);
    };
    test::message_of_timeout(200ms, head,
                             "HTTP " + status + " (the method is HEAD; try .method = \"GET\")");
    const auto other = [&](std::chrono::milliseconds limit) {
      server.start().wait_for(mk::HTTPCheck{.url = port.url(), .status = 204}, limit);
    };
    test::message_of_timeout(200ms, other, "last answer: HTTP 200 (to GET, as HEAD was refused)");
  }
}

TEST_CASE("HTTPCheck: a Unix socket takes the place of host and port") {
  const test::TempDir dir;
  const auto path = dir / "app.sock";
  const std::vector<std::string> words{
      "python3", "-c",
      "import socket, os, sys, time\ntime.sleep(0.2)\ns = socket.socket(socket.AF_UNIX)\n"
      "s.bind(sys.argv[1])\ns.listen(9)\nwhile True:\n c = s.accept()[0]\n r = c.recv(4096)\n"
      " c.send(b'HTTP/1.1 200 OK\\r\\n\\r\\n' + r.split(b'\\r\\n')[1])\n c.close()\n",
      path};
  const mk::HTTPCheck check{
      .url = "http://api.test/health", .body = "^Host: api\\.test$", .socket = path};
  mk::Executor server{words, check, ample};
  server.start();
  CHECK(server.running());
  mk::Executor second{words, check, ample};
  CHECK(contains(message_of<mk::AlreadyRunning>([&] { second.start(); }), path + " answers"));
  CHECK_THROWS_AS((mk::HTTPExecutor{words, check}), std::invalid_argument);
  CHECK_THROWS_AS(
      (server.wait_for(mk::HTTPCheck{.url = "http://h/", .method = "HEAD", .body = "x"})),
      std::invalid_argument);
}

TEST_CASE("HTTPCheck: a gateway may answer before the start") {
  const test::Port port;
  mk::Executor gateway{serve(port, "ok"), mk::HTTPCheck{port.url()}, ample};
  gateway.start();
  mk::Executor service{"sleep 300", mk::HTTPCheck{.url = port.url(), .may_be_there = true}, ample};
  CHECK_NOTHROW(service.start());
  mk::HTTPExecutor both{"sleep 300", mk::HTTPCheck{.url = port.url(), .may_be_there = true}, ample};
  CHECK_NOTHROW(both.start());
  mk::Executor other{"sleep 300", mk::HTTPCheck{port.url()}, ample};
  CHECK_THROWS_AS(other.start(), mk::AlreadyRunning);
}

TEST_CASE("HTTPCheck: port 0 is the port that the service has chosen") {
  mk::HTTPExecutor server{{"python3", "-u", "-m", "http.server", "0", "--bind", "127.0.0.1"},
                          mk::HTTPCheck{"http://127.0.0.1:0/"},
                          ample};
  server.start();
  CHECK(server.port() != 0);
  CHECK(test::http_get(server.port(), "/") == 200);
}
