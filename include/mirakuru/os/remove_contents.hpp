// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cerrno>
#include <cstdint>

#include <mirakuru/os/syscalls.hpp>

namespace mirakuru::detail {

// System calls only; a guardian uses it, too.
namespace [[gnu::visibility("hidden")]] syscalls {

[[nodiscard]] constexpr bool is_dots(const char* name) {
  return name[0] == '.' && (name[1] == '\0' || (name[1] == '.' && name[2] == '\0'));
}

/// Opens a directory in another one, for its owner alone. Follows no link and enters no other
/// mount: the result is -1 then.
inline long open_below(long above, const char* name) {
  struct {  // linux/openat2.h is not everywhere
    std::uint64_t flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, mode = 0;
    std::uint64_t resolve = 0x01 | 0x04;  // RESOLVE_NO_XDEV, RESOLVE_NO_SYMLINKS
  } how;
  constexpr long openat2 = 437;  // on each architecture
  const auto open = [&](unsigned long more) {
    how.flags |= more;
    const long file = call(openat2, above, name, &how, sizeof how);
    const bool unknown = file < 0 && (errno == ENOSYS || errno == EPERM);
    return unknown ? call(SYS_openat, above, name, how.flags, 0) : file;
  };
  long file = open(0);
  if (file < 0 && errno == EACCES) {  // its owner may lack the permission
    const long place = open(O_PATH);
    if (place < 0) return -1;
    const Path link = Path{} << "/proc/self/fd/" << static_cast<int>(place);
    call(SYS_fchmodat, AT_FDCWD, link.text(), 0700);
    call(SYS_close, place);
    how.flags &= ~static_cast<unsigned long>(O_PATH);
    file = open(0);
  }
  if (file >= 0) call(SYS_fchmod, file, 0700);
  return file;
}

/// Removes all that is in a directory, as far as this process may. Takes its descriptor. It follows
/// no link, and leaves other mounts alone. There is no recursion, as a guardian's stack is small: a
/// directory within a directory is moved up first.
inline void remove_contents(long top) {
  call(SYS_fchmod, top, 0700);
  int moved = 0;
  for (bool progress = true; progress;) {
    progress = false;
    const auto remove = [&](long above, const char* name) {
      return call(SYS_unlinkat, above, name, 0) == 0 ||
             (errno != ENOENT && call(SYS_unlinkat, above, name, AT_REMOVEDIR) == 0);
    };
    each_name(top, ".", [&](long, const char* name) {
      if (is_dots(name)) return;
      if (remove(top, name)) {
        progress = true;
        return;
      }
      const long below = open_below(top, name);
      if (below < 0) return;
      each_name(below, ".", [&](long, const char* inner) {
        if (is_dots(inner)) return;
        if (remove(below, inner)) {
          progress = true;
          return;
        }
        const long inside = open_below(below, inner);  // it needs the right to be moved
        if (inside < 0) return;
        call(SYS_close, inside);
        for (int tries = 0; tries < 100; ++tries) {
          const Path place = Path{} << ".moved-" << moved++;
          constexpr unsigned no_replace = 1;
          if (call(SYS_renameat2, below, inner, top, place.text(), no_replace) == 0) {
            progress = true;
            return;
          }
          if (errno != EEXIST) return;
        }
      });
      call(SYS_close, below);
      progress |= call(SYS_unlinkat, top, name, AT_REMOVEDIR) == 0;
    });
  }
}

}  // namespace syscalls
}  // namespace mirakuru::detail
