// SPDX-License-Identifier: BSL-1.0
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include <mirakuru.hpp>
#include <mirakuru/post_mortem/post_mortem.hpp>

#include "child.hpp"
#include "errors.hpp"
#include "files.hpp"
#include "process.hpp"
#include "time.hpp"
#include "words.hpp"

namespace mk = mirakuru;
using mk::detail::core_glob;

namespace {

/// Variables have other values for its lifetime; null: they are not set.
class Variables {
 public:
  explicit Variables(const std::map<std::string, const char*>& values) {
    for (const auto& [name, value] : values) {
      if (const char* const before = std::getenv(name.c_str())) before_[name] = before;
      value != nullptr ? ::setenv(name.c_str(), value, 1) : ::unsetenv(name.c_str());
      names_.push_back(name);
    }
  }
  ~Variables() {
    for (const auto& name : names_)
      before_.count(name) != 0 ? ::setenv(name.c_str(), before_[name].c_str(), 1)
                               : ::unsetenv(name.c_str());
  }
  Variables(const Variables&) = delete;
  Variables& operator=(const Variables&) = delete;

 private:
  std::vector<std::string> names_;
  std::map<std::string, std::string> before_;
};

const std::map<std::string, const char*> no_options{
    {"ASAN_OPTIONS", nullptr}, {"HWASAN_OPTIONS", nullptr}, {"LSAN_OPTIONS", nullptr},
    {"MSAN_OPTIONS", nullptr}, {"TSAN_OPTIONS", nullptr},   {"UBSAN_OPTIONS", nullptr}};

std::set<std::string> names_in(const std::string& directory) {
  std::set<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator{directory})
    names.insert(entry.path());
  return names;
}

/// A service that writes a report, as LSan does, and ends in good order.
const mk::Shell reports_at_the_end{
    "trap '{ echo =====; echo \"==1==ERROR: LeakSanitizer\"; } > $log.1; exit 0' TERM; "
    "log=${LSAN_OPTIONS##*log_path=?}; log=${log%?}; echo up; while :; do sleep 0.02; done"};

/// The message of a service that has died, in a directory.
template <class... Policies>
std::string death_of(const std::string& line, const std::string& directory, Policies... policies) {
  mk::Executor executor{mk::Command{.argv = line, .cwd = directory, .shell = true},
                        mk::PostMortem{}, policies...};
  return test::message_of<mk::ProcessExitedWithError>(
      [&] { executor.start().wait().check_alive(); });
}

/// True if a process that crashes here leaves a core file with the name `core`, and gdb reads it.
bool makes_cores() {
  rlimit limit{};
  ::getrlimit(RLIMIT_CORE, &limit);
  const bool usual = test::slurp("/proc/sys/kernel/core_pattern") == "core\n" &&
                     test::slurp("/proc/sys/kernel/core_uses_pid") == "0\n";
  mk::SimpleExecutor gdb{"gdb --version"};
  const bool makes =
      usual && limit.rlim_max != 0 && !test::sanitized && test::starts_if_installed(gdb);
  if (!makes) MESSAGE("skipped: no core files that are called core, or no gdb");
  return makes;
}

constexpr auto has_backtrace = "\n  backtrace:\n    Thread 1 ";

}  // namespace

TEST_CASE("core_glob: follows the kernel's pattern") {
  CHECK(core_glob("core", false, "/srv") == "/srv/core");
  CHECK(core_glob("core", true, "/srv") == "/srv/core.*");
  CHECK(core_glob("core.%p", true, "/srv") == "/srv/core.*");
  CHECK(core_glob("/var/cores/%e.%P.%t", false, "/srv") == "/var/cores/*.*.*");
  CHECK(core_glob("100%%", false, "/srv") == "/srv/100%");
  CHECK(core_glob("core%", false, "/srv") == "/srv/core%");
  CHECK(core_glob("[%p]", false, "/a*b?c\\") == R"(/a\*b\?c\\/\[*])");
}

