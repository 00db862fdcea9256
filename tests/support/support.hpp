// What tests of processes need: the helper program, ports, files, and a look at the system that
// does not go through the library under test.

#pragma once

#include <arpa/inet.h>
#include <dirent.h>
#include <ftw.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/types.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <map>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

// A sanitizer has memory, descriptors and an allocator of its own.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define MIRAKURU_TEST_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define MIRAKURU_TEST_SANITIZED 1
#endif
#endif

namespace test {

#if defined(MIRAKURU_TEST_SANITIZED)
inline constexpr bool sanitized = true;
#else
inline constexpr bool sanitized = false;
#endif

using std::chrono::milliseconds;

// Path of the helper program; helper.cpp lists its verbs.
inline std::string helper() {
  const char* path = std::getenv("MIRAKURU_TEST_HELPER");
  if (path == nullptr || *path == '\0')
    throw std::runtime_error{"MIRAKURU_TEST_HELPER is not set: it is the path of the helper"};
  return path;
}

// Time -------------------------------------------------------------------------------------------

// A stopwatch that runs from its construction.
class Elapsed {
 public:
  milliseconds ms() const { return std::chrono::duration_cast<milliseconds>(time()); }
  double seconds() const { return std::chrono::duration<double>{time()}.count(); }
  std::chrono::steady_clock::duration time() const {
    return std::chrono::steady_clock::now() - start_;
  }
  void restart() { start_ = std::chrono::steady_clock::now(); }

  friend bool operator<(const Elapsed& e, std::chrono::nanoseconds limit) {
    return e.time() < limit;
  }
  friend bool operator>=(const Elapsed& e, std::chrono::nanoseconds limit) { return !(e < limit); }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

// Polls each millisecond; true as soon as the predicate is, false at the limit.
template <class Predicate>
bool eventually(Predicate&& predicate, milliseconds limit = milliseconds{5000}) {
  const Elapsed elapsed;
  while (!predicate()) {
    if (elapsed >= limit) return false;
    const timespec pause{0, 1'000'000};
    ppoll(nullptr, 0, &pause, nullptr);
  }
  return true;
}

// Files ------------------------------------------------------------------------------------------

// The whole content; empty when there is no such file.
inline std::string slurp(const std::string& path) {
  std::string text;
  if (std::FILE* file = std::fopen(path.c_str(), "re")) {
    char buffer[65536];
    for (std::size_t n; (n = std::fread(buffer, 1, sizeof buffer, file)) > 0;)
      text.append(buffer, n);
    std::fclose(file);
  }
  return text;
}

inline bool exists(const std::string& path) { return access(path.c_str(), F_OK) == 0; }

// The numbers in a file of one per line, as the helper's pidfile= writes them.
inline std::vector<pid_t> read_pids(const std::string& path) {
  const std::string text = slurp(path);
  std::vector<pid_t> pids;
  for (std::size_t at = 0, end; (end = text.find('\n', at)) != text.npos; at = end + 1)
    pids.push_back(std::atoi(text.c_str() + at));
  return pids;
}

// A directory with a short name that is gone, with all in it, when this goes out of scope.
class TempDir {
 public:
  TempDir() {
    if (mkdtemp(path_.data()) == nullptr)
      throw std::system_error{errno, std::generic_category(), path_};
  }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  ~TempDir() {
    const auto forget = [](const char* path, const struct stat*, int, FTW*) {
      std::remove(path);
      return 0;
    };
    nftw(path_.c_str(), forget, 16, FTW_DEPTH | FTW_PHYS);
  }

  const std::string& path() const { return path_; }
  std::string operator/(std::string_view name) const { return path_ + "/" + std::string{name}; }

