// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>
#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <optional>
#include <sstream>
#include <stdexcept>
#include <thread>
#include <utility>

#include <mirakuru/kit/dir_cache.hpp>
#include <mirakuru/os/clock.hpp>
#include <mirakuru/os/unique_fd.hpp>
#include <mirakuru/spawn/launch.hpp>
#include <mirakuru/text/fnv.hpp>

namespace mirakuru {

namespace detail {

/// The owner of a copied file, and a file that is written last, if the source is a copy.
struct CopyRules {
  std::optional<Identity> owner = {};
  std::optional<struct stat> last = {};

  /// True for a file of another owner than the last one's, and for one that is changed since.
  [[nodiscard]] bool refuse(const struct stat& source) const {
    const auto time = [](const struct stat& of) {
      return std::pair{of.st_mtim.tv_sec, of.st_mtim.tv_nsec};
    };
    return last && (source.st_uid != last->st_uid || time(source) > time(*last));
  }
};

/// Copies the content of a file, by reflink where the file system can.
inline void copy_content(int from, int to, off_t size) {
  if (::ioctl(to, FICLONE, from) == 0) return;
  bool by_range = true;
  for (off_t left = size; left > 0;) {
    const auto part = static_cast<std::size_t>(left);
    const auto copied = by_range ? ::copy_file_range(from, nullptr, to, nullptr, part, 0)
                                 : ::sendfile(to, from, nullptr, part);
    if (copied < 0 && errno == EINTR) continue;
    if (copied > 0)
      left -= copied;
    else if (by_range)
      by_range = false;  // another file system, or an old kernel
    else if (copied == 0)
      return;  // somebody has cut the file
    else
      throw_errno("copy a file");
  }
}

/// Copies a file or makes a directory. Returns a line that tells its mode, size and name.
inline std::string copy_entry(const std::filesystem::path& from, const std::filesystem::path& to,
                              const std::string& name, const CopyRules& rules) {
  const UniqueFd source{::open(from.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)};
  struct stat status{};
  if (!source || ::fstat(source.get(), &status) != 0)
    throw_errno(("open " + from.native()).c_str());
  const bool directory = S_ISDIR(status.st_mode);
  if ((!directory && !S_ISREG(status.st_mode)) || rules.refuse(status))
    throw_error(EPERM, "copy " + from.native());
  const mode_t mode = status.st_mode & 07777;
  constexpr int flags = O_NOFOLLOW | O_CLOEXEC;
  if (directory && ::mkdir(to.c_str(), 0700) != 0) throw_errno(("mkdir " + to.native()).c_str());
  const UniqueFd copy{directory ? ::open(to.c_str(), flags | O_RDONLY | O_DIRECTORY)
                                : ::open(to.c_str(), flags | O_WRONLY | O_CREAT | O_EXCL, 0600)};
  if (!copy) throw_errno(("open " + to.native()).c_str());
  if (!directory) copy_content(source.get(), copy.get(), status.st_size);
  const auto& owner = rules.owner;
  if ((owner && ::fchown(copy.get(), owner->user, owner->group) != 0) ||
      ::fchmod(copy.get(), mode) != 0)
    throw_errno(("chown " + to.native()).c_str());
  return std::to_string(mode) + ' ' + (directory ? "-" : std::to_string(status.st_size)) + ' ' +
         name + '\n';
}

/// Copies a directory with all that is in it, and follows no link. Returns a line for each file,
/// sorted. Throws `std::system_error`, also for a link.
inline std::string copy_tree(const std::filesystem::path& from, const std::filesystem::path& to,
                             const CopyRules& rules) {
  std::vector<std::string> lines{copy_entry(from, to, ".", rules)};
  for (const auto& entry : std::filesystem::recursive_directory_iterator{from}) {
    const auto name = entry.path().lexically_relative(from);
    lines.push_back(copy_entry(entry.path(), to / name, name, rules));
  }
  std::sort(lines.begin(), lines.end());
  std::string all;
  for (const auto& line : lines) all += line;
  return all;
}

/// Locks a file of the cache, shared or alone. None if others have it for too long. NFS wants it
/// open for writing.
inline UniqueFd lock_cache(const std::filesystem::path& path, int how, TimePoint until) {
  UniqueFd lock{::open(path.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0600)};
  while (lock && ::flock(lock.get(), how | LOCK_NB) != 0) {
    if (errno != EINTR && (errno != EWOULDBLOCK || Clock::now() >= until)) return {};
    std::this_thread::sleep_for(std::chrono::milliseconds{5});
  }
  return lock;
}

/// True if this user alone may write to the directory.
inline bool is_own_directory(const std::filesystem::path& path) {
  struct stat status{};
  return ::lstat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode) &&
         status.st_uid == ::geteuid() && (status.st_mode & 022) == 0;
}

/// The directory of all caches; empty if there is none. Makes it.
inline std::filesystem::path cache_root() {
  const auto variable = [](const char* name) {
    const char* const value = ::secure_getenv(name);
    return std::filesystem::path{value != nullptr && *value == '/' ? value : ""};
  };
  auto root = variable("XDG_CACHE_HOME");
  if (root.empty()) {
    const auto home = variable("HOME");
    struct stat status{};
    // With sudo it may be another user's.
    if (home.empty() || ::stat(home.c_str(), &status) != 0 || status.st_uid != ::geteuid())
      return {};
    root = home / ".cache";
  }
  std::error_code error;
  std::filesystem::create_directories(root.parent_path(), error);
  ::mkdir(root.c_str(), 0700);  // whatever the umask; source: the XDG base directory specification
  root /= "mirakuru";
  ::mkdir(root.c_str(), 0700);
  return is_own_directory(root) ? root : std::filesystem::path{};
}

/// The same number in each program, for the same texts in the same order.
inline std::string hash_of(const std::vector<std::string>& texts) {
  auto hash = fnv({});
  for (const auto& text : texts) hash = fnv(text + '\0', hash);
  std::ostringstream digits;
  digits << std::hex << hash;
  return digits.str();
}

/// Lets the directories in `above` lie far from each other. On ext4 a new file costs a look at each
/// file of its group that was removed in the last minutes, so a thousand files took a second.
/// Source: fs/ext4/ialloc.c, `recently_deleted` and `find_group_orlov`.
inline void spread_directories(const std::filesystem::path& above) {
  const UniqueFd directory{::open(above.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  int flags = 0;
  if (directory && ::ioctl(directory.get(), FS_IOC_GETFLAGS, &flags) == 0) {
    flags |= FS_TOPDIR_FL;
    ::ioctl(directory.get(), FS_IOC_SETFLAGS, &flags);
  }
}

/// Moves a copy out of the way, and removes it as far as possible. Needs the lock.
inline void throw_away(const std::filesystem::path& path) {
  const auto aside = path.native() + ".broken";
  std::error_code ignored;
  std::filesystem::remove_all(aside, ignored);  // of a test that was killed
  if (::rename(path.c_str(), aside.c_str()) == 0) std::filesystem::remove_all(aside, ignored);
}

/// Copies from the cache. False, with nothing left, if the copy there is missing or broken.
inline bool copy_from_cache(const std::filesystem::path& cached, const std::filesystem::path& to,
                            const std::optional<Identity>& owner) {
  try {
    if (!is_own_directory(cached)) return false;
    std::ifstream list{cached / "list", std::ios::binary};
    const std::string expected{std::istreambuf_iterator<char>{list}, {}};
    struct stat last{};
    if (::stat((cached / "list").c_str(), &last) == 0 && last.st_uid == ::geteuid() &&
        copy_tree(cached / "content", to, {.owner = owner, .last = last}) == expected)
      return true;
  } catch (const std::system_error&) {  // it is made anew
  }
  std::error_code ignored;
  std::filesystem::remove_all(to, ignored);
  return false;
}

/// Copies to the cache. Leaves none if that is impossible, for example on a full disk.
inline void copy_to_cache(const std::filesystem::path& from, const std::filesystem::path& cached) {
  const std::filesystem::path next = cached.native() + ".new";
  std::error_code error;
  std::filesystem::remove_all(next, error);  // of a test that was killed
  spread_directories(cached.parent_path());
  try {
    if (::mkdir(next.c_str(), 0700) != 0) return;
    const auto list = copy_tree(from, next / "content", {});
    std::ofstream stream{next / "list", std::ios::binary};
    stream << list;
    stream.close();
    // No sync: it would write all that a build has left in memory. After a crash of the machine the
    // list does not fit, as a file system writes a new size after the content.
    if (stream && ::rename(next.c_str(), cached.c_str()) == 0) return;
  } catch (const std::system_error&) {
  }
  std::filesystem::remove_all(next, error);
}

}  // namespace detail

MIRAKURU_DECL DirCache::DirCache(const std::filesystem::path& name,
                                 const std::vector<std::string>& sources) {
  auto plain = name.lexically_normal();
  if (plain.is_absolute() || !plain.has_filename() || plain == "." || *plain.begin() == "..")
    throw std::invalid_argument{"not a name in the cache: '" + name.native() + "'"};
  if (!sources.empty()) plain += '-' + detail::hash_of(sources);
  const auto root = detail::cache_root();
  if (root.empty()) return;
  auto above = root;
  for (const auto& part : plain.parent_path()) {
    above /= part;
    ::mkdir(above.c_str(), 0700);
    if (!detail::is_own_directory(above)) return;
  }
  if (::access(above.c_str(), W_OK) == 0) path_ = root / plain;
}

MIRAKURU_DECL bool DirCache::fill(const std::filesystem::path& directory,
                                  const std::function<void()>& make, const std::string& user,
                                  std::chrono::nanoseconds patience) const {
  std::optional<Identity> owner;
  if (!user.empty()) owner = detail::identity_of(user);
  struct stat status{};
  if (::lstat(directory.c_str(), &status) == 0)
    detail::throw_error(EEXIST, "fill " + directory.native());
  detail::spread_directories(directory.parent_path());
  const auto until = detail::after(detail::Clock::now(), patience);
  const std::filesystem::path lock_path = path_.native() + ".lock";
  if (!path_.empty()) {
    const auto shared = detail::lock_cache(lock_path, LOCK_SH, until);
    if (shared && detail::copy_from_cache(path_, directory, owner)) return true;
  }
  detail::UniqueFd lock;
  if (!path_.empty()) lock = detail::lock_cache(lock_path, LOCK_EX, until);
  // Somebody else may have made it meanwhile.
  if (lock && detail::copy_from_cache(path_, directory, owner)) return true;
  make();
  if (lock) {
    detail::throw_away(path_);
    detail::copy_to_cache(directory, path_);
  }
  return false;
}

MIRAKURU_DECL void DirCache::drop() const noexcept try {
  if (path_.empty()) return;
  const auto until = detail::Clock::now() + std::chrono::seconds{10};
  if (detail::lock_cache(path_.native() + ".lock", LOCK_EX, until)) detail::throw_away(path_);
} catch (const std::exception&) {  // out of memory: it stays
}

}  // namespace mirakuru
