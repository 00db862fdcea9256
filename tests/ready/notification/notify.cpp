// SPDX-License-Identifier: BSL-1.0
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <initializer_list>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <doctest/doctest.h>
#include <asio/bind_executor.hpp>
#include <asio/io_context.hpp>

#include <mirakuru.hpp>
#include <mirakuru/async.hpp>
#include <mirakuru/kit/run.hpp>
#include <mirakuru/laws.hpp>
#include <mirakuru/net/endpoint.hpp>

#include "errors.hpp"
#include "files.hpp"
#include "message.hpp"
#include "process.hpp"
#include "time.hpp"
#include "words.hpp"

namespace mk = mirakuru;
using namespace std::chrono_literals;
using mk::detail::NotifyNews;
using mk::detail::NotifySocket;
using test::contains;
using test::in_time;
using test::message_of;

namespace {

/// The words of a service that sends messages and stays.
template <class... Words>
std::vector<std::string> notify(Words... words) {
  return test::helper("notify", words...);
}

/// A message of this process, as a supervisor's client sends it. `given` goes along unless it is
/// -1. False with `errno` if it cannot be sent at once.
bool send_to(const std::string& name, const std::string& text, int given = -1) {
  const mk::detail::UniqueFd socket{::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
  const auto endpoint = mk::SocketPath{name}.endpoint();
  if (::connect(socket.get(), endpoint.data(), endpoint.size) != 0) return false;
  return test::send_message(socket.get(), text, given, MSG_DONTWAIT);
}

/// The value in the environment that a process was executed with; empty for none.
std::string variable_of(pid_t pid, const std::string& name) {
  const auto all = '\0' + test::slurp("/proc/" + std::to_string(pid) + "/environ");
  const auto marker = '\0' + name + '=';
  const auto at = all.find(marker);
  return at == all.npos ? "" : std::string{all.c_str() + at + marker.size()};
}

std::string socket_of(pid_t pid) { return variable_of(pid, "NOTIFY_SOCKET"); }

/// The failure in the news, "none" if there is none.
std::string failure_of(const NotifyNews& news) {
  const auto text = message_of<mk::CannotHold>([&] { (void)news.answer(); });
  return text == "nothing" ? "none" : text;
}

NotifyNews news_of(std::initializer_list<std::string_view> messages) {
  NotifyNews news;
  for (const auto message : messages) news.take(message);
  return news;
}

/// Ends a process that has left its tree.
class Leftover {
 public:
  explicit Leftover(std::string pidfile) : pidfile_{std::move(pidfile)} {}
  Leftover(const Leftover&) = delete;
  Leftover& operator=(const Leftover&) = delete;
  ~Leftover() {
    for (const pid_t pid : test::read_pids(pidfile_)) ::kill(pid, SIGKILL);
  }

 private:
  std::string pidfile_;
};

}  // namespace

// The news ---------------------------------------------------------------------------------------

TEST_CASE("NotifyNews: READY=1 is ready, and the last STATUS= is the reason until then") {
  NotifyNews news;
  CHECK_FALSE(news.answer());
  CHECK(news.answer().reason().empty());
  news.take("MAINPID=42");
  CHECK(news.answer().reason() == "its last message: 'MAINPID=42'");
  news.take("STATUS=loading 1");
  news.take("FDSTORE=1\nSTATUS=loading 2\nX=1");
  CHECK_FALSE(news.answer());
  CHECK(news.answer().reason() == "loading 2");
  for (const std::string_view other : {"READY=0", "READY", "READY=11", "ready=1", " READY=1", "",
                                       "=", "\n\n", "XREADY=1", "STATUS=READY=1"})
    news.take(other);
  CHECK_FALSE(news.answer());
  news.take("STATUS=serving\nREADY=1\nMAINPID=7\n");
  CHECK(news.answer());
}

TEST_CASE("NotifyNews: the NUL behind a literal is no part of a message") {
  using namespace std::string_view_literals;
  CHECK(news_of({"READY=1\0"sv}).answer());
  CHECK_FALSE(news_of({"READY=1\0READY=1"sv}).ready);
}

TEST_CASE("NotifyNews: ERRNO= and STOPPING=1 end it, unless READY=1 came before") {
  CHECK(failure_of(news_of({"STATUS=reads its file", "ERRNO=2"})) ==
        "the service has sent ERRNO=2 (no such file or directory); its status: reads its file");
  CHECK(failure_of(news_of({"ERRNO=13\nSTATUS=all is lost"})) ==
        "the service has sent ERRNO=13 (permission denied); its status: all is lost");
  CHECK(failure_of(news_of({"STOPPING=1"})) == "the service has sent STOPPING=1");
  CHECK(failure_of(news_of({"STOPPING=0", "ERRNO=0", "ERRNO=", "ERRNO=-5", "ERRNO=x"})) == "none");
  CHECK(news_of({"READY=1\nERRNO=2\nSTOPPING=1"}).answer());
  CHECK(
      contains(failure_of(news_of({"ERRNO=99999999999999999999", "ERRNO=4095"})), "ERRNO=4095 ("));
}

TEST_CASE("NotifyNews: texts are printable and bounded, and a cut line decides nothing") {
  CHECK(news_of({"STATUS=\x1b[31mred\t\x01"}).answer().reason() == "\\x1b[31mred\\t\\x01");
  const auto reason = news_of({"STATUS=" + std::string(10'000, 'x')}).answer().reason();
  CHECK(reason.size() < 400);
  CHECK(reason.ends_with("xxx [...]"));
  NotifyNews news;
  news.take("ERRNO=1", true);
  news.take("STOPPING=1", true);
  news.take("READY=1", true);
  CHECK_FALSE(news.answer());
  news.take("READY=1\nSTATUS=cut he", true);
  CHECK(news.answer());
  CHECK(news.status == "cut he");
}

TEST_CASE("NotifyNews: the hint tells what has come instead") {
  CHECK(contains(NotifyNews{}.hint(), "nothing was sent to NOTIFY_SOCKET; the service must "));
  CHECK(news_of({"STATUS=busy"}).hint().empty());
  CHECK(contains(news_of({"EXTEND_TIMEOUT_USEC=5000000"}).hint(), "has no effect here"));
}

// The socket -------------------------------------------------------------------------------------

TEST_CASE("NotifySocket: it takes messages with their sender, and closes the descriptors in them") {
  NotifySocket socket;
  CHECK_FALSE(socket.receive());
  CHECK(socket.name().starts_with("@mirakuru/"));
  CHECK(socket.name() != NotifySocket{}.name());
  CHECK((::fcntl(socket.fd(), F_GETFD) & FD_CLOEXEC) != 0);
  const auto before = test::open_fds();
  for (int i = 0; i < 100; ++i) {
    auto pipe = mk::detail::make_pipe();
    CHECK(send_to(socket.name(), "BARRIER=1", pipe.writing.get()));
    pipe.writing.reset();
    CHECK(socket.receive());
    CHECK(socket.message() == "BARRIER=1");
    CHECK(socket.sender() == ::getpid());
    CHECK_FALSE(socket.cut());
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    CHECK(socket.sent() <= now);
    CHECK(socket.sent() > now - 10s);
    char byte = 0;
    CHECK(::read(pipe.reading.get(), &byte, 1) == 0);  // the end: nobody has it open
  }
  CHECK(test::open_fds() == before);
}

TEST_CASE("NotifySocket: a message that is too long is cut") {
  NotifySocket socket;
  CHECK(send_to(socket.name(), "READY=1\n" + std::string(100'000, 'x')));
  CHECK(send_to(socket.name(), ""));
  CHECK(socket.receive());
  CHECK(socket.cut());
  CHECK(socket.message().starts_with("READY=1\nxxx"));
  CHECK(socket.receive());
  CHECK(socket.message().empty());
  CHECK_FALSE(socket.cut());
  CHECK_FALSE(socket.receive());
}

TEST_CASE("NotifySocket: muted, it drops messages, and no sender waits or fails") {
  NotifySocket socket;
  int sent = 0;
  while (sent < 100'000 && send_to(socket.name(), "X=1")) ++sent;
  CHECK(sent > 0);
  CHECK(errno == EAGAIN);  // the queue is full
  socket.mute();
  auto pipe = mk::detail::make_pipe();
  for (int i = 0; i < 2 * sent + 10; ++i)
    CHECK(send_to(socket.name(), "BARRIER=1", pipe.writing.get()));
  pipe.writing.reset();
  char byte = 0;
  CHECK(::read(pipe.reading.get(), &byte, 1) == 0);
  CHECK_FALSE(socket.receive());
  socket.unmute();
  CHECK(send_to(socket.name(), "X=2"));
  CHECK(socket.receive());
  CHECK(socket.message() == "X=2");
}

// The check --------------------------------------------------------------------------------------

TEST_CASE("NotifyCheck: READY=1 of the command, by each spawner") {
  const auto starts = [](auto... policies) {
    mk::Executor service{notify("STATUS=a", "READY=1"), mk::NotifyCheck{}, in_time, policies...};
    CHECK(service.start().running());
    CHECK(service.stop().start().running());
  };
  starts();
  starts(mk::DirectSpawner{});
  try {
    starts(mk::CgroupSpawner{});
  } catch (const mk::SpawnError& error) {
    MESSAGE("no cgroup to test with: ", error.what());
  }
}

TEST_CASE("NotifyCheck: each start has a name of its own, and the variable is in no other way") {
  mk::Executor service{notify("READY=1"), mk::NotifyCheck{}, in_time};
  const auto first = socket_of(service.start().pid());
  CHECK(first.starts_with("@mirakuru/"));
  CHECK(first.size() == 46);
  const auto second = socket_of(service.stop().start().pid());
  CHECK(second.starts_with("@mirakuru/"));
  CHECK(second != first);
  CHECK_FALSE(send_to(first, "READY=1"));
  CHECK(errno == ECONNREFUSED);
}

TEST_CASE("NotifyCheck: it keeps the laws of a check") {
  CHECK(mk::laws::check_check(mk::NotifyCheck{}, {.argv = notify("READY=1")}) ==
        mk::laws::Broken{});
}

TEST_CASE("NotifyCheck: it is ready at the message, not before") {
  mk::Executor service{notify("STATUS=a", "READY=1", "split=150"), mk::NotifyCheck{}, in_time};
  const test::Elapsed elapsed;
  service.start();
  CHECK(elapsed >= 150ms);
  CHECK(service.timeline().checks.at(0).attempts <= 4);  // it is told, and does not ask
}

TEST_CASE(
    "NotifyCheck: a descendant may send it, also one that is gone, and one in its own session") {
  const test::TempDir directory;
  const auto done = directory / "done";
  const auto send = test::line(notify("READY=1", "exit=0"));
  const auto all_done = [&done](const mk::Process&) { return test::exists(done); };
  const auto starts = [&](const std::string& line, auto... policies) {
    INFO(line);
    ::unlink(done.c_str());
    mk::Executor service{mk::Shell{line + " && touch " + done + "; exec sleep 300"}, all_done,
                         mk::NotifyCheck{}, in_time, policies...};
    CHECK(service.start().running());
  };
  starts(send);
  starts("setsid -w " + send);
  starts("setsid -w env -i NOTIFY_SOCKET=$NOTIFY_SOCKET " + send);
  starts("setsid -w env -i NOTIFY_SOCKET=$NOTIFY_SOCKET " + send, mk::DirectSpawner{});

  // It lives, detached, and has nothing but the guardian above it.
  const auto stay = "env -i NOTIFY_SOCKET=$NOTIFY_SOCKET " + test::line(notify("READY=1"));
  mk::Executor daemon{mk::Shell{"setsid " + stay + " & exec sleep 300"}, mk::NotifyCheck{},
                      mk::Silent{}, in_time};
  CHECK(daemon.start().running());
  mk::Executor orphan{mk::Shell{"(setsid " + stay + " &) ; exec sleep 300"}, mk::NotifyCheck{},
                      mk::Silent{}, in_time};
  CHECK(orphan.start().running());
}

TEST_CASE("NotifyCheck: without a guardian, the command's variable tells the tree") {
  const test::TempDir directory;
  const auto pidfile = directory / "pid";
  const Leftover leftover{pidfile};
  const auto stay = test::line(notify("READY=1", "pidfile=" + pidfile));
  mk::Executor daemon{mk::Shell{"(setsid " + stay + " &); exec sleep 300"}, mk::NotifyCheck{},
                      mk::DirectSpawner{}, in_time};
  CHECK(daemon.start().running());
  CHECK(test::eventually([&] { return !test::read_pids(pidfile).empty(); }));
}

TEST_CASE("NotifyCheck: a message from outside the tree does not count, and the hint names it") {
  bool sent = false;
  const auto send = [&sent](const mk::Process& process) {
    if (const auto name = socket_of(process.pid()); !sent && !name.empty())
      sent = send_to(name, "READY=1\nSTATUS=stranger");
    return false;
  };
  mk::Executor service{"sleep 300", mk::AnyOf{send, mk::NotifyCheck{}},
                       mk::TimeoutBudget{.start = 300ms}};
  const auto message = message_of<mk::TimeoutExpired>([&] { service.start(); });
  CHECK(sent);
  CAPTURE(message);
  CHECK(contains(message,
                 "\n  note: a message from outside the tree does not count: "
                 "READY=1\\nSTATUS=stranger of pid " +
                     std::to_string(::getpid()) + " ("));
  CHECK_FALSE(contains(message, "last answer: stranger"));

  // Nor does a living process that has left everything behind.
  const test::TempDir directory;
  const auto pidfile = directory / "pid";
  const Leftover leftover{pidfile};
  const auto stay = test::line(notify("READY=1", "pidfile=" + pidfile));
  mk::Executor escaped{
      mk::Shell{"(setsid env -i NOTIFY_SOCKET=$NOTIFY_SOCKET " + stay + " &); exec sleep 300"},
      mk::NotifyCheck{}, mk::DirectSpawner{}, mk::TimeoutBudget{.start = 1s}};
  const auto text = message_of<mk::TimeoutExpired>([&] { escaped.start(); });
  CAPTURE(text);
  CHECK(contains(text, "does not count: READY=1 of pid "));
  CHECK(test::eventually([&] { return !test::read_pids(pidfile).empty(); }));
}

TEST_CASE("NotifyCheck: ERRNO= and STOPPING=1 fail at once, with the last status") {
  const auto fails = [](const std::string& message) {
    mk::Executor service{notify("STATUS=opens /x", message), mk::NotifyCheck{}, in_time};
    const test::Elapsed elapsed;
    const auto text = message_of<mk::ExecutorError>([&] { service.start(); });
    CHECK(elapsed < 5s);
    CHECK_FALSE(service.running());
    return text.substr(0, text.find('\n'));
  };
  CHECK(fails("ERRNO=2") ==
        "it cannot become ready: the service has sent ERRNO=2 (no such file or directory); its "
        "status: opens /x");
  CHECK(fails("STOPPING=1") ==
        "it cannot become ready: the service has sent STOPPING=1; its status: opens /x");
}

TEST_CASE("NotifyCheck: a time-out tells the last status, or that nothing was sent") {
  const auto times_out = [](const std::vector<std::string>& words, const std::string& part) {
    const auto start = [&](std::chrono::milliseconds budget) {
      mk::Executor{words, mk::NotifyCheck{}, mk::TimeoutBudget{.start = budget}}.start();
    };
    return test::message_of_timeout(100ms, start, part);
  };
  const auto busy = times_out(notify("STATUS=loading 7 %"), "\n  last answer: loading 7 %\n");
  CHECK(contains(busy, "\n  waited for: READY=1 at NOTIFY_SOCKET, for "));
  CHECK_FALSE(contains(busy, "nothing was sent"));
  times_out({"sleep", "300"},
            "\n  note: nothing was sent to NOTIFY_SOCKET; the service must support it");
  times_out(notify("EXTEND_TIMEOUT_USEC=9000000"),
            "\n  note: it has asked for more time by EXTEND_TIMEOUT_USEC=");
  times_out(notify("READY=0"), "\n  last answer: its last message: 'READY=0'");
  times_out(notify("READY=", "pad=100000"), "last answer: its last message: 'READY=");
}

TEST_CASE("NotifyCheck: a service that ends first is an error with its exit code and last status") {
  mk::Executor service{notify("STATUS=gives up", "after=200", "exit=3"), mk::NotifyCheck{},
                       in_time};
  try {
    service.start();
    FAIL("it is ready");
  } catch (const mk::ProcessExitedWithError& error) {
    CHECK(error.exit_code() == 3);
    CAPTURE(error.what());
    CHECK(contains(error.what(), "exited with a non-zero code: 3 before it was ready"));
    CHECK(contains(error.what(), "\n  last answer: gives up\n"));
  }
  mk::Executor silent{"true", mk::NotifyCheck{}, in_time};
  test::check_ends_before_ready(silent);
}

TEST_CASE("NotifyCheck: a flood of messages ends at the deadline, and READY=1 is found in one") {
  mk::Executor flood{notify("STATUS=x", "repeat=1000000000"), mk::NotifyCheck{},
                     mk::TimeoutBudget{.start = 300ms}};
  const test::Elapsed elapsed;
  CHECK(contains(message_of<mk::TimeoutExpired>([&] { flood.start(); }), "last answer: x"));
  CHECK(elapsed < 5s);
  const auto one = test::line(notify("STATUS=x", "repeat=1000000000"));
  const auto ready = test::line(notify("READY=1", "delay=100"));
  mk::Executor found{mk::Shell{one + " & " + one + " & exec " + ready}, mk::NotifyCheck{}, in_time};
  CHECK(found.start().running());
}

TEST_CASE("NotifyCheck: a poll in a flood takes a moment only") {
  const mk::NotifyCheck check;
  mk::LaunchRequest request;
  check.prepare(request);
  const auto name = request.env.at("NOTIFY_SOCKET");
  const mk::OutputStreams streams;
  const mk::Process process{::getpid(), streams};
  std::atomic<bool> over{false};
  std::thread sender{[&] {
    while (!over)
      if (!send_to(name, "STATUS=x")) std::this_thread::yield();
  }};
  {
    const auto probe = check.probe(process);
    std::chrono::nanoseconds shortest = 1h;
    for (int i = 0; i < 50; ++i) {
      const test::Elapsed elapsed;
      CHECK_FALSE(probe->poll(mk::TimePoint::clock::now()));
      shortest = std::min<std::chrono::nanoseconds>(shortest, elapsed.time());
    }
    CHECK(shortest < 2ms);
    // It may go on until the moment that close() is given, and no longer.
    const mk::TimePoint end = mk::TimePoint::clock::now() + 20ms;
    probe->close(end);
    CHECK(probe->pending());
    CHECK_FALSE(probe->poll(end));
    CHECK_FALSE(probe->pending());
  }
  over = true;
  sender.join();
}

TEST_CASE("NotifyCheck: after the start no sender waits or fails, whichever check has passed") {
  const auto sends_all = [](auto check, const std::string& delay) {
    mk::Executor service{notify("STATUS=a", "READY=1", "WATCHDOG=1", "repeat=500", "delay=" + delay,
                                "barrier=1", "out=all sent\\n"),
                         std::move(check), in_time};
    service.start().wait_for([&] { return contains(service.output(), "all sent\n"); });
    CHECK(service.running());
  };
  sends_all(mk::NotifyCheck{}, "0");
  const auto at_once = [](const mk::Process&) { return true; };
  sends_all(mk::AnyOf{mk::NotifyCheck{}, at_once}, "50");
}

TEST_CASE("NotifyCheck: systemd-notify and its barrier, before and after the start") {
  mk::Executor service{
      mk::Shell{"systemd-notify --status=a && systemd-notify --ready --status=b && echo good && "
                "systemd-notify --status=c && echo better; exec sleep 300"},
      mk::NotifyCheck{}, in_time};
  if (::system("command -v systemd-notify >/dev/null") != 0) {
    MESSAGE("skipped: no systemd-notify");
    return;
  }
  service.start().wait_for([&] { return contains(service.output(), "better\n"); });
  CHECK(contains(service.output(), "good\n"));
}

TEST_CASE("NotifyCheck: inside the composed checks") {
  const auto never = [](const mk::Process&) { return false; };
  const auto always = [](const mk::Process&) { return true; };
  const auto words = notify("READY=1", "delay=50");
  mk::Executor any{words, mk::AnyOf{never, mk::NotifyCheck{}}, in_time};
  CHECK(any.start().running());
  mk::Executor all{words, mk::AllOf{always, mk::Within{20s, mk::NotifyCheck{}}}, in_time};
  CHECK(all.start().running());
  mk::Executor within{words, mk::Within{20s, mk::NotifyCheck{}},
                      mk::FailsOn{mk::BannerCheck{"FATAL"}}, in_time};
  CHECK(within.start().running());
  const auto late = [](std::chrono::milliseconds limit) {
    mk::Executor{notify("STATUS=slow"), mk::Within{limit, mk::NotifyCheck{}}, in_time}.start();
  };
  test::message_of_timeout(100ms, late, "last answer: slow");
  const auto out = [](std::chrono::milliseconds budget) {
    mk::Executor{notify("STOPPING=1"), mk::AnyOf{mk::NotifyCheck{}, mk::BannerCheck{"never"}},
                 mk::TimeoutBudget{.start = budget}}
        .start();
  };
  test::message_of_timeout(100ms, out,
                           "READY=1 at NOTIFY_SOCKET: the service has sent STOPPING=1; ");
  mk::Executor fails{words, mk::FailsOn{mk::NotifyCheck{}}, mk::BannerCheck{"never"}, in_time};
  CHECK(contains(message_of<mk::ExecutorError>([&] { fails.start(); }),
                 "it fails on READY=1 at NOTIFY_SOCKET"));
}

TEST_CASE("NotifyCheck: StableFor looks again and again, and STOPPING=1 ends it") {
  mk::Executor stable{notify("READY=1"), mk::StableFor{160ms, mk::NotifyCheck{}}, in_time};
  const test::Elapsed elapsed;
  CHECK(stable.start().running());
  CHECK(elapsed >= 160ms);
  mk::Executor stops{notify("READY=1", "STOPPING=1", "split=50"),
                     mk::StableFor{2s, mk::NotifyCheck{}}, in_time};
  CHECK(contains(message_of<mk::ExecutorError>([&] { stops.start(); }), "has sent STOPPING=1"));
  // A probe after the first one hears messages, too.
  int looks = 0;
  const auto twice = [&looks](const mk::Process&) { return ++looks == 1; };
  mk::Executor again{notify("READY=1", "delay=100"),
                     mk::StableFor{40ms, mk::AnyOf{twice, mk::NotifyCheck{}}}, in_time};
  CHECK(again.start().running());
}

TEST_CASE("NotifyCheck: the asynchronous start") {
  asio::io_context context;
  mk::Executor service{notify("READY=1", "delay=30"), mk::NotifyCheck{}, in_time};
  mk::Executor fails{notify("ERRNO=5", "delay=30"), mk::NotifyCheck{}, in_time};
  std::exception_ptr good = std::make_exception_ptr(0), bad;
  service.async_start(asio::bind_executor(context, [&](std::exception_ptr e) { good = e; }));
  fails.async_start(asio::bind_executor(context, [&](std::exception_ptr e) { bad = e; }));
  context.run();
  CHECK_FALSE(good);
  CHECK(service.running());
  REQUIRE(bad);
  CHECK(contains(message_of<mk::ExecutorError>([&] { std::rethrow_exception(bad); }), "ERRNO=5 ("));
}

TEST_CASE("NotifyCheck: NOTIFY_SOCKET has one owner") {
  const std::string conflict = "NOTIFY_SOCKET has a value already";
  mk::Executor two{"sleep 300", mk::NotifyCheck{}, mk::NotifyCheck{}};
  CHECK(contains(message_of<mk::ExecutorError>([&] { two.start(); }), conflict));
  mk::Executor set{mk::Command{.argv = "sleep 300", .env = {{"NOTIFY_SOCKET", "@x"}}},
                   mk::NotifyCheck{}};
  CHECK(contains(message_of<mk::ExecutorError>([&] { set.start(); }), conflict));
  mk::Executor unset{mk::Command{.argv = notify("READY=1"), .env = {{"NOTIFY_SOCKET", mk::unset}}},
                     mk::NotifyCheck{}, in_time};
  CHECK(unset.start().running());
}

TEST_CASE("NotifyCheck: no other command inherits the supervisor of the test") {
  NotifySocket supervisor;
  ::setenv("NOTIFY_SOCKET", supervisor.name().c_str(), 1);
  {
    const test::TempDir directory;
    const auto seen = directory / "seen";
    mk::Executor service{
        "sleep 300",
        mk::StopByCommand{{"sh", "-c", "echo \"[$NOTIFY_SOCKET]\" > " + seen + ""}, 100ms},
        mk::Silent{}, in_time};
    service.start();
    CHECK(test::eventually([&] { return !variable_of(service.pid(), "PATH").empty(); }));
    CHECK(socket_of(service.pid()).empty());
    service.stop();
    CHECK(test::slurp(seen) == "[]\n");
    mk::Executor given{
        mk::Command{.argv = "sleep 300", .env = {{"NOTIFY_SOCKET", supervisor.name()}}}, in_time};
    given.start();
    CHECK(test::eventually([&] { return socket_of(given.pid()) == supervisor.name(); }));
    mk::Executor own{notify("READY=1"), mk::NotifyCheck{}, in_time};
    CHECK(socket_of(own.start().pid()) != supervisor.name());
  }
  const auto shown = mk::run({"sh", "-c", "echo \"[$NOTIFY_SOCKET]\""});
  ::unsetenv("NOTIFY_SOCKET");
  CHECK(shown.output == "[]\n");
  CHECK_FALSE(supervisor.receive());
}
