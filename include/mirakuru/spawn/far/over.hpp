// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <concepts>
#include <string>
#include <utility>

#include <mirakuru/spawn/guarded.hpp>
#include <mirakuru/spawn/launch.hpp>

namespace mirakuru {

/// Rewrites a request, so that its command runs elsewhere.
///
///     struct Nice {
///       static constexpr bool runs_here = true;
///       mirakuru::LaunchRequest launch(mirakuru::LaunchRequest request) const {
///         request.words.insert(request.words.begin(), {"nice", "-n", "10"});
///         return request;
///       }
///     };
///
/// A member `LaunchRequest beside(LaunchRequest, const std::string& id) const` is for the runs of
/// an `ExecCheck`, which go to the service with that id. Without one they are launched alike.
template <class T>
concept Launcher = requires(const T& launcher, LaunchRequest request) {
  { launcher.launch(request) } -> std::same_as<LaunchRequest>;
};

/// One launcher by means of another: `Over{Slurm{}, Ssh{.host = "login"}}` runs srun on that host.
/// Its promise is the one of the second.
template <Launcher Outer, Launcher Inner>
struct Over {
  static constexpr Guarantee guarantee = Inner::guarantee;
  static constexpr bool runs_here = false, executes_later = true;

  Outer launcher;
  Inner by;

  [[nodiscard]] LaunchRequest launch(LaunchRequest request) const {
    return by.launch(launcher.launch(std::move(request)));
  }
  [[nodiscard]] LaunchRequest beside(LaunchRequest request, const std::string& id) const {
    if constexpr (requires { launcher.beside(std::move(request), id); })
      return by.launch(launcher.beside(std::move(request), id));
    else
      return launch(std::move(request));
  }
  /// Starts the local command of the second launcher. Throws as `GuardedSpawner` does.
  [[nodiscard]] GuardedProcess spawn(const LaunchRequest& request) const {
    return GuardedSpawner{}.spawn(launch(request));
  }
};

}  // namespace mirakuru
