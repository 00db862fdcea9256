// SPDX-License-Identifier: BSL-1.0
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <chrono>
#include <csignal>
#include <ctime>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include <doctest/doctest.h>
#include <asio/steady_timer.hpp>
#include <asio/use_awaitable.hpp>

#include <mirakuru.hpp>
#include <mirakuru/async.hpp>
#include <mirakuru/laws.hpp>

#include "files.hpp"
#include "net.hpp"
#include "words.hpp"

namespace mk = mirakuru;
namespace laws = mirakuru::laws;
using namespace std::chrono_literals;

namespace {

/// The broken laws as one text.
std::string text(const laws::Broken& broken) {
  std::string result;
  for (const auto& law : broken) result += law + '\n';
  return result;
}

/// Ready when the process has printed "ready"; it waits without a limit.
struct Awaited {
  asio::awaitable<void> operator()(const mk::Process& process) const {
    asio::steady_timer timer{co_await asio::this_coro::executor};
    while (process.output() != "ready") {
      timer.expires_after(1ms);
      co_await timer.async_wait(asio::use_awaitable);
    }
  }
};

// Models that break a law -------------------------------------------------------------------------

enum class Flaw {
  no_pid,
  never_ends,
  wrong_exit_code,
  lives_again,
  elsewhere,
  no_input,
  no_err,
  not_alive,
  exit_code_too_soon,
  in_our_group,
  no_signal,
  positive_signal,
  mute_event,
  leader_only,
  leader_is_all,
  ends_before_tree,
  starts_anything,
  leaks,
  never_reaps,
};

/// A spawner with one flaw.
template <Flaw flaw, class Spawner = mk::DirectSpawner,
          class Inner = std::conditional_t<std::is_same_v<Spawner, mk::DirectSpawner>,
                                           mk::DirectProcess, mk::GuardedProcess>>
struct Flawed {
  static constexpr auto guarantee = mk::Executor<Spawner>::guarantee();

  class Handle {
   public:
    explicit Handle(Inner inner) : inner_{std::move(inner)} {
      if (flaw == Flaw::mute_event) pipe_ = mk::detail::make_pipe();
    }
    Handle(Handle&&) = default;
    Handle& operator=(Handle&&) = default;
    ~Handle() {
      if (flaw == Flaw::no_signal) inner_.signal(SIGKILL);
      if (flaw == Flaw::never_reaps && inner_.pid() > 0) (void)inner_.alive();
    }

    pid_t pid() const {
      return flaw == Flaw::no_pid ? 0 : flaw == Flaw::in_our_group ? ::getpid() : inner_.pid();
    }
    int event() const { return flaw == Flaw::mute_event ? pipe_.reading.get() : inner_.event(); }
    bool alive() {
      if (flaw == Flaw::never_reaps) {
        siginfo_t info{};
        ::waitid(P_PID, static_cast<id_t>(inner_.pid()), &info, WEXITED | WNOHANG | WNOWAIT);
        if (info.si_pid != 0) seen_ = mk::detail::decode_exit(info.si_code, info.si_status);
        return !seen_;
      }
      const bool alive = inner_.alive();
      if (flaw == Flaw::never_ends) return true;
      if (flaw == Flaw::lives_again) return alive || ++asked_ > 1;
      if (flaw == Flaw::not_alive) return alive && ++asked_ > 1;
      if (flaw == Flaw::leader_is_all || flaw == Flaw::ends_before_tree)
        return alive && !inner_.exit_code() && !(flaw == Flaw::ends_before_tree && signalled_);
      return alive;
    }
    std::optional<int> exit_code() const {
      const auto code = flaw == Flaw::never_reaps ? seen_ : inner_.exit_code();
      if (flaw == Flaw::wrong_exit_code && code) return *code + 1;
      if (flaw == Flaw::exit_code_too_soon && !code) return 0;
      if (flaw == Flaw::positive_signal && code && *code < 0) return 128 - *code;
      return code;
    }
    void signal(int number) {
      signalled_ = true;
      if (flaw == Flaw::leader_only) {
        if (inner_.alive()) ::kill(inner_.pid(), number);
      } else if (flaw != Flaw::no_signal && flaw != Flaw::ends_before_tree) {
        inner_.signal(number);
      }
    }

   private:
    Inner inner_;
    mk::detail::Pipe pipe_;
    std::optional<int> seen_;
    int asked_ = 0;
    bool signalled_ = false;
  };

