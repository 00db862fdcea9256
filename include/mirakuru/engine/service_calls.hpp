// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <array>
#include <chrono>
#include <csignal>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <boost/hana/for_each.hpp>
#include <boost/hana/size.hpp>

#include <mirakuru/budget/environment.hpp>
#include <mirakuru/engine/check_ref.hpp>
#include <mirakuru/engine/policy_set.hpp>
#include <mirakuru/engine/service.hpp>
#include <mirakuru/engine/stop_command.hpp>

// The tables of functions by which the operations call an executor, and its making.

namespace mirakuru::detail {

template <class Handle>
consteval ProcessCalls calls_of_process() {
  using Its = Running<Handle>;
  ProcessCalls calls{
      .exists =
          [](const ServiceBase& service) {
            return static_cast<const Its&>(service).process.has_value();
          },
      .clear = [](ServiceBase& service) { Its::of(service).process.reset(); },
      .look = [](ServiceBase& service) { return Its::of(service).look(); },
      .pid = [](const ServiceBase& service) { return Its::handle_of(service).pid(); },
      .event = [](const ServiceBase& service) { return Its::handle_of(service).event(); },
      .signal =
          [](ServiceBase& service, int number, Scope scope) {
            auto& handle = *Its::of(service).process;
            if (scope == Scope::tree)
              handle.signal(number);
            else if constexpr (requires { handle.signal_leader(number); })
              handle.signal_leader(number);
            else
              ::kill(handle.pid(), number);
          },
      .resume =
          [](ServiceBase& service) {
            auto& handle = *Its::of(service).process;
            if constexpr (requires { handle.resume(); })
              handle.resume();
            else
              handle.signal(SIGCONT);
          },
      .guardian = [](const ServiceBase& service) -> pid_t {
        if constexpr (TellsGuardian<Handle>) return Its::handle_of(service).guardian();
        return 0;
      },
      .far = [](const ServiceBase& service) -> const FarState* {
        if constexpr (TellsFar<Handle>) return Its::handle_of(service).far();
        return nullptr;
      },
      .leave = nullptr};
  if constexpr (requires(Handle& handle) { handle.leave(); })
    calls.leave = [](ServiceBase& service) { return Its::of(service).process->leave(); };
  return calls;
}

template <class... Checks>
inline constexpr std::array<bool, sizeof...(Checks)> are_valid_after_exit{
    ValidAfterExit<Checks>...};
template <class... Checks>
constexpr std::span<const bool> valid_after_exit(hana::basic_type<hana::basic_tuple<Checks...>>) {
  return are_valid_after_exit<Checks...>;
}

template <class Ref, class Tuple>
[[nodiscard]] Ref ref_at(Tuple& all, std::size_t at) {
  Ref result;
  hana::for_each(all, [&](auto& one) {
    if (at-- == 0) result = Ref{one};
  });
  return result;
}

template <class Handle>
inline constexpr ProcessCalls process_calls = calls_of_process<Handle>();

template <class Set>
consteval ServiceCalls calls_of_set() {
  using Its = Service<Set>;
  using Spawner = typename Set::Spawner;
  constexpr std::size_t watchers =
      decltype(hana::size(std::declval<typename Set::WatcherTypes>()))::value;
  ServiceCalls calls{
      .process = &process_calls<typename Its::Handle>,
      .valid_after_exit = valid_after_exit(hana::type_c<typename Set::Checks>),
      .of_spawn = TellsExecution<Spawner> ? 1U : 0U,
      .watchers = watchers,
      .default_reporter = std::is_same_v<typename Set::Reporter, Defaults::Reporter>,
      .spawn = [](ServiceBase& service) { Its::of(service).spawn(); },
      .alive = process_calls<typename Its::Handle>.look,
      .check = [](ServiceBase& service,
                  std::size_t at) { return ref_at<CheckRef>(Its::of(service).checks, at); },
      .watcher = nullptr,
      .terms = [](const ServiceBase& service) -> Terms {
        const auto& its = Its::of(service);
        return {its.budget.start, its.budget.stop, its.head_start(), its.signals.kill};
      },
      .accept = [](const ServiceBase& service) -> std::vector<int> {
        return Its::of(service).signals.accept;
      },
      .ended_badly =
          [](const ServiceBase& service) {
            const auto& its = Its::of(service);
            const auto& steps = its.signals.steps();
            return its.has_ended_badly(steps, its.signals.accept);
          },
      .report = [](ServiceBase& service, const Event& event) { Its::of(service).reporter(event); },
      .wants_steps = nullptr,
      .add_place = nullptr,
      .stop_way = nullptr};
  if constexpr (watchers > 0)
    calls.watcher = [](ServiceBase& service, std::size_t at) {
      return ref_at<WatcherRef>(Its::of(service).watchers, at);
    };
  if constexpr (Its::looks_closely)
    calls.alive = [](ServiceBase& service) { return Its::of(service).look_closely(); };
  if constexpr (requires(const Its& its) { static_cast<bool>(its.reporter.wants_steps()); })
    calls.wants_steps = [](const ServiceBase& service) {
      return static_cast<bool>(Its::of(service).reporter.wants_steps());
    };
  constexpr bool launches =
      requires(const Spawner& spawner, LaunchRequest request) { spawner.launch(request); };
  if constexpr (launches || !runs_here<Spawner>)
    calls.add_place = [](const ServiceBase& service, ProbeContext& context) {
      if constexpr (!runs_here<Spawner>) context.guardian = 0;  // a probe could not ask it
      if constexpr (launches) {
        context.launcher = &Its::of(service).spawner;
        context.beside = [](const void* any, const std::string& id, LaunchRequest request) {
          const auto& launcher = *static_cast<const Spawner*>(any);
          if constexpr (requires { launcher.beside(std::move(request), id); })
            return launcher.beside(std::move(request), id);
          else
            return launcher.launch(std::move(request));
        };
      }
    };
  if constexpr (ClosesInput<typename Set::SignalStrategy>)
    calls.stop_way = [](ServiceBase& service) -> std::unique_ptr<StopWay> {
      service.close_input(std::chrono::milliseconds{50});
      return nullptr;
    };
  else if constexpr (StopsByCommand<typename Set::SignalStrategy>)
    calls.stop_way = [](ServiceBase& service) -> std::unique_ptr<StopWay> {
      const auto& its = Its::of(service);
      return std::make_unique<StopCommand<Spawner>>(its.spawner, its.signals.command,
                                                    its.budget.stop);
    };
  return calls;
}

template <class Set>
inline constexpr ServiceCalls service_calls = calls_of_set<Set>();

/// An executor's data, from the values that its constructor was given.
template <class Set, class... Given>
Service<Set> make_service(ResolvedCommand command, hana::tuple<Given...> given) {
  [[maybe_unused]] constexpr bool accepted =
      (CheckAccepted<Given, Set, Given...>::ok && ... && true);
  // All values of a tuple are there before the first one is moved, for others may be derived from
  // it.
  const auto values = [&given]<class Tuple, class Types>(hana::basic_type<Tuple>, Types) {
    return hana::unpack(Numbered<Types>{}, [&given](auto... slots) {
      return
          [](auto&&... all) { return Tuple{std::move(all)...}; }(value_for<Set>(slots, given)...);
    });
  };
  auto service = hana::unpack(Numbered<typename Set::Single>{}, [&](auto... slots) {
    return Service<Set>{{ServiceBase{std::move(command), &service_calls<Set>}},
                        value_for<Set>(slots, given)...,
                        values(hana::type_c<typename Set::Checks>, typename Set::CheckTypes{}),
                        values(hana::type_c<typename Set::Watchers>, typename Set::WatcherTypes{})};
  });
  if constexpr (std::is_same_v<typename Set::Budget, Defaults::Budget>)
    if (service.budget.start == typename Set::Budget{}.start)
      service.budget.start = start_timeout_of_environment().value_or(service.budget.start);
  const auto& steps = service.signals.steps();
  service.check_terms(steps);
  if constexpr (requires { service.budget.start = std::chrono::nanoseconds{}; })
    service.budget.start = service.slowed(service.budget.start);
  (void)service.limits_policy.limits();
  if constexpr (Set::Sharing::shares) check_shared(service.sharing);
  return service;
}

}  // namespace mirakuru::detail
