// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/inotify.h>
#include <algorithm>
#include <atomic>

#include <mirakuru/os/file_changes.hpp>

namespace mirakuru::detail {

/// How many instances this process has open.
inline std::atomic<int>& open_inotify_instances() noexcept {
  static std::atomic<int> count = 0;
  return count;
}

MIRAKURU_DECL bool FileChanges::open() {
  if (inotify_) return true;
  UniqueFd fd{::inotify_init1(IN_NONBLOCK | IN_CLOEXEC)};
  if (!fd) return false;
  inotify_ = move_above_stdio(std::move(fd));
  ++open_inotify_instances();
  return true;
}

MIRAKURU_DECL void FileChanges::close() noexcept {
  watches_.clear();
  if (!inotify_) return;
  inotify_.reset();
  --open_inotify_instances();
}

MIRAKURU_DECL bool FileChanges::too_many_open() noexcept {
  constexpr int many = 16;  // of the 128 that a user has
  return open_inotify_instances() > many;
}

MIRAKURU_DECL void FileChanges::drop_unused() {
  const auto unused = [](const Watch& watch) { return watch.follower == nullptr; };
  for (const auto& dropped : watches_) {
    const bool used = std::ranges::any_of(watches_, [&](const Watch& watch) {
      return watch.number == dropped.number && !unused(watch);
    });
    if (!used) ::inotify_rm_watch(inotify_.get(), dropped.number);
  }
  std::erase_if(watches_, unused);
}

MIRAKURU_DECL void FileChanges::read_events() {
  alignas(inotify_event) char buffer[4096];  // the descriptor stays ready for the rest
  const auto size = ::read(inotify_.get(), buffer, sizeof buffer);
  for (ssize_t at = 0; at < size;) {
    const auto& event = *reinterpret_cast<const inotify_event*>(buffer + at);
    at += static_cast<ssize_t>(sizeof event + event.len);
    const bool lost = event.wd < 0;  // the queue was full
    for (const auto& watch : watches_)
      if (watch.follower != nullptr &&
          (lost || (event.wd == watch.number &&
                    (event.len == 0 || watch.name.empty() || watch.name == event.name))))
        watch.follower->news_ = true;
  }
}

MIRAKURU_DECL FileChanges::Follower::~Follower() {
  if (changes_ == nullptr) return;
  for (auto& watch : changes_->watches_)
    if (watch.follower == this) watch.follower = nullptr;
}

MIRAKURU_DECL bool FileChanges::Follower::follow(const std::string& path, std::uint32_t mask,
                                                 const std::string& name, bool& news) {
  if (changes_ == nullptr || !changes_->open()) return false;
  // Another follower may have the same file with another mask.
  const int number =
      ::inotify_add_watch(changes_->inotify_.get(), path.c_str(), mask | IN_MASK_ADD);
  if (number < 0) return false;
  auto& watches = changes_->watches_;
  const bool known = std::ranges::any_of(watches, [&](const Watch& watch) {
    return watch.number == number && watch.follower == this && watch.name == name;
  });
  if (known) return true;
  watches.push_back({number, name, this});
  news = true;
  return true;
}

MIRAKURU_DECL bool FileChanges::Follower::follow_path(std::string path, bool& news) {
  constexpr std::uint32_t of_place = IN_CREATE | IN_MOVED_TO | IN_ATTRIB;
  // Writes to other files in the same directory wake nobody.
  constexpr std::uint32_t of_file = IN_MODIFY | IN_CLOSE_WRITE | IN_ATTRIB;
  constexpr int most_links = 40;  // the kernel's limit
  for (int links = 0; links < most_links; ++links) {
    // `place` is the path up to its first part that is missing.
    std::string place = path, directory;
    for (;;) {
      const auto slash = place.find_last_of('/');
      directory = slash == std::string::npos ? "." : slash == 0 ? "/" : place.substr(0, slash);
      if (follow(directory, of_place, place.substr(slash + 1), news)) break;
      if (directory.size() == 1) return false;
      place = directory;
    }
    char target[4096];
    const auto size = ::readlink(place.c_str(), target, sizeof target);
    if (size <= 0 || size == sizeof target) {
      if (place == path) follow(path, of_file, {}, news);
      break;
    }
    const std::string to{target, static_cast<std::size_t>(size)};
    path = (to[0] == '/' ? to : directory + '/' + to) + path.substr(place.size());
  }
  return true;
}

MIRAKURU_DECL bool FileChanges::Follower::drain() {
  if (event() >= 0) changes_->read_events();
  return std::exchange(news_, false);
}

}  // namespace mirakuru::detail
