// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>
#include <exception>
#include <memory>
#include <source_location>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include <mirakuru/group/group.hpp>

namespace mirakuru {

namespace detail {

/// An executor, and the place of the call that it is given to.
struct LocatedService {
  template <class E>
    requires is_executor<E>
  LocatedService(E& executor, std::source_location place = std::source_location::current())
      : service{service_of(executor)}, where{place} {}

  std::shared_ptr<AnyService> service;
  std::source_location where;
};

template <class Range>
concept ExecutorRange = requires(Range& range) {
  range.begin() != range.end();
  requires is_executor<std::remove_cvref_t<decltype(*range.begin())>>;
};
template <class T>
concept ExecutorTuple = requires { std::tuple_size<T>::value; };

// Members without needs: of executors, of a range of them, and of a tuple of references.
template <class... Es>
[[nodiscard]] std::vector<Member> members_of(const LocatedService& first, Es&... others) {
  std::vector<Member> members(1 + sizeof...(others));
  std::size_t i = 0;
  members[0].service = first.service;
  ((members[++i].service = service_of(others)), ...);
  for (auto& member : members) member.service->base().where = first.where;
  return members;
}
template <ExecutorRange Range>
[[nodiscard]] std::vector<Member> members_of_all(Range& executors, std::source_location where) {
  std::vector<Member> members;
  for (auto& executor : executors) {
    members.emplace_back().service = service_of(executor);
    members.back().service->base().where = where;
  }
  return members;
}
template <ExecutorTuple Tuple>
[[nodiscard]] std::vector<Member> members_of_all(Tuple& executors, std::source_location where) {
  return std::apply(
      [&](auto& first, auto&... others) {
        return members_of(LocatedService{first, where}, others...);
      },
      executors);
}

/// The operation of members that it owns.
class AllOperation {
 public:
  template <class... Arguments>
  explicit AllOperation(std::vector<Member> members, Arguments... arguments)
      : members_{std::move(members)}, operation_{members_, arguments...} {}

  bool resume(TimePoint now, WaitSet& waits) { return operation_.resume(now, waits); }
  void fail(std::exception_ptr error) { operation_.fail(std::move(error)); }

 private:
  std::vector<Member> members_;
  GroupOperation operation_;
};

}  // namespace detail

/// Starts executors at once, and blocks until all are ready: `start_all(db, cache, broker)`. Takes
/// executors and `AnyExecutor`s, or one range of them. No thread is made.
///
/// Throws the first error of one of them. All that this call has started is ended then; those that
/// ran before run on. Throws `std::invalid_argument` for one that is given twice.
template <class... Es>
  requires(detail::is_executor<Es> && ...)
void start_all(detail::LocatedService first, Es&... others) {
  auto members = detail::members_of(first, others...);
  detail::run_start(members, std::chrono::nanoseconds::max());
}
template <detail::ExecutorRange Range>
void start_all(Range& executors, std::source_location where = std::source_location::current()) {
  auto members = detail::members_of_all(executors, where);
  detail::run_start(members, std::chrono::nanoseconds::max());
}

/// Stops executors at once, and blocks until no process is left. Takes the same as `start_all()`.
/// Throws the first error of a `stop()`, when all are gone.
template <class... Es>
  requires(detail::is_executor<Es> && ...)
void stop_all(detail::LocatedService first, Es&... others) {
  auto members = detail::members_of(first, others...);
  detail::run_end(members, detail::End::stop);
}
template <detail::ExecutorRange Range>
void stop_all(Range& executors) {
  auto members = detail::members_of_all(executors, {});
  detail::run_end(members, detail::End::stop);
}

/// Starts executors at once, as `start_all()` does: of a range, or of `std::tie(db, cache)`. They
/// outlive the operation. Needs <mirakuru/async.hpp>.
///
/// @par Completion Signature `void(std::exception_ptr)`
/// @par Per-Operation Cancellation
/// Any type. Those that were started end; then the operation completes with
/// `asio::error::operation_aborted`.
template <class Executors, class CompletionToken>
auto async_start_all(Executors&& executors, CompletionToken&& token,
                     std::source_location where = std::source_location::current()) {
  return detail::initiate_group(std::forward<CompletionToken>(token),
                                [members = detail::members_of_all(executors, where)](auto& loop) {
                                  return detail::AllOperation{members, &loop,
                                                              std::chrono::nanoseconds::max()};
                                });
}
/// Stops executors at once, as `stop_all()` does. Needs <mirakuru/async.hpp>.
///
/// @par Completion Signature `void(std::exception_ptr)`
/// @par Per-Operation Cancellation
/// Any type. SIGKILL follows at once; the operation completes as it would have otherwise.
template <class Executors, class CompletionToken>
auto async_stop_all(Executors&& executors, CompletionToken&& token) {
  return detail::initiate_group(std::forward<CompletionToken>(token),
                                [members = detail::members_of_all(executors, {})](auto&) {
                                  return detail::AllOperation{members, detail::End::stop};
                                });
}

}  // namespace mirakuru
