// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/inotify.h>
#include <unistd.h>
#include <utility>

#include <mirakuru/os/file_changes.hpp>

namespace mirakuru::detail {

MIRAKURU_DECL FileChanges::FileChanges() {
  UniqueFd fd{::inotify_init1(IN_NONBLOCK | IN_CLOEXEC)};
  if (fd) inotify_ = move_above_stdio(std::move(fd));
}

MIRAKURU_DECL FileChanges::Followed FileChanges::follow(const std::string& path, std::uint32_t mask,
                                                        std::string name) {
  const int watch = ::inotify_add_watch(inotify_.get(), path.c_str(), mask);
  if (watch < 0) return Followed::not_at_all;
  for (const auto& watched : watches_)
    if (watched.watch == watch && watched.name == name) return Followed::as_before;
  watches_.push_back({watch, std::move(name)});
  return Followed::from_now_on;
}

MIRAKURU_DECL FileChanges::Followed FileChanges::follow_path(std::string path) {
  constexpr std::uint32_t of_place = IN_CREATE | IN_MOVED_TO | IN_ATTRIB;
  // What others write in the same directory wakes nobody.
  constexpr std::uint32_t of_file = IN_MODIFY | IN_CLOSE_WRITE | IN_ATTRIB;
  constexpr int most_links = 40;  // as the kernel has it
  auto result = Followed::as_before;
  for (int links = 0; links < most_links; ++links) {
    // `place` is the path up to its first part that is missing.
    std::string place = path, directory;
    for (;;) {
      const auto slash = place.find_last_of('/');
      directory = slash == std::string::npos ? "." : slash == 0 ? "/" : place.substr(0, slash);
      const auto followed = follow(directory, of_place, place.substr(slash + 1));
      if (followed == Followed::from_now_on) result = followed;
      if (followed != Followed::not_at_all) break;
      if (directory.size() == 1) return followed;
      place = directory;
    }
    char target[4096];
    const auto size = ::readlink(place.c_str(), target, sizeof target);
    if (size <= 0 || size == sizeof target) {
      if (place == path && follow(path, of_file) == Followed::from_now_on)
        result = Followed::from_now_on;
      break;
    }
    const std::string to{target, static_cast<std::size_t>(size)};
    path = (to[0] == '/' ? to : directory + '/' + to) + path.substr(place.size());
  }
  return result;
}

MIRAKURU_DECL bool FileChanges::drain() {
  alignas(inotify_event) char buffer[4096];  // what does not go in makes the descriptor ready again
  const auto size = ::read(inotify_.get(), buffer, sizeof buffer);
  bool counts = false;
  for (ssize_t at = 0; at < size;) {
    const auto& event = *reinterpret_cast<const inotify_event*>(buffer + at);
    at += static_cast<ssize_t>(sizeof event + event.len);
    counts |= event.wd < 0;  // some have been lost
    for (const auto& watched : watches_)
      counts |= event.wd == watched.watch &&
                (event.len == 0 || watched.name.empty() || watched.name == event.name);
  }
  return counts;
}

MIRAKURU_DECL void FileChanges::unfollow() {
  for (const auto& watched : watches_) ::inotify_rm_watch(inotify_.get(), watched.watch);
  watches_.clear();
}

}  // namespace mirakuru::detail