  Handle spawn(mk::LaunchRequest request) const {
    const mk::detail::UniqueFd null{::open("/dev/null", O_RDWR | O_CLOEXEC)};
    if (flaw == Flaw::elsewhere) request.cwd = "/usr";
    if (flaw == Flaw::no_input) request.in = null.get();
    if (flaw == Flaw::leaks) leaked().emplace_back(::dup(request.out));
    if (flaw == Flaw::no_err) request.err = null.get();
    if (flaw == Flaw::starts_anything)
      request.words = {"/bin/sh", "-c", mk::Argv{request.words}.line()};
    return Handle{Spawner{}.spawn(request)};
  }

  static std::vector<mk::detail::UniqueFd>& leaked() {
    static std::vector<mk::detail::UniqueFd> descriptors;
    return descriptors;
  }
};

/// Claims to keep the output, and throws it away.
struct Forgetful {
  static constexpr bool keeps_output = true;
  mk::OutputStreams open() const { return mk::Discard{}.open(); }
};

}  // namespace

TEST_CASE("Laws: the policies of the library keep them") {
  const test::TempDir directory;
  CHECK(text(laws::check_spawner(mk::GuardedSpawner{})) == "");
  CHECK(text(laws::check_spawner(mk::DirectSpawner{})) == "");
  CHECK(text(laws::check_budget(mk::TimeoutBudget{})) == "");
  CHECK(text(laws::check_signals(mk::Signals{})) == "");
  CHECK(text(laws::check_signals(mk::SignalLadder{{SIGINT, 1s}, {SIGTERM, 1s}})) == "");
  CHECK(text(laws::check_input(mk::HeldOpen{})) == "");
  CHECK(text(laws::check_input(mk::NoInput{})) == "");
  CHECK(text(laws::check_input(mk::InputText{"text"})) == "");
  CHECK(text(laws::check_input(mk::InputFile{"/etc/passwd"})) == "");
  CHECK(text(laws::check_limits(mk::Unlimited{})) == "");
  CHECK(text(laws::check_limits(mk::Limits{.memory = 1, .files = 3, .cpu = 3s, .core = 4})) == "");
  CHECK(text(laws::check_signals(mk::StopByInput{})) == "");
  CHECK(text(laws::check_signals(mk::StopByCommand{{"true"}})) == "");
  CHECK(text(laws::check_output(mk::Tee{})) == "");
  CHECK(text(laws::check_output(mk::Capture{})) == "");
  CHECK(text(laws::check_output(mk::Discard{})) == "");
  CHECK(text(laws::check_output(mk::Inherit{})) == "");
  CHECK(text(laws::check_output(mk::ToFile{directory / "log"})) == "");
  CHECK(text(laws::check_output(
            mk::ToFile{.path = directory / "out", .err_path = directory / "err"})) == "");
}

TEST_CASE("Laws: CgroupSpawner keeps them where the system has cgroups") {
  try {
    mk::Executor{"true", mk::CgroupSpawner{}}.start();
  } catch (const mk::SpawnError& error) {
    MESSAGE("no cgroup to test with: ", error.what());
    return;
  }
  CHECK(text(laws::check_spawner(mk::CgroupSpawner{})) == "");
}

TEST_CASE("Laws: the checks of the library keep them") {
  const test::TempDir directory;
  const test::Port tcp, http;
  const auto helper = [](auto... words) {
    return mk::Command{.argv = std::vector<std::string>{test::helper(), words...}};
  };
  const auto socket = directory / "socket", pid = directory / "pid";
  CHECK(text(laws::check_check(mk::BannerCheck{"ready"}, helper("print", "ready"))) == "");
  CHECK(text(laws::check_check(mk::TCPCheck{"127.0.0.1", tcp.number()},
                               helper("listen", "127.0.0.1", tcp.str()))) == "");
  CHECK(text(laws::check_check(mk::HTTPCheck{http.url("/")},
                               helper("serve", "127.0.0.1", http.str(), "ok"))) == "");
  CHECK(text(laws::check_check(mk::UnixSocketCheck{socket}, helper("unix", socket))) == "");
  CHECK(text(laws::check_check(mk::PidCheck{pid},
                               {.argv = "trap 'rm " + pid + "; exit 0' TERM; echo $$ > " + pid +
                                        "; while :; do sleep 0.01; done",
                                .shell = true})) == "");
  CHECK(
      text(laws::check_check([](const mk::Process& process) { return process.output() == "ready"; },
                             helper("print", "ready"))) == "");
  CHECK(text(laws::check_check(Awaited{}, helper("print", "ready"))) == "");
}

