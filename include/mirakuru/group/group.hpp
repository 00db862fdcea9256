// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>
#include <memory>
#include <source_location>
#include <type_traits>
#include <utility>
#include <vector>

#include <mirakuru/budget/duration.hpp>
#include <mirakuru/group/member.hpp>
#include <mirakuru/group/operation.hpp>
#include <mirakuru/group/timeline.hpp>
#include <mirakuru/os/config.hpp>

namespace mirakuru {

namespace detail {

/// Begins the asynchronous operation that `make(loop)` returns.
template <class CompletionToken, class Make>
auto initiate_group(CompletionToken&& token, Make make) {
  static_assert(HasAsync<Make>, "mirakuru: the Asio forms need #include <mirakuru/async.hpp>");
  if constexpr (HasAsync<Make>)
    return async_operation(AsyncTag{}, std::forward<CompletionToken>(token), std::move(make));
}

}  // namespace detail

/// Executors that start and stop together, each as soon as its needs allow.
///
///     mirakuru::Group stack;
///     stack.add(db);
///     stack.add(cache);
///     stack.add(api, mirakuru::needs(db, cache));
///     stack.start();
///
/// All runs in the calling thread. An executor that is added by reference outlives the group, and
/// stays where it is. The destructor stops the group.
///
/// If the owner is killed, each member ends by its own guardian: all at once, in no order.
class Group {
 public:
  Group() = default;
  Group(Group&&) noexcept = default;
  Group& operator=(Group&&) = delete;
  /// Stops all members. Never throws: the members' reporters are told.
  ~Group();

  /// Adds an executor, or an `AnyExecutor`: refers to an lvalue, and owns an rvalue. Returns the
  /// executor, for `needs()` and for the test. A member with `ExitCheck` is a task.
  template <class E>
  std::remove_reference_t<E>& add(E&& executor, Needs needs = {}) {
    using Held = std::remove_cvref_t<E>;
    static_assert(detail::is_executor<Held>, "mirakuru: a group is made of executors");
    detail::Member member;
    auto* held = std::addressof(executor);
    if constexpr (!std::is_lvalue_reference_v<E>) {
      auto owner = std::make_shared<Held>(std::move(executor));
      held = owner.get();
      member.owner = std::move(owner);
    }
    member.service = detail::service_of(*held);
    member.needed = std::move(needs.services_);
    member.needed_names = std::move(needs.names_);
    members_.push_back(std::move(member));
    return *held;
  }

  /// Starts all members, and blocks until all are ready. A member starts as soon as its needs are
  /// ready; those that do not depend on each other start at once. One that runs already counts as
  /// ready.
  ///
  /// `timeout`: for all of it; each member has its own start budget besides. Throws the first error
  /// of a member. `ProcessExitedWithError` if one dies while others start. All that this call has
  /// started is ended then, in reverse order. Throws `std::invalid_argument` for a cycle, for a
  /// need that is not in the group, and for a member that was added twice.
  Group& start(Duration timeout = std::chrono::nanoseconds::max(),
               std::source_location where = std::source_location::current());
  /// Stops all members in reverse order, and blocks until no process is left. A member gets its
  /// signal when all that need it are gone. Throws the first error of a member's `stop()`, when all
  /// are gone.
  Group& stop() { return end(detail::End::stop); }
  /// Kills all members at once.
  Group& kill() { return end(detail::End::kill); }
  /// True if all members run, or are tasks that have ended with 0.
  [[nodiscard]] bool running();
  /// Throws the error of the first member that has ended by itself; tasks may end with 0.
  Group& check_alive();
  /// The times of the last start.
  [[nodiscard]] GroupTimeline timeline() const;
  [[nodiscard]] std::size_t size() const noexcept { return members_.size(); }

  /// Starts all members, as `start()` does. Needs <mirakuru/async.hpp>.
  ///
  /// @par Completion Signature `void(std::exception_ptr)`
  /// @par Per-Operation Cancellation
  /// Any type. The members that were started end; then the operation completes with
  /// `asio::error::operation_aborted`.
  template <class CompletionToken>
  auto async_start(Duration timeout, CompletionToken&& token,
                   std::source_location where = std::source_location::current()) {
    prepare(where);
    return detail::initiate_group(
        std::forward<CompletionToken>(token),
        [this, timeout](auto& loop) { return detail::GroupOperation{members_, loop, timeout}; });
  }
  template <class CompletionToken>
  auto async_start(CompletionToken&& token,
                   std::source_location where = std::source_location::current()) {
    return async_start(std::chrono::nanoseconds::max(), std::forward<CompletionToken>(token),
                       where);
  }
  /// Stops all members, as `stop()` does. Needs <mirakuru/async.hpp>.
  ///
  /// @par Completion Signature `void(std::exception_ptr)`
  /// @par Per-Operation Cancellation
  /// Any type. SIGKILL follows at once; the operation completes as it would have otherwise.
  template <class CompletionToken>
  auto async_stop(CompletionToken&& token) {
    return detail::initiate_group(std::forward<CompletionToken>(token), [this](auto&) {
      return detail::GroupOperation{members_, detail::End::stop};
    });
  }

 private:
  void prepare(std::source_location where);
  Group& end(detail::End how);

  std::vector<detail::Member> members_;
};

}  // namespace mirakuru

#if !defined(MIRAKURU_SEPARATE_COMPILATION)
#include <mirakuru/group/group.ipp>
#endif