 private:
  std::string path_ = "/tmp/mirakuru-XXXXXX";
};

namespace detail {

// Calls visit(number, descriptor of the directory) for each entry that is a number.
template <class Visit>
void each_number_in(const char* directory, Visit visit) {
  DIR* dir = opendir(directory);
  if (dir == nullptr) return;
  while (const dirent* entry = readdir(dir)) {
    const char first = entry->d_name[0];
    if (first >= '0' && first <= '9') visit(std::atoi(entry->d_name), dirfd(dir));
  }
  closedir(dir);
}

struct Stat {
  char state = 0;  // 0: there is no such process
  pid_t parent = 0;
};

inline Stat stat_of(pid_t pid) {
  Stat found;
  const std::string text = slurp("/proc/" + std::to_string(pid) + "/stat");
  const std::size_t name_end = text.rfind(')');  // the name may hold anything, brackets too
  if (name_end != text.npos)
    std::sscanf(text.c_str() + name_end + 1, " %c %d", &found.state, &found.parent);
  return found;
}

}  // namespace detail

// This process's open descriptors, in order.
inline std::vector<int> open_fds() {
  std::vector<int> fds;
  detail::each_number_in("/proc/self/fd", [&](int fd, int own) {
    if (fd != own) fds.push_back(fd);
  });
  std::sort(fds.begin(), fds.end());
  return fds;
}

// What the helper's `inspect FILE` wrote; the keys are listed there, env:NAME for the environment.
inline std::map<std::string, std::string> read_inspect(const std::string& path) {
  std::map<std::string, std::string> values;
  const std::string text = slurp(path);
  for (std::size_t at = 0, end; (end = text.find('\n', at)) != text.npos; at = end + 1) {
    const std::size_t equals = text.find('=', at);
    std::string& value = values[text.substr(at, equals - at)];
    for (std::size_t i = equals + 1; i < end; ++i) {
      const bool escape = text[i] == '\\';
      if (escape) ++i;
      value += escape && text[i] == 'n' ? '\n' : text[i];
    }
  }
  return values;
}

// Processes --------------------------------------------------------------------------------------

// Exists and is no zombie.
inline bool alive(pid_t pid) {
  const char state = detail::stat_of(pid).state;
  return state != 0 && state != 'Z' && state != 'X';
}

// Direct children, zombies too.
inline std::vector<pid_t> children_of(pid_t parent) {
  std::vector<pid_t> children;
  detail::each_number_in("/proc", [&](pid_t pid, int) {
    if (detail::stat_of(pid).parent == parent) children.push_back(pid);
  });
  return children;
}

// How many live processes other than this one have the marker in their command line. A guardian has
// its command's in its title.
inline int processes_matching(const std::string& marker, bool guardians = true) {
  int count = 0;
  detail::each_number_in("/proc", [&](pid_t pid, int) {
    std::string line = slurp("/proc/" + std::to_string(pid) + "/cmdline");
    std::replace(line.begin(), line.end(), '\0', ' ');
    if (pid != getpid() && line.find(marker) != line.npos && alive(pid) &&
        (guardians || !line.starts_with("mirakuru: guards ")))
      ++count;
  });
  return count;
}
inline int commands_matching(const std::string& marker) {
  return processes_matching(marker, false);
}

// Network ----------------------------------------------------------------------------------------

namespace detail {

// A socket and the address it is for; `host` is a numeric address.
class Endpoint {
 public:
  Endpoint(const std::string& host, int port) {
    v4_.sin_family = AF_INET;
    v6_.sin6_family = AF_INET6;
    v4_.sin_port = v6_.sin6_port = htons(static_cast<std::uint16_t>(port));
    is_v4_ = inet_pton(AF_INET, host.c_str(), &v4_.sin_addr) == 1;
    if (!is_v4_ && inet_pton(AF_INET6, host.c_str(), &v6_.sin6_addr) != 1)
      throw std::invalid_argument{"not a numeric address: " + host};
    fd_ = socket(is_v4_ ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
  }
  Endpoint(const Endpoint&) = delete;
  Endpoint& operator=(const Endpoint&) = delete;
  ~Endpoint() {
    if (fd_ >= 0) close(fd_);
  }

  int fd() const { return fd_; }
  bool connect() const { return ::connect(fd_, address(), size()) == 0; }

  // True also where the system has no such addresses at all.
  bool can_bind() const {
    if (fd_ < 0) return true;
    const int yes = 1;
    setsockopt(fd_, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (!is_v4_) setsockopt(fd_, IPPROTO_IPV6, IPV6_V6ONLY, &yes, sizeof yes);
    return bind(fd_, address(), size()) == 0 || errno == EADDRNOTAVAIL;
  }

 private:
  const sockaddr* address() const {
    return is_v4_ ? reinterpret_cast<const sockaddr*>(&v4_)
                  : reinterpret_cast<const sockaddr*>(&v6_);
  }
  socklen_t size() const { return is_v4_ ? sizeof v4_ : sizeof v6_; }

  sockaddr_in v4_{};
  sockaddr_in6 v6_{};
  bool is_v4_ = true;
  int fd_ = -1;
};

}  // namespace detail

// A port that is free on every address of this machine, a different one with each call.
inline int free_port() {
  // Below the range the system hands out by itself; each process begins in a part of its own.
  static constexpr int first = 10000, count = 22000, part = 40;
  static int next = static_cast<int>(getpid() % (count / part)) * part;
  for (int tries = 0; tries < count; ++tries) {
    const int port = first + next++ % count;
    if (detail::Endpoint{"0.0.0.0", port}.can_bind() && detail::Endpoint{"::", port}.can_bind())
      return port;
  }
  throw std::runtime_error{"no free port"};
}

// One blocking connect; `host` is a numeric address, or localhost for either of its two.
inline bool connects(const std::string& host, int port) {
  if (host == "localhost") return connects("127.0.0.1", port) || connects("::1", port);
  return detail::Endpoint{host, port}.connect();
}

// A host as URLs have it: IPv6 addresses in brackets.
inline std::string url_host(const std::string& host) {
  return host.find(':') == host.npos ? host : "[" + host + "]";
}

// The first status code that a request is answered with (100 too); 0 when there is none within two
// seconds.
inline int http_get(int port, const std::string& target, const std::string& method = "GET",
                    const std::string& host = "127.0.0.1") {
  const Elapsed elapsed;
  const detail::Endpoint server{host, port};
  const timeval limit{2, 0};
  setsockopt(server.fd(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  setsockopt(server.fd(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  if (!server.connect()) return 0;
  const std::string request = method + " " + target + " HTTP/1.1\r\nHost: " + url_host(host) + ":" +
                              std::to_string(port) + "\r\nConnection: close\r\n\r\n";
  if (send(server.fd(), request.data(), request.size(), MSG_NOSIGNAL) < 0) return 0;
  std::string answer;
  while (answer.find('\n') == answer.npos && elapsed < std::chrono::seconds{2}) {
    char buffer[4096];
    const ssize_t n = recv(server.fd(), buffer, sizeof buffer, 0);
    if (n <= 0) break;
    answer.append(buffer, static_cast<std::size_t>(n));
  }
  int status = 0;
  if (std::sscanf(answer.c_str(), "HTTP/1.%*[01] %3d", &status) != 1) return 0;
  return status;
}

// A free port in the forms that tests write it.
class Port {
 public:
  int number() const { return number_; }
  std::string str() const { return std::to_string(number_); }
  std::string url(const std::string& target = "/", const std::string& host = "127.0.0.1") const {
    return "http://" + url_host(host) + ":" + str() + target;
  }

 private:
  int number_ = free_port();
};

}  // namespace test
