// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include <mirakuru/group/any_executor.hpp>
#include <mirakuru/os/config.hpp>

namespace mirakuru {

namespace detail {

/// A service that refers to an executor, or to that of an `AnyExecutor`.
template <class E>
[[nodiscard]] std::shared_ptr<AnyService> service_of(E& executor) {
  if constexpr (std::is_same_v<E, AnyExecutor>)
    return {std::shared_ptr<void>{}, &ServiceAccess::of(executor)};
  else
    return std::make_shared<ServiceOf<SetOf<E>>>(ServiceAccess::of(executor));
}

template <class T>
inline constexpr bool is_executor = std::is_same_v<T, AnyExecutor>;
template <class... Policies>
inline constexpr bool is_executor<Executor<Policies...>> = true;

/// A service of a group, and its last start.
struct Member {
  std::shared_ptr<void> owner;  // of an executor that the group owns; null for none
  std::shared_ptr<AnyService> service;
  std::vector<const ServiceBase*> needed;  // as they were given
  std::vector<std::string> needed_names;
  std::vector<std::size_t> needs;  // their places, before a start
  TimePoint began = {}, ready = {};
  bool is_task = false;  // it had ended with 0 when it was ready
};

/// Fills in the places of the needs. Throws `std::invalid_argument` that names a need which is no
/// member, and those of a cycle.
void resolve_needs(std::span<Member> members);

}  // namespace detail

/// The executors that a member of a `Group` needs: they are ready before it starts, and end after
/// it has ended.
class Needs {
 public:
  Needs() = default;

 private:
  template <class... Es>
  friend Needs needs(const Es&... executors);
  friend class Group;

  std::vector<const detail::ServiceBase*> services_;
  std::vector<std::string> names_;
};

/// See `Group::add()`.
template <class... Es>
[[nodiscard]] Needs needs(const Es&... executors) {
  static_assert((detail::is_executor<Es> && ...), "mirakuru: needs() takes executors");
  Needs result;
  const auto base = []<class E>(const E& executor) -> const detail::ServiceBase* {
    auto& changeable = const_cast<E&>(executor);
    if constexpr (std::is_same_v<E, AnyExecutor>)
      return &detail::ServiceAccess::of(changeable).base();
    else
      return &detail::ServiceAccess::of(changeable);
  };
  result.services_ = {base(executors)...};
  result.names_ = {executors.command()...};
  return result;
}

}  // namespace mirakuru

#if !defined(MIRAKURU_SEPARATE_COMPILATION)
#include <mirakuru/group/member.ipp>
#endif
