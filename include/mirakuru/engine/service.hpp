// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/types.h>
#include <concepts>
#include <csignal>
#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

#include <boost/hana/for_each.hpp>

#include <mirakuru/engine/policy_set.hpp>
#include <mirakuru/engine/service_base.hpp>
#include <mirakuru/error.hpp>
#include <mirakuru/output/streams.hpp>
#include <mirakuru/sharing/not_shared.hpp>
#include <mirakuru/sharing/process.hpp>
#include <mirakuru/spawn/launch.hpp>

namespace mirakuru::detail {

// The optional members of a spawner's handle.
template <class Handle>
concept TellsStragglers = requires(const Handle& handle) {
  { handle.stragglers() } -> std::convertible_to<const std::vector<Straggler>&>;
};
template <class Handle>
concept TellsTrouble = requires(const Handle& handle) {
  { handle.trouble() } -> std::convertible_to<std::string>;
};

template <class Handle>
concept TellsRefusal = requires(const Handle& handle) {
  { handle.refused() } -> std::same_as<bool>;
};

template <class Handle>
concept TellsFar = requires(const Handle& handle) {
  { handle.far() } -> std::same_as<const FarState*>;
};

template <class Handle>
concept TellsGuardian = requires(const Handle& handle) {
  { handle.guardian() } -> std::same_as<pid_t>;
};

/// An executor's data that depend on the spawner's handle alone.
template <class Handle>
struct Running : ServiceBase {
  std::optional<Handle> process = {};

  [[nodiscard]] static Running& of(ServiceBase& service) { return static_cast<Running&>(service); }
  [[nodiscard]] static const Handle& handle_of(const ServiceBase& service) {
    return *static_cast<const Running&>(service).process;
  }

  /// True while a process of the tree lives. Keeps the news of the handle.
  bool look() {
    if (!process) return false;
    const bool lives = process->alive();
    exit_code = process->exit_code();
    if constexpr (TellsStragglers<Handle>) stragglers = process->stragglers();
    if constexpr (TellsTrouble<Handle>) trouble = process->trouble();
    if constexpr (TellsRefusal<Handle>) refused = process->refused();
    return lives;
  }
  /// Stops the whole tree. False if that takes too long.
  bool pause() {
    if constexpr (requires { process->pause(); }) return process->pause();
    process->signal(SIGSTOP);
    return true;
  }
};

template <class Set>
struct HandleOfSet {
  using Own = decltype(std::declval<const typename Set::Spawner&>().spawn(
      std::declval<const LaunchRequest&>()));
  using type = std::conditional_t<Set::Sharing::shares, SharedProcess<Own>, Own>;
};

/// An executor's data.
template <class Set>
struct Service : Running<typename HandleOfSet<Set>::type> {
  using Handle = typename HandleOfSet<Set>::type;
  static constexpr bool is_shared = Set::Sharing::shares;

  [[no_unique_address]] typename Set::Spawner spawner;
  [[no_unique_address]] typename Set::Budget budget;
  [[no_unique_address]] typename Set::SignalStrategy signals;
  [[no_unique_address]] typename Set::Input input_policy;
  [[no_unique_address]] typename Set::Output output;
  [[no_unique_address]] typename Set::Limits limits_policy;
  [[no_unique_address]] typename Set::Reporter reporter;
  [[no_unique_address]] typename Set::PostMortem post_mortem;
  [[no_unique_address]] typename Set::Sharing sharing;
  [[no_unique_address]] typename Set::Checks checks;
  [[no_unique_address]] typename Set::Watchers watchers;
  [[no_unique_address]] typename Set::PostMortem::Run remains = {};
  [[no_unique_address]] std::conditional_t<is_shared, SharedRun, NotSharedRun> shared_run = {};

  [[nodiscard]] static Service& of(ServiceBase& service) { return static_cast<Service&>(service); }
  [[nodiscard]] static const Service& of(const ServiceBase& service) {
    return static_cast<const Service&>(service);
  }

  void spawn() {
    try {
      this->take_streams(open_streams(output));
      take_policies();
      auto from = input_policy.open();
      auto request = this->prepare(from, std::is_same_v<typename Set::Input, Defaults::Input>);
      const auto& steps = signals.steps();
      this->add_terms(request, steps);
      prepare_all(checks, request);
      prepare_all(watchers, request);
      remains = typename Set::PostMortem::Run{post_mortem, request};
      this->post_mortem_note = remains.note();
      if constexpr (is_shared)
        spawn_shared(*this, request);
      else
        this->process.emplace(spawner.spawn(request));
      this->begin_run();
    } catch (const std::system_error&) {
      this->throw_spawn_error();
    }
  }

  /// Takes the place of the spawn, with a handle of a process that another program has started.
  void take_over(OutputStreams its_streams, auto handle) {
    this->take_streams(std::move(its_streams));
    take_policies();
    this->process.emplace(std::move(handle));
    this->begin_run();
  }

  void take_policies() {
    if constexpr (requires { output.keep_on_failure; }) this->keep_dir = output.keep_on_failure;
    this->limits = limits_policy.limits();
  }

  /// Lets checks change the request.
  template <class Checks>
  void prepare_all(const Checks& all, LaunchRequest& request) {
    hana::for_each(all, [&](const auto& check) {
      if constexpr (requires { check.prepare(request); }) {
        try {
          check.prepare(request);
        } catch (...) {
          this->throw_not_prepared(name_of(check));
        }
      }
    });
  }

  /// The time from the begin of a stop to its first signal.
  [[nodiscard]] std::chrono::nanoseconds head_start() const {
    if constexpr (ClosesInput<typename Set::SignalStrategy> ||
                  StopsByCommand<typename Set::SignalStrategy>) {
      const std::chrono::nanoseconds wait = signals.wait, stop = budget.stop;
      return wait == std::chrono::nanoseconds::zero() ? stop / 2 : wait;
    }
    return {};
  }

  /// A command on another machine may turn out later not to be executed. The remains are looked at
  /// when the leader has ended, and again when its tree has.
  bool look_closely() {
    if (!this->process) return false;
    bool lives = false;
    try {
      lives = this->look();
    } catch (const SpawnFailure&) {
      this->throw_spawn_error();
    }
    if constexpr (!std::is_empty_v<typename Set::PostMortem::Run>) {
      if (!this->exit_code || (this->examined && lives)) return lives;
      this->reports = remains.reports();
      if (!std::exchange(this->examined, true) && leaves_core(*this->exit_code) &&
          this->ended_badly())
        this->backtrace = remains.backtrace(this->process->pid());
    }
    return lives;
  }
  static constexpr bool looks_closely =
      !runs_here<typename Set::Spawner> || !std::is_empty_v<typename Set::PostMortem::Run>;
};

}  // namespace mirakuru::detail
