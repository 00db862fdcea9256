// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>
#include <concepts>
#include <initializer_list>
#include <source_location>
#include <string>
#include <utility>
#include <vector>

#include <boost/hana/for_each.hpp>
#include <boost/hana/remove_if.hpp>
#include <boost/hana/tuple.hpp>
#include <boost/hana/unpack.hpp>

#include <mirakuru/executor.hpp>

namespace mirakuru {

/// The end of a command.
struct Result {
  std::string output;      ///< its standard output, where the output policy keeps it
  std::string err_output;  ///< its standard error
  int exit_code;           ///< 0 to 255, or -N for an end by signal N
};

/// The exit codes that `run()` takes as good, besides 0: `Accept{1, 2}`.
class Accept {
 public:
  Accept(std::initializer_list<int> codes) : codes_{codes} {}

  [[nodiscard]] const std::vector<int>& codes() const noexcept { return codes_; }

 private:
  std::vector<int> codes_;
};

namespace detail {

inline constexpr auto is_accept = []<class T>(const T&) {
  return hana::bool_c<std::is_same_v<T, Accept>>;
};

/// A command, and the place where it is given.
struct LocatedCommand {
  template <std::convertible_to<ResolvedCommand> Given>
  LocatedCommand(const Given& given, std::source_location place = std::source_location::current())
      : command(given), where{place} {}
  LocatedCommand(std::initializer_list<Word> words,
                 std::source_location place = std::source_location::current())
      : command(words), where{place} {}

  ResolvedCommand command;
  std::source_location where;
};

/// Runs the command of an executor to its end.
struct RunToEnd {
  template <class... Policies>
  static Result of(Executor<Policies...> executor, const std::vector<int>& accept,
                   std::source_location where) {
    const auto begin = Clock::now();
    auto& service = ServiceAccess::of(executor);
    executor.start(where);
    try {
      run(WaitOperation{service, begin, service.budget.start}, PollLoop{});
    } catch (...) {
      service.told = true;
      executor.kill();
      throw;
    }
    service.told = true;
    executor.kill();  // its descendants
    const int code = service.exit_code.value_or(0);
    if (!is_accepted(code, accept, {})) service.error_context(Clock::now()).throw_exited(code, "");
    return {service.streams.out().text(), service.streams.err().text(), code};
  }
};

}  // namespace detail

/// Runs a command to its end: `run({"initdb", "-D", dir / "data"})`. Nothing that it has started is
/// left.
///
/// Takes the policies of an executor in any order, and `Accept`. The start budget is the time for
/// all of the run: 60 s if none is given. Throws `ProcessExitedWithError`, with the exit code and
/// both outputs, for a code that is neither 0 nor accepted. Throws `TimeoutExpired`, and the errors
/// of `start()`.
template <class... Policies>
Result run(detail::LocatedCommand command, Policies... policies) {
  namespace hana = boost::hana;
  hana::tuple<Policies...> given{std::move(policies)...};
  std::vector<int> accept;
  hana::for_each(given, [&accept]<class T>(const T& policy) {
    if constexpr (std::is_same_v<T, Accept>)
      accept.insert(accept.end(), policy.codes().begin(), policy.codes().end());
  });
  constexpr bool has_budget = ((detail::axis_of<Policies>() == detail::Axis::budget) || ...);
  const auto run_with = [&](auto... rest) {
    return detail::RunToEnd::of(Executor{std::move(command.command), std::move(rest)...}, accept,
                                command.where);
  };
  return hana::unpack(hana::remove_if(std::move(given), detail::is_accept), [&](auto... rest) {
    if constexpr (has_budget)
      return run_with(std::move(rest)...);
    else
      return run_with(std::move(rest)..., TimeoutBudget{.start = std::chrono::seconds{60},
                                                        .stop = std::chrono::seconds{10}});
  });
}

}  // namespace mirakuru
