// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/types.h>
#include <algorithm>
#include <chrono>
#include <exception>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <type_traits>
#include <utility>

#include <boost/hana/for_each.hpp>

#include <mirakuru/engine/service.hpp>
#include <mirakuru/engine/start.hpp>
#include <mirakuru/net/rendezvous.hpp>
#include <mirakuru/os/config.hpp>
#include <mirakuru/sharing/lease.hpp>

namespace mirakuru::detail {

/// The values that this program publishes if it starts the service.
[[nodiscard]] inline std::map<std::string, std::string> published_by(const Shared& shared) {
  std::map<std::string, std::string> values;
  for (const auto& [name, value] : shared.publish) values.emplace(name, value.str());
  return values;
}

/// Adds the facts of the way to end a service that are equal in all programs that share it.
void add_facts_of_end(SharedFacts& facts, std::span<const SignalStep> steps,
                      std::chrono::nanoseconds head_start, std::chrono::nanoseconds stop_budget,
                      std::chrono::nanoseconds linger);
/// All programs read the files that the first one has opened.
template <class Output>
[[nodiscard]] std::string facts_of_output(const Output& output) {
  if constexpr (requires { output.err_path->str(); })
    return "kept in " + output.path.str() +
           (output.err_path ? " and " + output.err_path->str() : "");
  return Output::keeps_output ? "kept" : "not kept";
}
/// The things that have to be equal in all programs.
template <class Set>
[[nodiscard]] SharedFacts shared_facts(const Service<Set>& service) {
  auto facts = service.facts_of_command();
  const auto& input = service.input_policy;
  if constexpr (requires { std::string{input.text}; })
    facts.emplace_back("input", input.text);
  else if constexpr (requires { std::string{input.path.str()}; })
    facts.emplace_back("input", input.path.str());
  else
    facts.emplace_back("input", Set::Input::writable ? "held open" : "");
  hana::for_each(service.checks,
                 [&](const auto& check) { facts.emplace_back("check", name_of(check)); });
  hana::for_each(service.watchers,
                 [&](const auto& watcher) { facts.emplace_back("failure", watcher.describe()); });
  const auto published = published_by(service.sharing);
  for (auto& fact : facts) fact.second = without_values(std::move(fact.second), published);
  // Numbers of the policies, which are no values even if they look the same.
  for (const auto& limit : service.limits_policy.limits())
    facts.emplace_back("limit " + std::to_string(limit.resource),
                       std::to_string(limit.soft) + ", " + std::to_string(limit.hard));
  const auto& steps = service.signals.steps();
  add_facts_of_end(facts, steps, service.head_start(), service.budget.stop, service.sharing.linger);
  facts.emplace_back("output", facts_of_output(service.output));
  return comparable(std::move(facts));
}

/// Spawns it with a lease of its own, and a guardian that keeps it. Found by argument-dependent
/// lookup in `Service::spawn`.
template <class Set>
void spawn_shared(Service<Set>& service, LaunchRequest& request) {
  auto [ours, theirs] = make_lease();
  const auto& [out, err] = std::pair{&service.streams.out(), &service.streams.err()};
  const bool kept = out->kept() && err->kept();
  request.leases = Leasing{.listener = service.shared_run.listener.get(),
                           .starter = theirs.get(),
                           .input = service.input.get(),
                           .out = kept ? out->fd() : -1,
                           .err = kept ? err->fd() : -1,
                           .greeting = greeting_of(shared_facts(service), service.streams),
                           .linger = service.sharing.linger};
  service.process.emplace(service.spawner.spawn(request), Lease{std::move(ours)});
}

/// The service is ready: its guardian hands it on to those that wait.
template <class Set>
void hand_on(Service<Set>& service) {
  auto& run = service.shared_run;
  run.values = {.port = service.port, .published = published_by(service.sharing)};
  service.process->ready(run.values);
  run.listener.reset();
}

/// Takes over a lease on a service that another program has started.
template <class Set>
void join(Service<Set>& service, Lease lease, TimePoint now) {
  service.joined = true;
  service.shared_run.values = lease.values();
  service.port = lease.values().port;
  auto streams = lease.take_streams();
  service.take_over(std::move(streams), std::move(lease));
  service.timeline.spawned = service.timeline.ready = now;
}

/// The part of a shared start that does not depend on policies: finds the service, or the right to
/// start it.
///
///     electing -> waiting -> joined
///       ^  |         |
///       |  +---------+-----> starting
///       +------------+
///
/// electing: looks for the programs that share the name.
/// waiting: the other end of the connection answers, or is closed: then it elects anew.
class SharedStartBase {
 protected:
  enum class Step { wait, joined, starting };