TEST_CASE("PostMortem: the user's own options of sanitizers stay") {
  const Variables cleared{no_options};
  ::setenv("UBSAN_OPTIONS", "print_stacktrace=1", 1);
  ::setenv("TSAN_OPTIONS", "verbosity=1", 1);
  mk::LaunchRequest request{
      .words = {"true"}, .env = {{"ASAN_OPTIONS", "detect_leaks=1"}}, .unset = {"TSAN_OPTIONS"}};
  std::string place;
  {
    const mk::PostMortem::Run run{mk::PostMortem{}, request};
    const auto& added = request.env["LSAN_OPTIONS"];
    REQUIRE(added.starts_with("log_path='/"));
    place = std::filesystem::path{added.substr(10)}.parent_path();
    CHECK(request.env["ASAN_OPTIONS"] == "detect_leaks=1:" + added);
    CHECK(request.env["UBSAN_OPTIONS"] == "print_stacktrace=1:" + added);
    CHECK(request.env["TSAN_OPTIONS"] == added);
    CHECK(run.reports() == "");
    std::ofstream{place + "/report.42"} << "==42==ERROR: AddressSanitizer\n    #0 main\n";
    CHECK(run.reports() ==
          "  a sanitizer's report:\n    ==42==ERROR: AddressSanitizer\n        #0 main");
  }
  CHECK_FALSE(test::exists(place));
}

TEST_CASE("PostMortem: a log_path of the user's own is the only one") {
  const Variables cleared{no_options};
  const auto adds = [](const std::string& options, bool clean_env = false) {
    ::setenv("MSAN_OPTIONS", options.c_str(), 1);
    mk::LaunchRequest request{.words = {"true"}, .clean_env = clean_env};
    const mk::PostMortem::Run run{mk::PostMortem{}, request};
    return !request.env.empty();
  };
  for (const auto* const own :
       {"log_path=/tmp/own", "a=1:log_path=/tmp/own", "a='log_path=1:':b=2, log_path=/tmp/own",
        "a=\"x' y\" log_path='/tmp/o w n'"}) {
    CAPTURE(own);
    CHECK_FALSE(adds(own));
    CHECK(adds(own, true));
  }
  for (const auto* const other : {"", "log_path", "strip_log_path=1", "a=log_path=",
                                  "a='b:log_path=/tmp/own'", "a=\"log_path=1", "a=1:", "a="}) {
    CAPTURE(other);
    CHECK(adds(other));
  }
  mk::LaunchRequest request{.words = {"true"}, .env = {{"UBSAN_OPTIONS", "log_path=/tmp/own"}}};
  const mk::PostMortem::Run run{mk::PostMortem{}, request};
  CHECK(request.env.size() == 1);
}

TEST_CASE("PostMortem: a fork of the owner leaves the reports alone") {
  const test::TempDir directory;
  const Variables changed{{{"TMPDIR", directory.path().c_str()}}};
  mk::LaunchRequest request{.words = {"true"}};
  {
    mk::PostMortem::Run run{mk::PostMortem{}, request};
    CHECK(test::in_child([&run] {
            const auto copy = std::move(run);
            return true;
          }) == 0);
    CHECK(names_in(directory.path()).size() == 1);
  }
  CHECK(std::filesystem::is_empty(directory.path()));
}

TEST_CASE("PostMortem: the reports of a dead owner are removed, those of a living one are not") {
  const test::TempDir directory, outside;
  std::ofstream{outside / "file"} << "data";
  const auto foreign = directory / "mirakuru-reports.link";
  std::filesystem::create_directory_symlink(outside.path(), foreign);
  const Variables changed{{{"TMPDIR", directory.path().c_str()}}};
  const auto begin = [] {
    mk::LaunchRequest request{.words = {"true"}};
    return mk::PostMortem::Run{mk::PostMortem{}, request};
  };
  const auto own = begin();
  const auto before = names_in(directory.path());
  CHECK(before.size() == 2);
  const auto killed = test::in_child([&] {
    const auto run = begin();
    for (const auto& name : names_in(directory.path()))
      if (before.count(name) == 0)
        std::filesystem::create_directory_symlink(outside.path(), name + "/link");
    ::raise(SIGKILL);
    return false;
  });
  CHECK(killed == 128 + SIGKILL);
  CHECK(names_in(directory.path()).size() == 3);
  {
    const auto next = begin();
  }
  CHECK(names_in(directory.path()) == before);
  CHECK(test::exists(outside / "file"));
}

