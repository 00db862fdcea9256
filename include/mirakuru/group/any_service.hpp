// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/types.h>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <boost/hana/for_each.hpp>

#include <mirakuru/executor.hpp>
#include <mirakuru/group/task.hpp>

namespace mirakuru::detail {

/// How a service is ended.
enum class End {
  stop,     ///< by its strategy; a bad end is an error
  destroy,  ///< by its strategy; a bad end is reported
  kill      ///< by its kill signal; no end is an error
};

/// A check whose type is forgotten.
struct AnyCheck {
  std::shared_ptr<void> owner;
  CheckRef check;

  template <class Check>
  static AnyCheck of(Check check) {
    const auto held = std::make_shared<Check>(std::move(check));
    return {held, CheckRef{*held}};
  }
  [[nodiscard]] std::string describe() const { return check.describe(); }
  [[nodiscard]] std::unique_ptr<Probe> probe(const Process& process) const {
    return check.probe(process);
  }
};

using MakeTask = std::function<std::unique_ptr<Task>(CoroutineLoop)>;

/// An executor whose type is forgotten: makes the tasks of its operations.
class AnyService {
 public:
  virtual ~AnyService() = default;

  /// The task of a start within `limit`, besides its own budget.
  [[nodiscard]] virtual std::unique_ptr<Task> start(CoroutineLoop loop,
                                                    std::chrono::nanoseconds limit) = 0;
  [[nodiscard]] virtual std::unique_ptr<Task> end(End how) = 0;
  /// The same by `signal` in place of the strategy's. Exit codes in `accept` are good besides.
  [[nodiscard]] virtual std::unique_ptr<Task> end_by(int signal, End how,
                                                     const std::vector<int>& accept) = 0;
  /// The task of a wait for its end.
  [[nodiscard]] virtual std::unique_ptr<Task> wait(std::chrono::nanoseconds limit) = 0;
  /// The task of a wait for a check.
  [[nodiscard]] virtual std::unique_ptr<Task> wait_for(AnyCheck check,
                                                       std::chrono::nanoseconds limit,
                                                       CoroutineLoop loop) = 0;
  [[nodiscard]] virtual bool needs_asio() const noexcept = 0;
  /// Runs a task in the calling thread, on the loop that the checks need.
  virtual void run(const MakeTask& make) = 0;

  /// The part of its data that does not depend on policies.
  [[nodiscard]] virtual ServiceBase& base() const noexcept = 0;
  [[nodiscard]] virtual bool alive() = 0;
  [[nodiscard]] virtual bool pause() = 0;
  virtual void resume() = 0;
  [[nodiscard]] virtual pid_t pid() const noexcept = 0;
  /// The process above the tree; 0 for none.
  [[nodiscard]] virtual pid_t guardian() const noexcept = 0;
  /// The values that the starter of a shared service hands on; none for one that is not shared.
  [[nodiscard]] virtual const SharedValues& values() const noexcept = 0;
  /// The descriptor that tells of news; -1 for none.
  [[nodiscard]] virtual int event() const noexcept = 0;
  [[nodiscard]] virtual std::chrono::nanoseconds start_budget() const noexcept = 0;
  [[nodiscard]] virtual std::vector<std::string> check_names() const = 0;
};

/// A check of a wait, and the wait.
class CheckTask final : public Task {
 public:
  CheckTask(ServiceBase& service, AnyCheck check, std::chrono::nanoseconds limit,
            CoroutineLoop loop)
      : check_{std::move(check)}, operation_{service, check_.check, limit, loop} {}

  bool resume(TimePoint now, WaitSet& waits) override { return operation_.resume(now, waits); }
  void cancel(std::exception_ptr error) override { operation_.fail(std::move(error)); }

 private:
  AnyCheck check_;
  StartOperation operation_;
};

/// The service of an executor, which it refers to.
template <class Set>
class ServiceOf final : public AnyService {
 public:
  explicit ServiceOf(Service<Set>& service) : service_{service} {}

  std::unique_ptr<Task> start(CoroutineLoop loop, std::chrono::nanoseconds limit) override {
    return std::make_unique<TaskOf<StartOf<Set>>>(service_, loop, limit);
  }
  std::unique_ptr<Task> end(End how) override {
    if (how == End::kill) return end_by(service_.signals.kill, how, {});
    const auto& steps = service_.signals.steps();
    return std::make_unique<Stop>(service_, Clock::now(),
                                  StopPlan{steps, service_.head_start(), true},
                                  how == End::stop ? ExitPolicy::check : ExitPolicy::report);
  }
  std::unique_ptr<Task> end_by(int signal, End how, const std::vector<int>& accept) override {
    const auto steps = single_step(signal);
    return std::make_unique<Stop>(service_, Clock::now(), StopPlan{steps},
                                  how == End::kill ? service_.kill_policy() : ExitPolicy::check,
                                  accept);
  }
  std::unique_ptr<Task> wait(std::chrono::nanoseconds limit) override {
    return std::make_unique<TaskOf<WaitOperation>>(service_, Clock::now(), limit);
  }
  std::unique_ptr<Task> wait_for(AnyCheck check, std::chrono::nanoseconds limit,
                                 CoroutineLoop loop) override {
    return std::make_unique<CheckTask>(service_, std::move(check), limit, loop);
  }
  bool needs_asio() const noexcept override { return std::is_same_v<Loop, AsioLoop>; }
  void run(const MakeTask& make) override {
    Loop loop;
    detail::run(*make(loop), loop);
  }

  ServiceBase& base() const noexcept override { return service_; }
  bool alive() override { return service_.alive(); }
  bool pause() override { return service_.pause(); }
  void resume() override { service_.resume(); }
  pid_t pid() const noexcept override { return service_.pid(); }
  pid_t guardian() const noexcept override { return service_.guardian(); }
  const SharedValues& values() const noexcept override { return service_.shared_run.values; }
  int event() const noexcept override { return service_.event(); }
  std::chrono::nanoseconds start_budget() const noexcept override { return service_.budget.start; }
  std::vector<std::string> check_names() const override {
    std::vector<std::string> names;
    hana::for_each(service_.checks, [&](const auto& check) { names.push_back(name_of(check)); });
    return names;
  }

 private:
  using Stop = TaskOf<StopOperation>;
  using Loop = BlockingLoop<typename Set::Checks, typename Set::Watchers>;

  Service<Set>& service_;
};

}  // namespace mirakuru::detail
