// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/types.h>
#include <filesystem>
#include <iosfwd>
#include <string>
#include <string_view>

#include <mirakuru/os/config.hpp>
#include <mirakuru/os/unique_fd.hpp>

namespace mirakuru {

/// A directory for one test, in $TMPDIR or /tmp, with a short name and for its user alone (0700).
/// It is removed at the end with all that is in it; no link is followed.
///
/// If the test is killed, the guardian of a command that was told of the directory by
/// `Command::scratch` removes it when the tree has ended; without one the next process of the same
/// user that makes a `TempDir` does. `MIRAKURU_KEEP=1` in the environment keeps all, and says
/// where. Rests on mkdtemp(3), and on flock(2): a lock file beside it tells that it is in use.
class TempDir {
 public:
  /// Makes "mirakuru-NAME-XXXXXX". Throws `std::system_error` if that is impossible, and
  /// `std::invalid_argument` for a name with a slash.
  explicit TempDir(const std::string& name = "test");
  TempDir(TempDir&& other) noexcept;
  TempDir& operator=(TempDir&& other) noexcept;
  ~TempDir();

  /// The absolute path.
  [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }
  operator const std::filesystem::path&() const noexcept { return path_; }
  /// The path of a file in it.
  [[nodiscard]] std::filesystem::path operator/(const std::filesystem::path& file) const {
    return path_ / file;
  }
  /// Writes a file, and makes the directories above it. Returns its path. Throws
  /// `std::system_error` naming the file, and `std::invalid_argument` for a path that leads out.
  std::filesystem::path write(const std::filesystem::path& file, std::string_view text) const;
  /// It is not removed at the end. Says nothing.
  void keep() noexcept;

  template <class Traits>
  friend std::basic_ostream<char, Traits>& operator<<(std::basic_ostream<char, Traits>& out,
                                                      const TempDir& directory) {
    return out << directory.path_.c_str();
  }

 private:
  void remove() noexcept;

  std::filesystem::path path_;
  detail::UniqueFd lock_;  // of its lock file; none if it is kept
  pid_t owner_ = 0;        // a fork must not remove it
  bool tells_ = false;     // where it is, at the end
};

}  // namespace mirakuru

#if !defined(MIRAKURU_SEPARATE_COMPILATION)
#include <mirakuru/kit/temp_dir.ipp>
#endif
