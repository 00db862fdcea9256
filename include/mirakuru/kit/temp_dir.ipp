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
#include <mirakuru/os/remove_contents.hpp>

namespace mirakuru {

namespace detail {

inline constexpr std::string_view temp_dir_prefix = "mirakuru-";
/// A directory with this bit, which the kernel does not use, goes when nobody has it locked.
inline constexpr mode_t temporary_mode = 0700 | S_ISUID;
/// A directory with this bit stays, also by its guardian.
inline constexpr mode_t kept_mode = 0700 | S_ISVTX;

inline UniqueFd open_directory(const std::filesystem::path& path) {
  return UniqueFd{::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)};
}

/// Removes the directories of processes that were killed.
inline void remove_left_over(const std::filesystem::path& above) {
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator{above, ignored}) {
    if (!entry.path().filename().native().starts_with(temp_dir_prefix)) continue;
    const auto directory = open_directory(entry.path());
    struct stat status{};
    if (!directory || ::fstat(directory.get(), &status) != 0 || (status.st_mode & S_ISUID) == 0 ||
        (status.st_uid != ::geteuid() && ::geteuid() != 0) ||
        ::flock(directory.get(), LOCK_EX | LOCK_NB) != 0)
      continue;
    syscalls::remove_contents(directory.get());
    ::rmdir(entry.path().c_str());
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
  std::string path = above / (std::string{detail::temp_dir_prefix} + name + "-XXXXXX");
  if (::mkdtemp(path.data()) == nullptr) detail::throw_errno(("mkdtemp " + path).c_str());
  path_ = path;
  directory_ = detail::open_directory(path_);
  if (!directory_) detail::throw_errno(("open " + path).c_str());
  directory_ = detail::move_above_stdio(std::move(directory_));
  ::flock(directory_.get(), LOCK_SH);
  const char* const keep_all = std::getenv("MIRAKURU_KEEP");
  kept_ = keep_all != nullptr && *keep_all != '\0' && std::string_view{keep_all} != "0";
  ::fchmod(directory_.get(), kept_ ? detail::kept_mode : detail::temporary_mode);
}

MIRAKURU_DECL TempDir::TempDir(TempDir&& other) noexcept
    : path_{std::move(other.path_)},
      directory_{std::move(other.directory_)},
      owner_{std::exchange(other.owner_, 0)},
      kept_{other.kept_} {}

MIRAKURU_DECL TempDir& TempDir::operator=(TempDir&& other) noexcept {
  if (this == &other) return *this;
  remove();
  path_ = std::move(other.path_);
  directory_ = std::move(other.directory_);
  owner_ = std::exchange(other.owner_, 0);
  kept_ = other.kept_;
  return *this;
}

MIRAKURU_DECL TempDir::~TempDir() { remove(); }

MIRAKURU_DECL void TempDir::remove() noexcept {
  if (owner_ == 0 || owner_ != ::getpid()) return;
  struct stat status{};
  const bool told = ::fstat(directory_.get(), &status) == 0 && (status.st_mode & S_ISVTX) != 0;
  if (!kept_) {
    detail::syscalls::remove_contents(directory_.get());
    ::rmdir(path_.c_str());
  } else if (told && std::getenv("MIRAKURU_KEEP") != nullptr) {
    const auto line = "mirakuru: kept " + path_.native() + '\n';
    (void)!::write(STDERR_FILENO, line.data(), line.size());
  }
}

MIRAKURU_DECL void TempDir::keep() noexcept {
  kept_ = true;
  ::fchmod(directory_.get(), detail::kept_mode);
}

MIRAKURU_DECL std::filesystem::path TempDir::write(const std::filesystem::path& file,
                                                   std::string_view text) const {
  auto place = path_ / file;
  std::filesystem::create_directories(place.parent_path());
  std::ofstream stream{place, std::ios::binary};
  stream.write(text.data(), static_cast<std::streamsize>(text.size()));
  if (!stream.flush()) detail::throw_errno(("write " + place.native()).c_str());
  return place;
}

}  // namespace mirakuru
