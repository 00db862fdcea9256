// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/inotify.h>
#include <unistd.h>
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <asio/redirect_error.hpp>

#include <mirakuru/detail/asio.hpp>
#include <mirakuru/detail/race.hpp>
#include <mirakuru/detail/schedule.hpp>
#include <mirakuru/detail/unique_fd.hpp>
#include <mirakuru/process.hpp>

// Only impl/ includes this.

namespace mirakuru::detail {

/// The directory that a path lies in.
inline std::string parent(const std::string& path) {
  const auto slash = path.find_last_of('/');
  return slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
}

/// Wakes when one of the files watched changes, or when a pause is over: the kernel grants few
/// inotify instances to each user, and some file systems have no events.
class FileWatch {
 public:
  /// Leaves its descriptor in `spent` when it is done.
  FileWatch(const asio::any_io_executor& executor, std::shared_ptr<SpentFds> spent)
      : state_{std::make_shared<State>(executor)}, spent_{std::move(spent)} {
    if (const int fd = ::inotify_init1(IN_NONBLOCK | IN_CLOEXEC); fd >= 0)
      state_->events.assign(above_standard(UniqueFd{fd}).release());
  }
  ~FileWatch() {
    if (!state_->events.is_open()) return;
    UniqueFd events{state_->events.release()};
    for (const int watch : watches_) ::inotify_rm_watch(events.get(), watch);
    spent_->push_back(std::move(events));
  }
  FileWatch(const FileWatch&) = delete;
  FileWatch& operator=(const FileWatch&) = delete;

  /// Watches one more. False where that cannot be done, as for a file that is not there.
  bool add(const std::string& path, std::uint32_t mask) {
    if (!state_->events.is_open()) return false;
    const int watch = ::inotify_add_watch(state_->events.native_handle(), path.c_str(), mask);
    if (watch < 0) return false;
    if (std::find(watches_.begin(), watches_.end(), watch) == watches_.end())
      watches_.push_back(watch);
    return true;
  }

  /// Waits for a change, and `pause` at the most. Ends at once when it is called off; whoever waits
  /// looks at the cancellation state then.
  asio::awaitable<void> changed(std::chrono::nanoseconds pause) {
    if (!state_->waiting && state_->events.is_open()) {
      state_->waiting = true;
      // The state outlives this object by the end of the wait.
      state_->events.async_wait(asio::posix::descriptor_base::wait_read,
                                [state = state_](asio::error_code error) {
                                  state->waiting = false;
                                  if (!error) state->drain();
                                });
    }
    if (!state_->changed) {
      asio::error_code ignored;
      state_->timer.expires_after(pause);
      co_await state_->timer.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    }
    state_->changed = false;
  }

 private:
  struct State {
    explicit State(const asio::any_io_executor& executor) : events{executor}, timer{executor} {}

    /// What has changed is not of interest, only that it has.
    void drain() {
      alignas(inotify_event) char buffer[4096];
      while (::read(events.native_handle(), buffer, sizeof buffer) > 0) {
      }
      changed = true;
      timer.cancel();
    }

    asio::posix::stream_descriptor events;
    asio::steady_timer timer;
    bool waiting = false;
    bool changed = false;
  };
  std::shared_ptr<State> state_;
  std::shared_ptr<SpentFds> spent_;
  std::vector<int> watches_;
};

/// Asks `attempt` again whenever something happens in the file's directory, or the nearest one
/// above it that is there, and after pauses. Called off, it asks a last time, and answers what that
/// said.
template <class Try>
asio::awaitable<Readiness> await_file(std::string path, Try attempt,
                                      std::shared_ptr<SpentFds> spent) {
  constexpr std::uint32_t changes = IN_CREATE | IN_MOVED_TO | IN_CLOSE_WRITE | IN_ATTRIB;
  co_await asio::this_coro::throw_if_cancelled(false);
  FileWatch watch{co_await asio::this_coro::executor, std::move(spent)};
  const auto begin = Clock::now();
  for (;;) {
    const auto state = co_await asio::this_coro::cancellation_state;
    // Watched before it is asked, so that no change falls in between.
    if (!path.empty())
      for (auto directory = parent(path); !watch.add(directory, changes) && directory.size() > 1;)
        directory = parent(directory);
    auto readiness = attempt();
    if (readiness || state.cancelled() != asio::cancellation_type::none) co_return readiness;
    co_await watch.changed(pause_after(Clock::now() - begin));
  }
}

}  // namespace mirakuru::detail
