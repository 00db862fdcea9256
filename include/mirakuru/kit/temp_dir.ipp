// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cstdlib>
#include <fstream>
#include <stdexcept>
#include <utility>

#include <mirakuru/kit/temp_dir.hpp>
#include <mirakuru/os/file_name.hpp>
#include <mirakuru/os/remove_contents.hpp>

namespace mirakuru {

namespace detail {

inline UniqueFd open_directory(const std::filesystem::path& path) {
  return UniqueFd{::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)};
}

inline void remove_directory(const std::string& path) {
  if (const auto directory = open_directory(path)) syscalls::remove_contents(directory.get());
  ::rmdir(path.c_str());
  ::unlink(lock_path_of(path).c_str());
}

/// Removes the directories of processes that were killed: nobody has their lock file locked.
inline void remove_left_over(const std::filesystem::path& above) {
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator{above, ignored}) {
    const std::string name = entry.path().filename();
    if (!name.starts_with(temp_dir_prefix) || !name.ends_with(lock_ending)) continue;
    const UniqueFd lock{::open(entry.path().c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC)};
    struct stat status{};
    if (!lock || ::fstat(lock.get(), &status) != 0 || !S_ISREG(status.st_mode) ||
        status.st_size != 0 || (status.st_uid != ::geteuid() && ::geteuid() != 0) ||
        ::flock(lock.get(), LOCK_EX | LOCK_NB) != 0)
      continue;
    const auto& path = entry.path().native();
    remove_directory(path.substr(0, path.size() - lock_ending.size()));
  }
}

}  // namespace detail

MIRAKURU_DECL TempDir::TempDir(const std::string& name) : owner_{::getpid()} {
  if (name.find('/') != name.npos || name.find('\0') != name.npos)
    throw std::invalid_argument{"not a name for a temporary directory: '" + name + "'"};
  const char* const preferred = ::secure_getenv("TMPDIR");
  std::filesystem::path above{preferred != nullptr && *preferred != '\0' ? preferred : "/tmp"};
  std::error_code error;
  above = std::filesystem::absolute(above, error);
  if (!std::filesystem::is_directory(above, error)) above = "/tmp";
  static const bool cleaned = (detail::remove_left_over(above), true);
  (void)cleaned;
  const std::string pattern = above / (std::string{detail::temp_dir_prefix} + name + "-XXXXXX");
  const char* const keep_all = std::getenv("MIRAKURU_KEEP");
  tells_ = keep_all != nullptr && *keep_all != '\0' && std::string_view{keep_all} != "0";
  if (tells_) {
    std::string path = pattern;
    if (::mkdtemp(path.data()) == nullptr) detail::throw_errno(("mkdtemp " + path).c_str());
    path_ = path;
  }
  // The lock comes first, so a kill leaves no directory without one.
  while (path_.empty()) {
    std::string path = detail::lock_path_of(pattern);
    constexpr int ending = detail::lock_ending.size();
    lock_ = detail::checked_fd(::mkostemps(path.data(), ending, O_CLOEXEC),
                               ("mkostemps " + path).c_str());
    ::flock(lock_.get(), LOCK_SH);
    struct stat status{};
    if (::fstat(lock_.get(), &status) != 0 || status.st_nlink == 0)
      continue;  // taken for left over
    const auto directory = path.substr(0, path.size() - ending);
    if (::mkdir(directory.c_str(), 0700) == 0) {
      path_ = directory;
    } else {
      const int why = errno;
      ::unlink(path.c_str());
      if (why != EEXIST) detail::throw_error(why, "mkdir " + directory);
    }
  }
}

MIRAKURU_DECL TempDir::TempDir(TempDir&& other) noexcept
    : path_{std::move(other.path_)},
      lock_{std::move(other.lock_)},
      owner_{std::exchange(other.owner_, 0)},
      tells_{other.tells_} {}

MIRAKURU_DECL TempDir& TempDir::operator=(TempDir&& other) noexcept {
  if (this == &other) return *this;
  remove();
  path_ = std::move(other.path_);
  lock_ = std::move(other.lock_);
  owner_ = std::exchange(other.owner_, 0);
  tells_ = other.tells_;
  return *this;
}

MIRAKURU_DECL TempDir::~TempDir() { remove(); }

MIRAKURU_DECL void TempDir::remove() noexcept {
  if (owner_ == 0 || owner_ != ::getpid()) return;
  if (lock_) detail::remove_directory(path_);
  if (!tells_) return;
  const auto line = "mirakuru: kept " + path_.native() + '\n';
  (void)!::write(STDERR_FILENO, line.data(), line.size());
}

MIRAKURU_DECL void TempDir::keep() noexcept {
  ::unlink(detail::lock_path_of(path_).c_str());
  lock_.reset();
}

MIRAKURU_DECL std::filesystem::path TempDir::write(const std::filesystem::path& file,
                                                   std::string_view text) const {
  const auto plain = file.lexically_normal();
  if (plain.is_absolute() || plain.empty() || *plain.begin() == "..")
    throw std::invalid_argument{"not in the directory: '" + file.native() + "'"};
  auto place = path_ / plain;
  std::filesystem::create_directories(place.parent_path());
  std::ofstream stream{place, std::ios::binary};
  stream.write(text.data(), static_cast<std::streamsize>(text.size()));
  if (!stream.flush()) detail::throw_errno(("write " + place.native()).c_str());
  return place;
}

}  // namespace mirakuru
