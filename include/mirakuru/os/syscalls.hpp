// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <ctime>
#include <type_traits>

#include <mirakuru/os/stat_fields.hpp>

// System calls only, without a library: a fork may use these at any time. In the fork, locks of
// the owner's other threads stay locked for ever. All is hidden, so that no call needs the dynamic
// linker: the fork may have unmapped the linker's tables.

namespace mirakuru::detail {

namespace [[gnu::visibility("hidden")]] syscalls {

template <class... Arguments>
  requires(std::is_scalar_v<Arguments> && ...)
long call(long number, Arguments... arguments) {
  return ::syscall(number, arguments...);
}

/// Sleeps for some nanoseconds, less than a second.
inline void nap(long nanoseconds) {
  const long pause[2] = {0, nanoseconds};  // the kernel's struct timespec
  call(SYS_nanosleep, pause, nullptr);
}

/// The monotonic clock in nanoseconds. Not `clock_gettime`: a test may replace that function.
[[nodiscard]] inline std::int64_t now() {
  timespec time{};
  call(SYS_clock_gettime, CLOCK_MONOTONIC, &time);
  return time.tv_sec * std::int64_t{1'000'000'000} + time.tv_nsec;
}

[[nodiscard]] constexpr std::int64_t least(std::int64_t a, std::int64_t b) { return a < b ? a : b; }

/// Calls `visit` with each part of `whole` that lies outside all of `others`.
template <std::size_t count, class Visit>
void for_each_part_outside(Range whole, const Range (&others)[count], Visit visit) {
  if (whole.begin >= whole.end) return;
  for (const auto& other : others)
    if (other.begin < whole.end && whole.begin < other.end) {
      syscalls::for_each_part_outside({whole.begin, other.begin}, others, visit);
      syscalls::for_each_part_outside({other.end, whole.end}, others, visit);
      return;
    }
  visit(whole);
}

/// A path in /proc.
class Path {
 public:
  Path& operator<<(const char* text) {
    while (*text != '\0') put(*text++);
    return *this;
  }
  Path& operator<<(int number) {
    char digits[12];
    int count = 0;
    do digits[count++] = static_cast<char>('0' + number % 10);
    while ((number /= 10) > 0);
    while (count > 0) put(digits[--count]);
    return *this;
  }
  operator const char*() const { return text_; }
  [[nodiscard]] const char* text() const { return text_; }

 private:
  void put(char c) {
    if (size_ + 1 < sizeof text_) text_[size_++] = c;
    text_[size_] = '\0';
  }

  char text_[64];
  std::size_t size_ = 0;
};

/// A file that is read one character at a time.
class File {
 public:
  explicit File(const char* path) : file_{call(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC)} {}
  ~File() {
    if (file_ >= 0) call(SYS_close, file_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  /// The next character; zero at the end, and zero without a file.
  char get() {
    if (at_ >= size_) {
      at_ = 0;
      size_ = file_ < 0 ? 0 : call(SYS_read, file_, buffer_, sizeof buffer_);
      if (size_ <= 0) return '\0';
    }
    return buffer_[at_++];
  }

 private:
  long file_, size_ = 0, at_ = 0;
  char buffer_[2048];
};

/// Reads the start of a file and adds a zero. Returns the number of bytes read.
template <std::size_t size>
long read_file(const char* path, char (&into)[size]) {
  const long file = call(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
  long length = file < 0 ? 0 : call(SYS_read, file, into, size - 1);
  if (file >= 0) call(SYS_close, file);
  if (length < 0) length = 0;
  into[length] = '\0';
  return length;
}

/// Calls `visit` with the directory's descriptor and each name in it. False if it cannot be read.
template <class Visit>
bool each_name(long above, const char* directory, Visit visit) {
  const long file = call(SYS_openat, above, directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (file < 0) return false;
  // struct linux_dirent64: the record's length is at byte 16, the name at byte 19.
  alignas(8) char entries[2048];
  for (long size; (size = call(SYS_getdents64, file, entries, sizeof entries)) > 0;)
    for (long at = 0; at < size; at += *reinterpret_cast<unsigned short*>(entries + at + 16))
      visit(file, entries + at + 19);
  call(SYS_close, file);
  return true;
}

/// Calls `visit` with each number among the names, except the directory's own descriptor.
template <class Visit>
bool each_number(const char* directory, Visit visit) {
  return each_name(AT_FDCWD, directory, [&](long file, const char* name) {
    if (*name < '0' || *name > '9') return;
    if (const auto number = static_cast<int>(number_at(name)); number != file) visit(number);
  });
}

/// Closes these descriptors, now or at `execve`.
inline void close_range(unsigned first, unsigned last, bool at_exec = false) {
#if defined(SYS_close_range)
  constexpr unsigned cloexec = 4;  // linux/close_range.h is not everywhere
  if (call(SYS_close_range, first, last, at_exec ? cloexec : 0U) == 0) return;
#endif
  each_number("/proc/self/fd", [=](int number) {
    const auto fd = static_cast<unsigned>(number);
    if (fd < first || fd > last) return;
    at_exec ? call(SYS_fcntl, fd, F_SETFD, FD_CLOEXEC) : call(SYS_close, fd);
  });
}

/// Removes a directory and its subdirectories, as deep as the small stack allows. Files need no
/// removal: those of a control group vanish with its directory.
inline void remove_directories(long above, const char* directory, int depth = 8) {
  if (depth == 0 || call(SYS_unlinkat, above, directory, AT_REMOVEDIR) == 0) return;
  each_name(above, directory, [=](long file, const char* name) {
    const bool is_dots = name[0] == '.' && (name[1] == '\0' || (name[1] == '.' && name[2] == '\0'));
    if (!is_dots) syscalls::remove_directories(file, name, depth - 1);
  });
  call(SYS_unlinkat, above, directory, AT_REMOVEDIR);
}

/// Calls `visit` with each mapping of this process. The second argument is true if it holds only
/// the process's own data: private, anonymous, no code, no stack. Source: proc_pid_maps(5), whose
/// lines are "begin-end rwxp offset device inode   path".
template <class Visit>
void each_mapping(Visit visit) {
  File maps{"/proc/self/maps"};
  const auto hexadecimal = [&maps] {
    std::uintptr_t number = 0;
    for (char c; (c = maps.get()) > ' ' && c != '-';)
      number = number * 16 + static_cast<std::uintptr_t>(c <= '9' ? c - '0' : c - 'a' + 10);
    return number;
  };
  for (;;) {
    const auto begin = hexadecimal(), end = hexadecimal();
    if (end == 0) return;
    char permissions[4];
    for (char& permission : permissions) permission = maps.get();
    char path[2] = {}, before = '\0';
    int field = 0, size = 0;
    for (char c; (c = maps.get()) != '\n' && c != '\0'; before = c) {
      if (c != ' ' && before == ' ') ++field;
      if (field == 4 && size < 2) path[size++] = c;
    }
    // [heap], and [anon:...], a name that the program has given.
    const bool own = path[0] == '\0' || (path[0] == '[' && (path[1] == 'h' || path[1] == 'a'));
    visit(Range{begin, end}, own && permissions[2] == '-' && permissions[3] == 'p');
  }
}

}  // namespace syscalls
}  // namespace mirakuru::detail