namespace {

/// Checks that a spawner with this flaw breaks this law.
template <Flaw flaw, class Spawner = mk::DirectSpawner>
void breaks(const std::string& law) {
  CAPTURE(law);
  const auto broken = text(laws::check_spawner(Flawed<flaw, Spawner>{}, 300ms));
  CAPTURE(broken);
  CHECK(('\n' + broken).find('\n' + law + '\n') != std::string::npos);
  Flawed<flaw, Spawner>::leaked().clear();
}

}  // namespace

TEST_CASE("Laws: each law of a spawner is broken by a spawner with that flaw") {
  breaks<Flaw::no_pid>("pid() is the process's id");
  breaks<Flaw::never_ends>("alive() is false once all processes have ended");
  breaks<Flaw::wrong_exit_code>("exit_code() is the exit status");
  breaks<Flaw::lives_again>("alive() stays false");
  breaks<Flaw::elsewhere>(
      "the command runs in its directory, with its environment, and prints to `out`");
  breaks<Flaw::no_input>("the command reads from `in`");
  breaks<Flaw::no_err>("standard error goes to `err`");
  breaks<Flaw::not_alive>("alive() is true while it runs");
  breaks<Flaw::exit_code_too_soon>("exit_code() is empty while it runs");
  breaks<Flaw::in_our_group>("the command is not in the caller's process group");
  breaks<Flaw::no_signal>("signal() reaches the process");
  breaks<Flaw::positive_signal>("exit_code() is minus the signal that ended it");
  breaks<Flaw::mute_event>("event() turns readable at the end, or is -1");
  breaks<Flaw::leader_only>("signal() reaches the processes that the command has started");
  breaks<Flaw::leader_is_all, mk::GuardedSpawner>(
      "alive() is true while any process of the tree lives");
  breaks<Flaw::never_ends, mk::GuardedSpawner>(
      "signal() reaches a process that has left the process group");
  breaks<Flaw::ends_before_tree, mk::GuardedSpawner>(
      "alive() is false when no process of the tree lives");
  breaks<Flaw::starts_anything>("a program that is not there is a std::system_error with ENOENT");
  breaks<Flaw::leaks>("no descriptor is left open after a run");
  breaks<Flaw::never_reaps>("alive() reaps the process");
}

TEST_CASE("Laws: each law of a budget and of a signal strategy can be broken") {
  struct Hasty {
    std::chrono::seconds start{-1}, stop{1};
  };
  CHECK(laws::check_budget(Hasty{}) == laws::Broken{"the start budget is not negative"});
  CHECK(laws::check_budget(mk::TimeoutBudget{.stop = -1s}) ==
        laws::Broken{"the stop budget is not negative"});

  struct NoSteps {
    int kill = SIGKILL;
    std::vector<int> accept = {};
    std::vector<mk::SignalStep> steps() const { return {}; }
  };
  CHECK(laws::check_signals(NoSteps{}) == laws::Broken{"there is a first step"});
  CHECK(laws::check_signals(mk::Signals{.stop = 0}) == laws::Broken{"every step has a signal"});
  CHECK(laws::check_signals(mk::Signals{.stop = 999}) == laws::Broken{"every step has a signal"});
  CHECK(laws::check_signals(mk::Signals{.kill = 0}) == laws::Broken{"`kill` is a signal"});
  CHECK(laws::check_signals(mk::SignalLadder{{SIGINT, -1s}}) ==
        laws::Broken{"no step has a negative time"});
}

namespace {

/// An output to a file with the given flags.
template <bool keeps, int flags>
struct Files {
  static constexpr bool keeps_output = keeps;
  std::string path;
  bool really_kept = keeps;

  mk::OutputStreams open() const {
    const auto file = [this] {
      return mk::OutputFile{mk::detail::UniqueFd{::open(path.c_str(), flags | O_CREAT, 0600)}};
    };
    auto out = file();
    mk::OutputStreams streams{std::move(out), file()};
    if (really_kept) streams.keep();
    return streams;
  }
};

}  // namespace

namespace {

/// An input whose descriptors come from `make`.
template <bool is_writable>
struct MadeInput {
  static constexpr bool writable = is_writable;
  mk::InputStream (*make)();
  mk::InputStream open() const { return make(); }
};

struct OddLimits {
  std::vector<mk::ResourceLimit> list;
  std::vector<mk::ResourceLimit> limits() const { return list; }
};

}  // namespace

