// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/inotify.h>
#include <unistd.h>
#include <algorithm>

#include <mirakuru/detail/watch.hpp>

namespace mirakuru::detail {

MIRAKURU_DECL FileChanges::FileChanges() {
  UniqueFd fd{::inotify_init1(IN_NONBLOCK | IN_CLOEXEC)};
  if (fd) inotify_ = above_standard(std::move(fd));
}

MIRAKURU_DECL FileChanges::Followed FileChanges::follow(const std::string& path,
                                                        std::uint32_t mask) {
  const int watch = ::inotify_add_watch(inotify_.get(), path.c_str(), mask);
  if (watch < 0) return Followed::not_at_all;
  if (std::find(watches_.begin(), watches_.end(), watch) != watches_.end())
    return Followed::as_before;
  watches_.push_back(watch);
  return Followed::from_now_on;
}

MIRAKURU_DECL FileChanges::Followed FileChanges::follow_directory_of(std::string path) {
  constexpr std::uint32_t mask = IN_CREATE | IN_MOVED_TO | IN_CLOSE_WRITE | IN_ATTRIB;
  for (;;) {
    const auto slash = path.find_last_of('/');
    path = slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
    const auto followed = follow(path, mask);
    if (followed != Followed::not_at_all || path.size() == 1) return followed;
  }
}

MIRAKURU_DECL bool FileChanges::drain() {
  alignas(inotify_event) char buffer[4096];  // what does not go in makes the descriptor ready again
  return ::read(inotify_.get(), buffer, sizeof buffer) > 0;
}

MIRAKURU_DECL UniqueFd FileChanges::retire() {
  for (const int watch : watches_) ::inotify_rm_watch(inotify_.get(), watch);
  watches_.clear();
  return std::move(inotify_);
}

MIRAKURU_DECL Readiness PathWatch::look() {
  auto readiness = ask();
  if (readiness) return readiness;
  // The changes so far are forgotten, and what is new is followed, before a look, so that nothing
  // falls in between.
  bool again = changes_.drain();
  if (again) changed_at_ = Clock::now();
  if (!path_.empty()) {
    const auto followed = changes_.follow_directory_of(path_);
    followed_ = followed != FileChanges::Followed::not_at_all;
    again |= followed == FileChanges::Followed::from_now_on;
  }
  return again ? ask() : readiness;
}

/// Some changes are told to nobody here, such as those by another machine.
MIRAKURU_DECL std::chrono::nanoseconds PathWatch::pause(std::chrono::nanoseconds waited) const {
  using namespace std::chrono_literals;
  return followed_ ? std::clamp<std::chrono::nanoseconds>(waited / 2, 20ms, 1s)
                   : pause_after(waited);
}

}  // namespace mirakuru::detail
