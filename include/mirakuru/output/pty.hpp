// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <fcntl.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <utility>

#include <mirakuru/output/capture.hpp>
#include <mirakuru/output/streams.hpp>

namespace mirakuru {

/// The command has a terminal of 80 by 24, so it prints line by line and thinks that a user reads.
///
/// Both streams, and the input `HeldOpen`, are the terminal. `output()` has all that it prints. The
/// guardian copies it to a file, so the command is never held up. The terminal neither echoes nor
/// changes line ends, unless the command asks it to. It hands over lines of at most 4,095 bytes,
/// and cuts longer ones that `write()` gives it. Rests on posix_openpt(3).
struct Pty {
  static constexpr bool keeps_output = true;
  static constexpr bool needs_guardian = true;

  /// Throws `std::system_error` when there is no terminal left, and as `Capture` does.
  [[nodiscard]] OutputStreams open() const {
    using namespace detail;
    constexpr int flags = O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK;
    auto controlling = checked_fd(::posix_openpt(flags), "open a pseudo-terminal");
    char name[64];
    if (::grantpt(controlling.get()) != 0 || ::unlockpt(controlling.get()) != 0 ||
        ::ptsname_r(controlling.get(), name, sizeof name) != 0)
      throw_errno("open a pseudo-terminal");
    auto terminal = checked_fd(::open(name, O_RDWR | O_NOCTTY | O_CLOEXEC), name);
    termios modes{};
    const winsize size{.ws_row = 24, .ws_col = 80, .ws_xpixel = 0, .ws_ypixel = 0};
    if (::tcgetattr(terminal.get(), &modes) != 0) throw_errno("tcgetattr");
    modes.c_lflag &= ~static_cast<tcflag_t>(ECHO);
    modes.c_oflag &= ~static_cast<tcflag_t>(ONLCR);
    if (::tcsetattr(terminal.get(), TCSANOW, &modes) != 0 ||
        ::ioctl(terminal.get(), TIOCSWINSZ, &size) != 0)
      throw_errno("set up a pseudo-terminal");
    auto file = captured_file();
    auto same = checked_fd(::fcntl(file.get(), F_DUPFD_CLOEXEC, 3), "fcntl F_DUPFD_CLOEXEC");
    OutputStreams streams{OutputFile{std::move(file)}, OutputFile{std::move(same)}};
    streams.take_from(std::move(controlling), std::move(terminal));
    return streams;
  }
};

}  // namespace mirakuru