TEST_CASE("Laws: each law of an input and of limits can be broken") {
  const auto broken = [](const auto& input) { return text(laws::check_input(input)); };
  CHECK(broken(MadeInput<true>{[] {
          return mk::NoInput{}.open();
        }}).starts_with("it is writable as it says\n"));
  CHECK(broken(MadeInput<false>{[] {
          return mk::HeldOpen{}.open();
        }}).starts_with("it is writable as it says\n"));
  CHECK(broken(MadeInput<false>{[]() -> mk::InputStream { throw std::runtime_error{"no"}; }}) ==
        "open() makes the stream: no\n");
  CHECK(broken(MadeInput<false>{[] {
          auto stream = mk::NoInput{}.open();
          ::fcntl(stream.reading.get(), F_SETFD, 0);
          return stream;
        }}).starts_with("the descriptor is close-on-exec\n"));
  CHECK(broken(MadeInput<true>{[] {
          auto stream = mk::HeldOpen{}.open();
          stream.reading = mk::NoInput{}.open().reading;
          return stream;
        }}).find("the command reads all that is written\n") != std::string::npos);
  CHECK(laws::check_limits(OddLimits{{{99, 1, 1}}}) ==
        laws::Broken{"each is a limit of the kernel"});
  CHECK(laws::check_limits(OddLimits{{{0, 2, 1}}}) ==
        laws::Broken{"the soft value is not above the hard one"});
}

TEST_CASE("Laws: each law of an output can be broken") {
  const test::TempDir directory;
  const auto broken = [](const auto& output) { return text(laws::check_output(output)); };
  constexpr int append = O_RDWR | O_APPEND;
  CHECK(broken(Files < true, append | O_CLOEXEC > {directory / "good"}) == "");
  CHECK(
      broken(Files<true, append>{directory / "inherited"}).find("a descriptor is close-on-exec") ==
      0);
  CHECK(broken(Files < false, O_RDONLY | O_CLOEXEC > {directory / "closed"})
            .find("a stream can be written to") == 0);
  CHECK(broken(Files < true, append | O_CLOEXEC > {directory / "by_executor", false}) == "");
  CHECK(broken(Files < true, O_RDWR | O_CLOEXEC > {directory / "overwritten"})
            .find("all kept output can be read, and of this run alone") == 0);
  CHECK(broken(mk::ToFile{directory / "none/at/all"}).find("open() makes the streams: open ") == 0);
  CHECK(broken(Files < false, append | O_CLOEXEC > {directory / "kept", true})
            .find("output that is not kept is empty") == 0);
  CHECK(broken(Forgetful{}) != "");
}

TEST_CASE("Laws: each law of a reporter can be broken") {
  CHECK(text(laws::check_reporter(mk::Silent{})) == "");
  CHECK(text(laws::check_reporter([](const mk::Event&) {})) == "");
  CHECK(text(laws::check_reporter([](const mk::Event&) { throw 1; })) == "it throws nothing\n");
  const auto slow = [](const mk::Event& event) {
    if (std::holds_alternative<mk::Spawned>(event)) std::this_thread::sleep_for(2ms);
  };
  CHECK(text(laws::check_reporter(slow, 1ms)).find("it returns soon from event 5") !=
        std::string::npos);
}

TEST_CASE("Laws: each law of a check can be broken") {
  const mk::Command idle{.argv = "sleep 300"};
  const auto eager = [](const mk::Process&) { return true; };
  CHECK(laws::check_check(eager, idle) ==
        laws::Broken{"it does not hold for a command that never becomes ready"});

  struct Nameless {
    bool operator()(const mk::Process& process) const { return process.output() == "ready"; }
    std::string describe() const { return ""; }
  };
  const mk::Command ready{.argv = std::vector<std::string>{test::helper(), "print", "ready"}};
  CHECK(laws::check_check(Nameless{}, ready) == laws::Broken{"describe() is not empty"});

  const auto furious = [](const mk::Process&) -> bool { throw std::out_of_range{"mine"}; };
  const auto raised = text(laws::check_check(furious, idle));
  CHECK(raised.find("a command that becomes ready starts: a readiness check failed: mine") == 0);
  CHECK(raised.find("it goes on until the deadline: a readiness check failed: mine") !=
        std::string::npos);

  // One call takes longer than the whole budget.
  const auto slow = [](const mk::Process& process) {
    if (process.output() == "ready") return true;
    const timespec pause{.tv_sec = 0, .tv_nsec = 400'000'000};
    ::nanosleep(&pause, nullptr);
    return false;
  };
  CHECK(laws::check_check(slow, ready, idle, 200ms) == laws::Broken{"it ends at the deadline"});
}
