// SPDX-License-Identifier: BSL-1.0
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstddef>
#include <string>

#include "../support/message.hpp"
#include "helper.hpp"

namespace helper {
namespace {

/// The socket that a supervisor listens at. Its messages wait for room, as those of sd_notify() do.
class Supervisor {
 public:
  explicit Supervisor(const std::string& name)
      : fd_{socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)} {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (name.empty() || name.size() > sizeof address.sun_path) fail("NOTIFY_SOCKET", EINVAL);
    name.copy(address.sun_path, sizeof address.sun_path);
    if (name[0] == '@') address.sun_path[0] = '\0';
    const auto size = offsetof(sockaddr_un, sun_path) + name.size();
    if (connect(fd_, reinterpret_cast<const sockaddr*>(&address), static_cast<socklen_t>(size)) !=
        0)
      fail(name);
  }

  /// `given` goes along, unless it is -1.
  void send(const std::string& text, int given = -1) const {
    if (!test::send_message(fd_, text, given)) fail("sendmsg");
  }

  /// Returns when the supervisor has taken all messages. Source: sd_notify_barrier(3).
  void await_barrier() const {
    int ends[2];
    if (pipe(ends) != 0) fail("pipe");
    send("BARRIER=1", ends[1]);
    close(ends[1]);
    wait_for_end(ends[0]);
  }

 private:
  int fd_;
};

int run_notify(const Args& a) {
  const char* const inherited = std::getenv("NOTIFY_SOCKET");
  const Supervisor supervisor{a.text("to", inherited == nullptr ? "" : inherited)};
  nap(a.ms("delay"));
  const std::string padding(static_cast<std::size_t>(a.number("pad")), '.');
  const long times = a.number("repeat", 1);
  for (std::size_t i = 0; i < a.words.size(); ++i) {
    if (i > 0) nap(a.ms("split"));
    const bool last = i + 1 == a.words.size();
    for (long sent = 0; sent < (last ? times : 1) && Clock::now() < deadline; ++sent)
      supervisor.send(unescape(a.words[i]) + padding);
  }
  if (a.has("barrier")) supervisor.await_barrier();
  put_pid(a);
  print_and_wait(a);
  return finish(a);
}

constexpr Verb verbs[] = {
    {"notify", run_notify, 1, any,
     "MESSAGE... [to=NAME] [delay=MS] [split=MS] [repeat=COUNT] [pad=BYTES] [barrier=1] "
     "[pidfile=FILE] [out=TEXT] [err=TEXT] [after=MS] [exit=CODE]"},
};

}  // namespace

std::span<const Verb> notify_verbs() { return verbs; }

}  // namespace helper