TEST_CASE("PostMortem: without a directory in TMPDIR the reports lie elsewhere, or in the output") {
  const Variables changed{{{"TMPDIR", "/no/such/directory"}}};
  const auto dies = [] {
    mk::Executor executor{mk::Shell{"exit 3"}, mk::Discard{}, mk::PostMortem{}};
    return test::message_of<mk::ProcessFinishedWithError>([&] { executor.start().wait().stop(); });
  };
  constexpr auto note = "\n  note: its sanitizers write their reports to its standard error: ";
  const auto text = dies();
  CHECK(text.starts_with("exited with a non-zero code: 3, which stop() does not accept\n"));
  CHECK_FALSE(test::contains(text, note));
  std::vector<unsigned> calls{SYS_mkdirat};
#if defined(SYS_mkdir)
  calls.push_back(SYS_mkdir);
#endif
  CHECK(test::in_child([&] {
          for (const auto call : calls)
            if (!test::take_away(call, EACCES)) return false;
          const auto without = dies();
          return without.starts_with("exited with a non-zero code: 3, ") &&
                 test::contains(without, std::string{note} + "no directory for them can be made");
        }) == 0);
}

TEST_CASE("PostMortem: the backtrace of a process that a signal has ended, or why there is none") {
  if (test::sanitized) return;
  const test::TempDir directory;
  mk::LaunchRequest request{.words = {"sleep", "300"}, .cwd = directory.path()};
  const mk::PostMortem::Run run{mk::PostMortem{}, request};
  auto process = mk::GuardedSpawner{}.spawn(request);
  ::kill(process.pid(), SIGSEGV);
  REQUIRE(test::eventually([&] { return !process.alive(); }));
  const auto text = run.backtrace(process.pid());
  const bool told = text.starts_with("  backtrace:\n    Thread 1 ");
  const bool excused = text.starts_with("  no backtrace: ");
  CHECK((told || excused));
  if (told) CHECK(test::contains(text, "\n    #0 "));
  if (told) CHECK(std::filesystem::is_empty(directory.path()));
  MESSAGE(text);
}

TEST_CASE("PostMortem: a service that dies by a signal has its backtrace in the error") {
  if (test::sanitized) return;
  const test::TempDir directory;
  mk::Executor executor{mk::Command{.argv = {"sleep", "300"}, .cwd = directory.path()},
                        mk::PostMortem{}};
  executor.start();
  ::kill(executor.pid(), SIGSEGV);
  REQUIRE(test::eventually([&] { return !executor.running(); }));
  try {
    executor.check_alive();
    CHECK_MESSAGE(false, "check_alive() did not throw");
  } catch (const mk::ProcessExitedWithError& error) {
    CHECK(error.exit_code() == -SIGSEGV);
    const std::string text = error.what();
    CHECK((test::contains(text, has_backtrace) || test::contains(text, "\n  no backtrace: ")));
  }
}

TEST_CASE("PostMortem: a crash right after the start has a backtrace") {
  if (!makes_cores()) return;
  const test::TempDir directory;
  CHECK(test::contains(death_of("kill -SEGV $$", directory.path()), has_backtrace));
  CHECK(std::filesystem::is_empty(directory.path()));
}

TEST_CASE("PostMortem: a crash below a shell has a backtrace, and leaves no core file") {
  if (!makes_cores()) return;
  const test::TempDir directory;
  for (const std::string session : {"", "setsid "}) {
    CAPTURE(session);
    const auto text = death_of(session + "sh -c 'kill -SEGV $$'; exit $?", directory.path());
    CHECK(text.starts_with("exited with a non-zero code: 139 "));
    CHECK(test::contains(text, has_backtrace));
    CHECK(std::filesystem::is_empty(directory.path()));
  }
}

TEST_CASE("PostMortem: a program with a relative path, in a directory with signs of a pattern") {
  if (!makes_cores()) return;
  const test::TempDir above;
  const auto directory = above / "w[1]*";
  std::filesystem::create_directory(directory);
  std::filesystem::copy("/bin/sh", directory + "/own-shell");
  const auto text = death_of("./own-shell -c 'kill -SEGV $$'; exit $?", directory);
  CHECK(test::contains(text, has_backtrace));
  CHECK_FALSE(test::exists(directory + "/core"));
}

