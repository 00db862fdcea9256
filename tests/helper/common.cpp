// SPDX-License-Identifier: BSL-1.0
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>

#include "helper.hpp"

namespace helper {

const Clock::time_point deadline = Clock::now() + std::chrono::seconds{60};
char** arguments;

void fail(const std::string& reason, int error) {
  std::fprintf(stderr, "helper: %s: %s\n", reason.c_str(), std::strerror(error));
  std::exit(1);
}

int poll_ms(Clock::time_point due) {
  const auto left = std::chrono::ceil<milliseconds>(std::min(due, deadline) - Clock::now());
  return static_cast<int>(std::max(left, milliseconds{0}).count());
}

void sleep_until(Clock::time_point due) {
  for (int left; (left = poll_ms(due)) > 0;) poll(nullptr, 0, left);
}

void nap(milliseconds time) { sleep_until(Clock::now() + time); }

void write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    pollfd room{fd, POLLOUT, 0};
    if (poll(&room, 1, poll_ms(deadline)) == 0) std::_Exit(1);
    // A pipe with room takes at least 4096 bytes at once: the write does not block.
    const ssize_t n = write(fd, text.data(), std::min<std::size_t>(text.size(), 4096));
    if (n > 0) text.remove_prefix(static_cast<std::size_t>(n));
    if (n < 0 && errno != EINTR && errno != EAGAIN) return;
  }
}

void put_file(const std::string& path, std::string_view text, int flags) {
  const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | flags, 0644);
  if (fd < 0) fail(path);
  if (!text.empty() && write(fd, text.data(), text.size()) < 0) fail(path);
  close(fd);
}

void wait_for_end(int fd) {
  for (char buffer[4096];;) {
    pollfd in{fd, POLLIN, 0};
    const int ready = poll(&in, 1, poll_ms(deadline));
    if (ready == 0) std::_Exit(1);
    if (ready > 0 && read(fd, buffer, sizeof buffer) == 0) return;
    if (in.revents & POLLNVAL) return;
  }
}

std::string unescape(std::string_view text) {
  static constexpr std::string_view names = "n0rt\\", values{"\n\0\r\t\\", 5};
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool escape = text[i] == '\\' && i + 1 < text.size();
    const auto at = escape ? names.find(text[i + 1]) : names.npos;
    out += at == names.npos ? text[i] : values[at];
    i += at == names.npos ? 0 : 1;
  }
  return out;
}

std::vector<std::string> split(std::string_view text, char separator) {
  std::vector<std::string> parts{""};
  for (const char c : text) c == separator ? parts.emplace_back() : parts.back() += c;
  return parts;
}

void print_and_wait(const Args& a) {
  write_all(1, unescape(a.text("out")));
  write_all(2, unescape(a.text("err")));
  nap(a.ms("after"));
}

int finish(const Args& a) {
  if (!a.has("exit")) sleep_until(deadline);
  return static_cast<int>(a.number("exit"));
}

void put_pid(const Args& a, int flags) {
  if (a.has("pidfile")) put_file(a.text("pidfile"), std::to_string(getpid()) + "\n", flags);
}

std::vector<int> signals(const std::string& list) {
  static constexpr std::pair<const char*, int> names[] = {
      {"HUP", SIGHUP},   {"INT", SIGINT},   {"QUIT", SIGQUIT},   {"ILL", SIGILL},
      {"TRAP", SIGTRAP}, {"ABRT", SIGABRT}, {"BUS", SIGBUS},     {"FPE", SIGFPE},
      {"KILL", SIGKILL}, {"USR1", SIGUSR1}, {"SEGV", SIGSEGV},   {"USR2", SIGUSR2},
      {"PIPE", SIGPIPE}, {"ALRM", SIGALRM}, {"TERM", SIGTERM},   {"CHLD", SIGCHLD},
      {"CONT", SIGCONT}, {"STOP", SIGSTOP}, {"TSTP", SIGTSTP},   {"TTIN", SIGTTIN},
      {"TTOU", SIGTTOU}, {"URG", SIGURG},   {"WINCH", SIGWINCH}, {"SYS", SIGSYS}};
  std::vector<int> found;
  if (list == "all") {
    for (int s = 1; s <= SIGRTMAX; ++s) found.push_back(s);
    return found;
  }
  for (const std::string& part : split(list, ',')) {
    const std::string name = part.starts_with("SIG") ? part.substr(3) : part;
    int number = std::atoi(name.c_str());
    for (const auto& [known, value] : names)
      if (name == known) number = value;
    if (number < 1 || number > SIGRTMAX) fail("no such signal: " + part, EINVAL);
    found.push_back(number);
  }
  return found;
}

void set_handler(const std::string& list, void (*handler)(int)) {
  struct sigaction action = {};
  action.sa_handler = handler;
  action.sa_flags = SA_RESTART;
  for (const int s : signals(list)) sigaction(s, &action, nullptr);  // fails for KILL, STOP
}

extern "C" void do_nothing(int) {}

}  // namespace helper