  SharedStartBase(ServiceBase& service, const std::string& name, const std::string& scope)
      : base_{service}, name_{name}, place_{name, scope} {}
  SharedStartBase(const SharedStartBase&) = delete;
  SharedStartBase& operator=(const SharedStartBase&) = delete;
  ~SharedStartBase() = default;

  /// `limit` holds besides the budget, which begins anew with each program that starts it.
  void begin(TimePoint now, std::chrono::nanoseconds budget, std::chrono::nanoseconds limit);
  /// Goes on. After `starting` there is a listener, after `joined` a lease. `facts` are this
  /// program's. Throws the user's error.
  [[nodiscard]] Step go_on(TimePoint now, WaitSet& waits, const SharedFacts& facts);

  [[nodiscard]] std::chrono::nanoseconds waited(TimePoint now) const { return now - began_at_; }

  ServiceBase& base_;
  std::exception_ptr cancelled_;
  UniqueFd listener_;
  Lease lease_;

 private:
  [[nodiscard]] bool elect(TimePoint now);
  void begin_budget(TimePoint now);
  void wait(TimePoint now, WaitSet& waits) const;
  [[noreturn]] void fail(TimePoint now, const std::string& headline) const;
  [[nodiscard]] std::string called() const;

  std::string name_;
  Rendezvous place_;
  TimePoint began_at_ = {}, limit_ = {}, deadline_ = {};
  pid_t starter_ = 0;  // the last one
  std::chrono::nanoseconds budget_ = {};
};

/// The operation of `start()` of a shared service: joins it, or starts it for all.
template <class Set>
class SharedStartOperation : SharedStartBase {
 public:
  SharedStartOperation(Service<Set>& service, CoroutineLoop loop,
                       std::chrono::nanoseconds limit = std::chrono::nanoseconds::max())
      : SharedStartBase{service, service.sharing.name, service.sharing.scope},
        service_{service},
        loop_{loop},
        limit_{limit} {}

  /// As that of `StartOperation`.
  bool resume(TimePoint now, WaitSet& waits) {
    if (start_) return go_on_starting(now, waits);
    if (!std::exchange(began_, true)) {
      if (service_.alive()) return true;
      service_.begin_start();
      service_.shared_run = {};
      reap_later(0);
      begin(now, service_.budget.start, limit_);
      facts_ = shared_facts(service_);
    }
    switch (go_on(now, waits, facts_)) {
      case Step::wait:
        return false;
      case Step::joined:
        join(service_, std::move(lease_), now);
        return true;
      case Step::starting:
        break;
    }
    reap_later(0);  // a guardian may have been killed meanwhile
    service_.shared_run.listener = std::move(listener_);
    start_.emplace(service_, loop_, left(now));
    return go_on_starting(now, waits);
  }

  /// Makes the start fail with `error`, from the next resume() on. Those that wait for it elect
  /// another starter.
  void fail(std::exception_ptr error) {
    cancelled_ = error;
    if (start_) start_->fail(std::move(error));
  }

 private:
  /// The tree has ended when the start throws. So no two services live at the same time.
  bool go_on_starting(TimePoint now, WaitSet& waits) {
    try {
      if (!start_->resume(now, waits)) return false;
    } catch (...) {
      give_up(std::move(service_.shared_run.listener),
              cancelled_ ? nullptr : std::current_exception());
      throw;
    }
    hand_on(service_);
    return true;
  }

  /// The rest of the limit; the start budget begins with the spawn.
  [[nodiscard]] std::chrono::nanoseconds left(TimePoint now) const {
    constexpr auto for_ever = std::chrono::nanoseconds::max();
    return limit_ == for_ever ? for_ever : limit_ - std::min(limit_, waited(now));
  }

  Service<Set>& service_;
  CoroutineLoop loop_;
  std::chrono::nanoseconds limit_;
  bool began_ = false;
  SharedFacts facts_;
  std::optional<StartOperation> start_;
};

/// The operation of `start()` for the policies `Set`.
template <class Set>
using StartOf = std::conditional_t<Set::Sharing::shares, SharedStartOperation<Set>, StartOperation>;

}  // namespace mirakuru::detail

#if !defined(MIRAKURU_SEPARATE_COMPILATION)
#include <mirakuru/engine/shared_start.ipp>
#endif