TEST_CASE("PostMortem: a file that is no core file of the service stays") {
  const test::TempDir directory;
  const auto file = directory / "core";
  const auto dies = [&](const std::string& prepare, const std::string& reason) {
    const auto text =
        death_of("ulimit -c 0; " + prepare + " > core; kill -SEGV $$", directory.path());
    CHECK(text.starts_with("ended by signal 11 "));
    CHECK(test::contains(text, "\n  no backtrace: " + reason));
  };
  dies("echo data", "");
  CHECK(test::slurp(file) == "data\n");
  if (!makes_cores()) return;
  std::filesystem::remove(file);
  mk::SimpleExecutor other{mk::Command{
      .argv = "ulimit -Sc $(ulimit -Hc); kill -SEGV $$", .cwd = directory.path(), .shell = true}};
  REQUIRE(other.start().wait().exit_code() == -SIGSEGV);
  REQUIRE(test::exists(file));
  std::filesystem::rename(file, directory / "other");
  dies("cat other", "there is no core file at " + file);
  CHECK(test::slurp(file) == test::slurp(directory / "other"));
}

TEST_CASE("PostMortem: the error says that a process which changes its user leaves no core file") {
  const bool none = test::slurp("/proc/sys/fs/suid_dumpable") == "0\n";
  if (::geteuid() != 0 || !none || !makes_cores()) return;
  const test::TempDir directory;
  std::filesystem::permissions(directory.path(), std::filesystem::perms::all);
  const auto text = death_of(
      "exec python3 -c 'import os; os.setuid(65534); os.kill(os.getpid(), 11)'", directory.path());
  CHECK(text.starts_with("ended by signal 11 "));
  CHECK(test::contains(text, "\n  no backtrace: there is no core file at " + (directory / "core") +
                                 "; a process that changes its user leaves none"));
}

TEST_CASE("PostMortem: without gdb the core file stays, and the error names it") {
  if (!makes_cores()) return;
  const test::TempDir directory;
  const Variables changed{{{"PATH", directory.path().c_str()}}};
  const auto text = death_of("kill -SEGV $$", directory.path());
  const auto file = directory / "core";
  CHECK(test::contains(text,
                       "\n  no backtrace: cannot run gdb: no such file or directory; the core file "
                       "is " +
                           file));
  CHECK(test::exists(file));
}

TEST_CASE("PostMortem: a limit of 0 is the reason why there is no backtrace") {
  const test::TempDir directory;
  const bool is_piped = test::slurp("/proc/sys/kernel/core_pattern").starts_with('|');
  const auto reason_of = [&](auto... policies) {
    const auto text = death_of("kill -SEGV $$", directory.path(), policies...);
    const auto at = text.find("\n  no backtrace: ");
    return at == text.npos ? text : text.substr(at + 17, text.find('\n', at + 1) - at - 17);
  };
  if (!is_piped) CHECK(reason_of(mk::Limits{.core = 0}) == "its limit of core files is 0");
  CHECK(test::in_child([&] {
          const rlimit none{};
          ::setrlimit(RLIMIT_CORE, &none);
          return is_piped || reason_of() == "the hard limit of core files is 0";
        }) == 0);
}

TEST_CASE("PostMortem: the limit of core files is raised before the command is executed") {
  rlimit before{};
  ::getrlimit(RLIMIT_CORE, &before);
  const rlimit none{.rlim_cur = 0, .rlim_max = before.rlim_max};
  ::setrlimit(RLIMIT_CORE, &none);
  const auto limit_of = [](auto... policies) {
    mk::Executor executor{mk::Shell{"ulimit -Sc"}, policies...};
    return executor.start().wait().output();
  };
  mk::LaunchRequest request{.words = {"true"}};
  const mk::PostMortem::Run run{mk::PostMortem{}, request};
  REQUIRE(request.limits.size() == 1);
  CHECK(request.limits[0].resource == RLIMIT_CORE);
  CHECK(request.limits[0].soft == before.rlim_max);
  CHECK(request.limits[0].hard == before.rlim_max);
  const auto hard = mk::Executor{mk::Shell{"ulimit -Hc"}}.start().wait().output();
  CHECK(limit_of(mk::PostMortem{}) == hard);
  CHECK(limit_of(mk::PostMortem{.core = false}) == "0\n");
  CHECK(limit_of(mk::PostMortem{}, mk::Limits{.core = 0}) == "0\n");
  ::setrlimit(RLIMIT_CORE, &before);
}

