// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <algorithm>
#include <array>
#include <concepts>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <boost/hana/basic_tuple.hpp>
#include <boost/hana/for_each.hpp>

#include <mirakuru/concepts.hpp>
#include <mirakuru/ready/composed/arms.hpp>
#include <mirakuru/ready/probe.hpp>

// The members of checks that are made of checks, apart from their probes.

namespace mirakuru::detail {

template <class Check>
concept Prepares = requires(const Check& check, LaunchRequest& request) { check.prepare(request); };

template <class Check>
concept Quotes = requires(const Check& check, const Process& process) { check.quote(process); };

/// The members that `AnyOf` and `AllOf` have in common.
template <class... Checks>
class Composed {
  static_assert((ReadinessCheck<Checks> && ...),
                "mirakuru: a composed check is made of readiness checks");

 public:
  static constexpr bool reads_output = (ReadsOutput<Checks> || ...);
  static constexpr bool needs_asio = (NeedsAsio<Checks> || ...);
  static constexpr bool needs_preparation = (NeedsPreparation<Checks> || ...);
  static constexpr bool looks_here = (LooksHere<Checks> || ...);

  explicit Composed(Checks... checks) : checks_{std::move(checks)...} {}

  /// Asked before the start, if one of the checks is.
  [[nodiscard]] std::unique_ptr<Probe> precheck() const
    requires(AskedBefore<Checks> || ...)
  {
    return std::make_unique<ArmsPrecheck<sizeof...(Checks)>>(checks_, conflict_);
  }
  /// Called before the spawn.
  void prepare(LaunchRequest& request) const
    requires(Prepares<Checks> || ...)
  {
    hana::for_each(checks_, [&request]<class Check>(const Check& check) {
      if constexpr (Prepares<Check>) check.prepare(request);
    });
  }
  /// The reason of the check that holds before the start.
  [[nodiscard]] std::string describe_conflict() const { return conflict_; }
  /// The hints of the checks, each once; those of several lines stand at the end.
  [[nodiscard]] std::string hint(const Process& process) const {
    std::vector<std::string> hints;
    hana::for_each(checks_, [&](const auto& check) {
      if constexpr (requires { check.hint(process); })
        if (auto hint = check.hint(process); std::ranges::count(hints, hint) == 0)
          hints.push_back(std::move(hint));
    });
    std::string text;
    for (const bool several_lines : {false, true})
      for (const auto& hint : hints)
        if (!hint.empty() && (hint.find('\n') != hint.npos) == several_lines)
          text += (text.empty() ? "" : "\n") + hint;
    return text;
  }
  /// The first line that a check quotes.
  [[nodiscard]] std::string quote(const Process& process) const
    requires(Quotes<Checks> || ...)
  {
    std::string text;
    hana::for_each(checks_, [&]<class Check>(const Check& check) {
      if constexpr (Quotes<Check>)
        if (text.empty()) text = check.quote(process);
    });
    return text;
  }
  /// A check that is derived from one of these, as a TCP check from the URL of an HTTP check.
  template <class T>
    requires(((!std::same_as<Checks, T> && std::is_convertible_v<const Checks&, T>) || ...) &&
             ReadinessCheck<T>)
  operator T() const {
    std::optional<T> derived;
    hana::for_each(checks_, [&]<class Check>(const Check& check) {
      if constexpr (!std::same_as<Check, T> && std::is_convertible_v<const Check&, T>)
        if (!derived) derived.emplace(check);
    });
    return *std::move(derived);
  }

 protected:
  /// "any of (a, b)", or "any of (a, within 1 s; b)".
  [[nodiscard]] std::string describe_as(const char* name) const {
    std::array<std::string, sizeof...(Checks)> names;
    std::size_t i = 0;
    hana::for_each(checks_, [&](const auto& check) { names[i++] = name_of(check); });
    const bool commas =
        std::ranges::any_of(names, [](const auto& text) { return text.find(", ") != text.npos; });
    std::string text;
    for (const auto& arm : names)
      text += (text.empty() ? std::string{name} + " (" : commas ? "; " : ", ") + arm;
    return text + ')';
  }

  mutable hana::basic_tuple<Checks...> checks_;  // a predicate may change itself

 private:
  mutable std::string conflict_;
};

/// The members that `Within` and `StableFor` have in common: all is their one check's, but the
/// probe and the name.
template <class Check>
class Wrapped {
  static_assert(ReadinessCheck<Check>, "mirakuru: Within and StableFor take a readiness check");

 public:
  static constexpr bool reads_output = ReadsOutput<Check>;
  static constexpr bool needs_asio = NeedsAsio<Check>;
  static constexpr bool needs_preparation = NeedsPreparation<Check>;
  static constexpr bool looks_here = LooksHere<Check>;

  explicit Wrapped(Check check) : check_{std::move(check)} {}

  /// Asked before the start, if the check is.
  [[nodiscard]] std::unique_ptr<Probe> precheck() const
    requires AskedBefore<Check>
  {
    return make_precheck(check_);
  }
  /// Called before the spawn.
  void prepare(LaunchRequest& request) const
    requires Prepares<Check>
  {
    check_.prepare(request);
  }
  /// Says why the check holds before the start.
  [[nodiscard]] std::string describe_conflict() const { return conflict_of(check_); }
  /// The check's own hint.
  [[nodiscard]] std::string hint(const Process& process) const {
    if constexpr (requires { check_.hint(process); }) return check_.hint(process);
    return {};
  }
  /// The line that the check quotes.
  [[nodiscard]] std::string quote(const Process& process) const
    requires Quotes<Check>
  {
    return check_.quote(process);
  }
  /// A check that is derived from this one, as a TCP check from the URL of an HTTP check.
  template <class T>
    requires(!std::same_as<Check, T> && std::is_convertible_v<const Check&, T> && ReadinessCheck<T>)
  operator T() const {
    return check_;
  }

 protected:
  mutable Check check_;  // a predicate may change itself
};

}  // namespace mirakuru::detail
