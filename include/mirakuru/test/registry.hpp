// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/types.h>
#include <cstddef>
#include <deque>
#include <map>
#include <mutex>
#include <source_location>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <mirakuru/os/config.hpp>
#include <mirakuru/output/streams.hpp>
#include <mirakuru/report/observer.hpp>

namespace mirakuru::detail {

/// A service of the test program, which starts with the first test and ends after the last.
class ServiceOfTests {
 public:
  ServiceOfTests(const ServiceOfTests&) = delete;
  ServiceOfTests& operator=(const ServiceOfTests&) = delete;

  [[nodiscard]] const std::string& name() const noexcept { return name_; }

 protected:
  /// Registers it, in the order of definition. `is_one`: it is one executor, and bears the name.
  ServiceOfTests(std::string name, bool is_one);
  virtual ~ServiceOfTests();

  /// Starts it if the first test has come. Throws `ExecutorError` before, and if it has not
  /// started.
  void ensure_started();

 private:
  friend class Registry;

  enum class State { waiting, starting, started, failed, ended };

  virtual void start_now() = 0;
  virtual void stop_now() = 0;

  std::string name_;
  bool is_one_;
  State state_ = State::waiting;
  std::string error_ = {};  // of the start
  bool told_dead_ = false;  // a test has failed by its end
};

/// Lines of `text`, each with `[name]` in front, and control characters escaped.
[[nodiscard]] std::string named_lines(const std::string& name, const std::string& text);

/// The output of both files, in at most `most` lines. Empty for none.
[[nodiscard]] std::string output_excerpt(const OutputStreams& streams, std::size_t most);

/// All executors that run in this process, and the services of its tests. It knows no framework: a
/// header of one tells it the begin and the end of each test, and asks for its findings.
class Registry final : public Observer {
 public:
  static constexpr std::size_t most_lines = 40, most_ended = 20;

  /// Prints a line of a reporter. Returns false if the framework cannot take it now.
  using Print = bool (*)(const std::string& line, bool in_test);

  /// The one of this process.
  static Registry& instance();
  /// Observes all starts from now on.
  void install(Print how) noexcept;

  /// The first test is about to run: starts the services in the order of definition, until one
  /// fails. Each call but the first does nothing, until `end_run()`. Never throws.
  void begin_run();
  /// The reason if a service has not started; each call but the first has one line. Empty for none.
  [[nodiscard]] std::string start_failure();
  /// Ends the services in reverse order of their starts. Returns the messages of those that have
  /// not ended well. Never throws.
  [[nodiscard]] std::vector<std::string> end_run();
  /// No run is told of here, as in the child of a death test: a service starts when it is used.
  void start_on_use() noexcept { starts_on_use_ = !in_run_; }

  /// A test begins: the output before is another's.
  void begin_test();
  /// The messages of all services that have died since the last call. Waits for the end of one that
  /// is about to die.
  [[nodiscard]] std::vector<std::string> take_failures();
  /// The lines that each service has printed since the test began. Empty for none.
  [[nodiscard]] std::string output_of_test();
  void end_test();

  void starting(Observed& service, Fate (*look)(Observed&)) noexcept override;
  void started(Observed& service, pid_t leader) noexcept override;
  void moved(Observed& from, Observed& to) noexcept override;
  void cleared(Observed& service) noexcept override;
  void destroyed(Observed& service) noexcept override;
  bool ended_badly(Observed& service, const std::string& message) noexcept override;
  bool print(const std::string& line) noexcept override;

 private:
  friend class ServiceOfTests;

  struct Run {
    std::string name;
    Fate (*look)(Observed&) = nullptr;
    ServiceOfTests* owner = nullptr;
    pid_t leader = 0;
    bool runs = false;        // from the spawn to the end of its tree
    bool is_settled = false;  // its end is known, or is none that a test fails by
    OutputStreams streams = {};
    std::size_t number = 0;  // in the order of starts
  };
  struct Ended {
    std::string name;
    pid_t leader;
    std::string output;
    std::size_t number;
  };

  Registry() = default;

  void start(ServiceOfTests& service);
  void look_at(Observed& service, Run& run);
  [[nodiscard]] bool is_fork() const noexcept;

  std::recursive_mutex mutex_;  // a look at a service may lead to a call
  std::map<Observed*, Run> runs_;
  std::deque<Ended> ended_;  // of this test
  std::size_t forgotten_ = 0, number_ = 0;
  std::vector<std::string> failures_;
  bool in_test_ = false;
  std::thread::id thread_;  // of the tests
  pid_t process_ = 0;       // a fork has a copy of all this
  Print print_ = nullptr;

  std::vector<ServiceOfTests*> services_, started_;
  ServiceOfTests* starting_ = nullptr;
  bool in_run_ = false, starts_on_use_ = false;
  std::string start_failure_;
  bool start_failure_told_ = false;
};

}  // namespace mirakuru::detail

#if !defined(MIRAKURU_SEPARATE_COMPILATION)
#include <mirakuru/test/registry.ipp>
#endif