TEST_CASE("PostMortem: a signal of a stop is no crash") {
  const test::TempDir directory;
  mk::Executor executor{mk::Command{.argv = {"sleep", "300"}, .cwd = directory.path()},
                        mk::Signals{.stop = SIGQUIT}, mk::PostMortem{.core = false}};
  executor.start().stop();
  CHECK(executor.exit_code() == -SIGQUIT);
}

TEST_CASE("PostMortem: a sanitizer's report is quoted, and fails stop() whatever the exit code") {
  mk::Executor executor{reports_at_the_end, mk::BannerCheck{"up"}, mk::PostMortem{}};
  for (int runs = 0; runs < 2; ++runs) {
    executor.start();
    try {
      executor.stop();
      CHECK_MESSAGE(false, "stop() did not throw");
    } catch (const mk::ProcessFinishedWithError& error) {
      CHECK(error.exit_code() == 0);
      CHECK(test::contains(error.what(), "exited with code 0; its sanitizers have reported\n"));
      CHECK(test::contains(error.what(),
                           "\n  a sanitizer's report:\n    ==1==ERROR: LeakSanitizer\n"));
    }
  }
  mk::Executor without{reports_at_the_end, mk::BannerCheck{"up"}};
  const Variables changed{{{"LSAN_OPTIONS", "log_path='/dev/null'"}}};
  CHECK_NOTHROW(without.start().stop());
}

TEST_CASE("PostMortem: the destructor tells of a sanitizer's report") {
  std::string told;
  {
    mk::Executor executor{reports_at_the_end, mk::BannerCheck{"up"}, mk::PostMortem{},
                          [&told](const mk::Event& event) {
                            if (const auto* const end = std::get_if<mk::EndedBadly>(&event))
                              told = mk::line_of(*end);
                          }};
    executor.start();
  }
  CHECK(test::contains(told,
                       ": exited with code 0 when it was stopped; its sanitizers: "
                       "==1==ERROR: LeakSanitizer; its last line: "));
}

TEST_CASE("PostMortem: a real leak is found at the end by SIGTERM") {
  const char* const leaky = std::getenv("MIRAKURU_TEST_LEAKY");
  if (leaky == nullptr) return;
  mk::Executor executor{{leaky}, mk::BannerCheck{"up"}, mk::PostMortem{}};
  executor.start();
  try {
    executor.stop();
    CHECK_MESSAGE(false, "stop() did not throw");
  } catch (const mk::ProcessFinishedWithError& error) {
    CHECK(test::contains(error.what(), "ERROR: LeakSanitizer: detected memory leaks"));
  }
}

TEST_CASE("PostMortem: a real leak is written to a log_path of the user's own") {
  const char* const leaky = std::getenv("MIRAKURU_TEST_LEAKY");
  if (leaky == nullptr) return;
  const Variables cleared{no_options};
  const test::TempDir directory;
  mk::Executor executor{
      mk::Command{.argv = {leaky}, .env = {{"ASAN_OPTIONS", "log_path=" + (directory / "own")}}},
      mk::BannerCheck{"up"}, mk::PostMortem{}};
  const auto pid = executor.start().pid();
  const auto text = test::message_of<mk::ProcessFinishedWithError>([&] { executor.stop(); });
  CHECK_FALSE(test::contains(text, "a sanitizer's report"));
  CHECK(test::contains(test::slurp(directory / ("own." + std::to_string(pid))),
                       "ERROR: LeakSanitizer: detected memory leaks"));
}

TEST_CASE("PostMortem: a real leak is found with signs of the options' language in TMPDIR") {
  const char* const leaky = std::getenv("MIRAKURU_TEST_LEAKY");
  if (leaky == nullptr) return;
  const test::TempDir directory;
  for (const auto* const name : {"a b:c,d", "a'b"}) {
    CAPTURE(name);
    const auto place = directory / name;
    std::filesystem::create_directory(place);
    const Variables changed{{{"TMPDIR", place.c_str()}}};
    mk::Executor executor{{leaky}, mk::BannerCheck{"up"}, mk::PostMortem{}};
    executor.start();
    CHECK(test::contains(test::message_of<mk::ProcessFinishedWithError>([&] { executor.stop(); }),
                         "ERROR: LeakSanitizer: detected memory leaks"));
  }
}
