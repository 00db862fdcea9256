// One program with many verbs, started by the tests that need a process:
//
//   helper VERB [WORD...] [key=value...]        (`helper help` lists the verbs)
//
// Every verb but args takes mark=TEXT and ignores it, so that a test can find its own processes.
// Whatever a verb does, it ends by itself 60 s after its start: nothing is left for long, but for
// what `escape stop` has stopped.

#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <strings.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

const Clock::time_point deadline = Clock::now() + std::chrono::seconds{60};
char** arguments;

[[noreturn]] void fail(const std::string& what, int error = errno) {
  std::fprintf(stderr, "helper: %s: %s\n", what.c_str(), std::strerror(error));
  std::exit(1);
}

// Time, files, text ------------------------------------------------------------------------------

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
    // Not more than a pipe that has room at all takes at once: the deadline holds.
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

// Waits until nobody holds the other end of the pipe any more, or for the end of the program.
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

struct Args {
  std::vector<std::string> words;
  std::vector<std::pair<std::string, std::string>> options;

  std::vector<std::string> all(std::string_view key) const {
    std::vector<std::string> found;
    for (const auto& [name, value] : options)
      if (name == key) found.push_back(value);
    return found;
  }
  bool has(std::string_view key) const { return !all(key).empty(); }
  std::string text(std::string_view key, const char* otherwise = "") const {
    return has(key) ? all(key).back() : otherwise;
  }
  long number(std::string_view key, long otherwise = 0) const {
    return has(key) ? std::atol(text(key).c_str()) : otherwise;
  }
  milliseconds ms(std::string_view key, long otherwise = 0) const {
    return milliseconds{number(key, otherwise)};
  }
  bool flag(std::string_view word) const {
    return std::find(words.begin(), words.end(), word) != words.end();
  }
};

// What most verbs end with: exit=CODE ends at once, else the process stays.
int finish(const Args& a) {
  if (!a.has("exit")) sleep_until(deadline);
  return static_cast<int>(a.number("exit"));
}

void put_pid(const Args& a, int flags = O_TRUNC) {
  if (a.has("pidfile")) put_file(a.text("pidfile"), std::to_string(getpid()) + "\n", flags);
}

// Signals ----------------------------------------------------------------------------------------

// "TERM,SIGINT,9" or "all".
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

int run_ignore(const Args& a) {
  set_handler(a.words[0], SIG_IGN);
  put_pid(a);
  write_all(1, "ready\n");
  return finish(a);
}

int run_immortal(const Args& a) {
  set_handler("all", do_nothing);
  put_pid(a);
  write_all(1, "ready\n");
  return finish(a);
}

int run_trap(const Args& a) {
  sigset_t set;
  sigemptyset(&set);
  for (const int s : signals(a.words[0])) sigaddset(&set, s);
  sigprocmask(SIG_BLOCK, &set, nullptr);
  write_all(1, "ready\n");
  while (const int left = poll_ms(deadline)) {
    const timespec time{left / 1000, left % 1000 * 1'000'000L};
    const int got = sigtimedwait(&set, nullptr, &time);
    if (got < 0) continue;
    nap(a.ms("after"));
    if (a.has("exit")) return static_cast<int>(a.number("exit"));
    write_all(1, "got " + std::to_string(got) + "\n");
  }
  return 0;
}

void print_and_wait(const Args& a) {
  write_all(1, unescape(a.text("out")));
  write_all(2, unescape(a.text("err")));
  nap(a.ms("after"));
}

int run_raise(const Args& a) {
  const int signal = signals(a.words[0])[0];
  print_and_wait(a);
  const rlimit no_core{0, 0};
  setrlimit(RLIMIT_CORE, &no_core);
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, signal);
  set_handler(std::to_string(signal), SIG_DFL);
  sigprocmask(SIG_UNBLOCK, &set, nullptr);
  return raise(signal);
}

// Servers ----------------------------------------------------------------------------------------

struct Request {
  std::string head, method, target, body;

  std::string header(const std::string& name) const {
    for (const std::string& line : split(head, '\n')) {
      if (strncasecmp(line.c_str(), (name + ":").c_str(), name.size() + 1) != 0) continue;
      const std::size_t begin = line.find_first_not_of(" \t", name.size() + 1);
      return line.substr(begin, line.find_last_not_of(" \t\r") + 1 - begin);
    }
    return "";
  }
};

std::optional<Request> whole_request(const std::string& in) {
  const std::size_t end = in.find("\r\n\r\n");
  if (end == in.npos) return {};
  Request request;
  request.head = in.substr(0, end + 4);
  const std::vector<std::string> first = split(in.substr(0, in.find('\r')), ' ');
  if (first.size() == 3) request.method = first[0], request.target = first[1];
  const std::size_t length = std::strtoul(request.header("Content-Length").c_str(), nullptr, 10);
  if (in.size() < end + 4 + length) return {};
  request.body = in.substr(end + 4, length);
  return request;
}

struct Step {
  std::string bytes;
  milliseconds pause{0};  // before the bytes
  bool for_ever = false;
};

struct Reply {
  std::vector<Step> steps;
  bool close = true;  // after the last step
};

struct Server {
  int listener;
  std::function<Reply(const Request&)> answer = {};  // none: connections are held
  bool close_at_once = false;
  bool echo = false;
  std::string log = {};
};

struct Connection {
  int fd;
  std::string in, out;
  std::optional<Reply> reply = {};
  std::size_t next = 0;
  Clock::time_point due = deadline;

  void expect_step() {
    due = Clock::now() + (next < reply->steps.size() ? reply->steps[next].pause : milliseconds{0});
  }
};

// Both return false when the connection is over.
bool take_input(Connection& c, const Server& server) {
  char buffer[65536];
  const ssize_t n = recv(c.fd, buffer, sizeof buffer, 0);
  if (n <= 0) return n < 0 && (errno == EAGAIN || errno == EINTR);
  const std::string_view got{buffer, static_cast<std::size_t>(n)};
  if (server.echo) c.out += got;
  if (!server.answer || c.reply) return true;
  c.in += got;
  const auto request = whole_request(c.in);
  if (!request) return true;
  if (!server.log.empty()) put_file(server.log, request->head + request->body, O_APPEND);
  c.reply = server.answer(*request);
  c.expect_step();
  return true;
}

bool advance(Connection& c) {
  if (c.reply && c.out.empty() && Clock::now() >= c.due) {
    if (c.next == c.reply->steps.size()) {
      c.due = deadline;
      return !c.reply->close;
    }
    const Step& step = c.reply->steps[c.next];
    c.out = step.bytes;
    if (!step.for_ever) ++c.next;
    c.expect_step();
  }
  if (c.out.empty()) return true;
  const ssize_t n = send(c.fd, c.out.data(), c.out.size(), MSG_NOSIGNAL);
  if (n > 0) c.out.erase(0, static_cast<std::size_t>(n));
  return n >= 0 || errno == EAGAIN || errno == EINTR;
}

int serve(const Server& server) {
  std::vector<Connection> connections;
  while (Clock::now() < deadline) {
    std::vector<pollfd> fds{{server.listener, POLLIN, 0}};
    Clock::time_point due = deadline;
    for (const Connection& c : connections) {
      fds.push_back({c.fd, static_cast<short>(c.out.empty() ? POLLIN : POLLIN | POLLOUT), 0});
      if (c.out.empty()) due = std::min(due, c.due);
    }
    if (poll(fds.data(), fds.size(), poll_ms(due)) < 0) continue;
    for (std::size_t i = connections.size(); i-- > 0;) {
      Connection& c = connections[i];
      const bool readable = (fds[i + 1].revents & ~POLLOUT) != 0;
      if ((!readable || take_input(c, server)) && advance(c)) continue;
      close(c.fd);
      connections.erase(connections.begin() + static_cast<std::ptrdiff_t>(i));
    }
    if (fds[0].revents == 0) continue;
    const int fd = accept4(server.listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0 && server.close_at_once) close(fd);
    if (fd >= 0 && !server.close_at_once) connections.push_back({.fd = fd, .in = {}, .out = {}});
  }
  return 0;
}

int bound(const void* address, socklen_t size, int v6only = -1) {
  const int family = static_cast<const sockaddr*>(address)->sa_family;
  const int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), yes = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  if (v6only >= 0) setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &v6only, sizeof v6only);
  if (bind(fd, static_cast<const sockaddr*>(address), size) != 0) fail("bind");
  return fd;
}

int listening(const std::string& host, const std::string& port, int v6only = -1) {
  sockaddr_in v4{.sin_family = AF_INET, .sin_port = 0, .sin_addr = {}, .sin_zero = {}};
  sockaddr_in6 v6{};
  v6.sin6_family = AF_INET6;
  v4.sin_port = v6.sin6_port = htons(static_cast<uint16_t>(std::atoi(port.c_str())));
  const bool is_v4 = inet_pton(AF_INET, host.c_str(), &v4.sin_addr) == 1;
  if (!is_v4 && inet_pton(AF_INET6, host.c_str(), &v6.sin6_addr) != 1) fail(host, EINVAL);
  const int fd = is_v4 ? bound(&v4, sizeof v4) : bound(&v6, sizeof v6, v6only);
  if (listen(fd, 128) != 0) fail("listen");
  return fd;
}

// Waits for delay=MS, listens on words 0 and 1, prints say=TEXT.
int delayed_listener(const Args& a) {
  nap(a.ms("delay"));
  const int fd = listening(a.words[0], a.words[1], static_cast<int>(a.number("v6only", -1)));
  write_all(1, unescape(a.text("say")));
  return fd;
}

std::string response(const Request& request, int status, const std::string& reason = "Status") {
  const std::string body = request.method == "HEAD" || status == 204 || status == 304 ? "" : "ok\n";
  return "HTTP/1.1 " + std::to_string(status) + " " + reason + "\r\n" +
         (status / 100 == 3 ? "Location: /elsewhere\r\n" : "") +
         (status == 204 ? "" : "Content-Length: 3\r\n") + "Connection: close\r\n\r\n" + body;
}

// The first of the expectations that a request does not meet.
std::string unmet(const Args& a, const Request& request) {
  if (a.has("method") && a.text("method") != request.method) return "method";
  if (a.has("path") && a.text("path") != request.target) return "path";
  if (a.has("body") && a.text("body") != request.body) return "body";
  if (a.has("host") && a.text("host") != request.header("Host")) return "host";
  for (const std::string& line : a.all("header")) {
    const std::size_t colon = std::min(line.find(':'), line.size() - 1);
    const std::size_t value = std::min(line.find_first_not_of(' ', colon + 1), line.size());
    if (request.header(line.substr(0, colon)) != line.substr(value)) return line.substr(0, colon);
  }
  return "";
}

std::string garbage() {
  std::string bytes;
  for (unsigned x = 12345; bytes.size() < 4096; x = x * 1664525 + 1013904223)
    bytes += static_cast<char>(static_cast<unsigned char>(x >> 24));
  return bytes;
}

constexpr std::string_view behaviours =
    " ok status mute mute-once drip endless-headers garbage close close-after-request endless-body"
    " continue continue-only chunked http10 huge-header echo ";

Reply behave(std::string_view name, const Args& a, const Request& r, bool first) {
  const Step plain{response(r, 200)}, ok{"HTTP/1.1 200 OK\r\n"},
      go{"HTTP/1.1 100 Continue\r\n\r\n"};
  const auto unless_head = [&](const char* body) { return r.method == "HEAD" ? "" : body; };
  if (name == "status") return {{{response(r, static_cast<int>(a.number("status", 503)))}}};
  if (name == "mute" || (name == "mute-once" && first)) return {{}, false};
  if (name == "garbage") return {{{garbage()}}};
  if (name == "close-after-request") return {};
  if (name == "continue") return {{go, {plain.bytes, a.ms("interval", 50)}}};
  if (name == "continue-only") return {{{go.bytes, a.ms("interval", 10), true}}};
  if (name == "http10") return {{{"HTTP/1.0 200 OK\r\n\r\n"}, {unless_head("ok\n")}}};
  if (name == "chunked")
    return {{ok, {"Transfer-Encoding: chunked\r\n\r\n"}, {unless_head("3\r\nok\n\r\n0\r\n\r\n")}}};
  if (name == "huge-header")
    return {{ok, {"X-Huge: " + std::string(10'000'000, 'x') + "\r\nContent-Length: 0\r\n\r\n"}}};
  if (name == "endless-body")
    return {{ok, {"\r\n"}, {std::string(65536, 'x'), milliseconds{0}, true}}};
  if (name == "endless-headers") {
    std::string lines;
    for (int i = 0; i < 1000; ++i) lines += "X-Header-" + std::to_string(i) + ": and another\r\n";
    return {{ok, {lines, milliseconds{0}, true}}};
  }
  if (name == "drip") {
    Reply reply;
    for (const char c : ok.bytes) reply.steps.push_back({{c}, a.ms("interval", 1000)});
    reply.steps.push_back({plain.bytes.substr(plain.bytes.find('\n') + 1)});
    return reply;
  }
  const std::string wrong = name == "echo" ? unmet(a, r) : "";
  return {{wrong.empty() ? plain : Step{response(r, 500, "wrong " + wrong)}}};
}

int run_serve(const Args& a) {
  const std::string& name = a.words[2];
  if (behaviours.find(" " + name + " ") == behaviours.npos) fail("no behaviour " + name, EINVAL);
  const auto answer = [&, first = true](const Request& r) mutable {
    return behave(name, a, r, std::exchange(first, false));
  };
  return serve({.listener = delayed_listener(a),
                .answer = answer,
                .close_at_once = name == "close",
                .log = a.text("log")});
}

int run_listen(const Args& a) { return serve({.listener = delayed_listener(a)}); }

int run_h2(const Args& a) {
  if (a.flag("immortal")) set_handler("all", do_nothing);
  const std::string mode = a.flag("GET")    ? "GET"
                           : a.flag("POST") ? "POST"
                           : a.flag("Key")  ? "Key"
                                            : "HEAD";
  std::optional<Clock::time_point> over;
  const auto answer = [&](const Request& r) {
    const bool key = ("&" + r.body + "&").find("&key=hole&") != std::string::npos;
    int status = r.method == "GET" ? 200 : r.method == "POST" && mode != "Key" ? 501 : 500;
    if (mode == "Key" ? r.method == "POST" && key : r.method == mode) {
      if (!over) over = Clock::now() + a.ms("countdown", 300);
      status = Clock::now() >= *over ? 200 : 500;
    }
    return Reply{{{response(r, status)}}};
  };
  return serve({.listener = delayed_listener(a), .answer = answer, .log = a.text("log")});
}

int run_unix(const Args& a) {
  sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
  std::string path = a.words[0];
  if (path.size() >= sizeof address.sun_path) fail(path, ENAMETOOLONG);
  const bool abstract = path.starts_with('@');
  if (abstract) path[0] = '\0';
  if (!abstract) unlink(path.c_str());
  std::memcpy(address.sun_path, path.data(), path.size());
  const int fd = bound(&address, static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) +
                                                        path.size() + (abstract ? 0 : 1)));
  nap(a.ms("delay"));
  if (a.flag("nolisten")) return finish(a);
  if (listen(fd, 1) != 0) fail("listen");
  write_all(1, unescape(a.text("say")));
  return serve({.listener = fd, .echo = true});
}

// Descendants ------------------------------------------------------------------------------------

pid_t forked() {
  const pid_t pid = fork();
  if (pid < 0) fail("fork");
  return pid;
}

// Only a new program has a new environment to show. It keeps the marks of the old one.
void exec_without_environment() {
  std::vector<std::string> words{"helper", "sleep", std::to_string(poll_ms(deadline))};
  for (char** word = arguments + 1; *word; ++word) words.push_back("mark=" + std::string{*word});
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  char* environment[] = {nullptr};
  execve("/proc/self/exe", argv.data(), environment);
}

int run_daemon(const Args& a) {
  int alive[2];
  if (pipe2(alive, O_CLOEXEC) != 0) fail("pipe");
  if (forked() != 0) {
    close(alive[1]);
    wait_for_end(alive[0]);
    return static_cast<int>(a.number("leader-exit"));
  }
  setsid();
  if (forked() != 0) std::_Exit(0);
  set_handler("all", SIG_IGN);
  const int fd = a.has("listen") ? listening("127.0.0.1", a.text("listen")) : -1;
  put_pid(a);
  if (a.text("env") == "clear") exec_without_environment();
  close(alive[1]);
  return fd >= 0 ? serve({.listener = fd}) : finish({});
}

void grow(const Args& a, long depth, int alive) {
  for (long i = 0; depth > 0 && i < a.number("width", 1); ++i) {
    if (forked() != 0) continue;
    if (a.number("setsid")) setsid();
    if (a.has("ignore")) set_handler(a.text("ignore"), SIG_IGN);
    grow(a, depth - 1, alive);
    put_pid(a, O_APPEND);
    close(alive);
    sleep_until(deadline);
    std::_Exit(0);
  }
}

int run_tree(const Args& a) {
  long all = 0, level = 1;
  for (long i = 0; i < a.number("depth", 1) && all < 1000; ++i)
    all += level *= a.number("width", 1);
  if (all > 1000) fail("so many processes", E2BIG);
  int alive[2];
  if (pipe2(alive, O_CLOEXEC) != 0) fail("pipe");
  grow(a, a.number("depth", 1), alive[1]);
  close(alive[1]);
  wait_for_end(alive[0]);
  write_all(1, "ready\n");
  return finish(a);
}

// A line of its id and, as ids come again, of its start time: field 22 of proc_pid_stat(5).
void put_record(const Args& a) {
  if (!a.has("record")) return;
  char text[1024] = {};
  const int fd = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
  if (fd < 0 || read(fd, text, sizeof text - 1) < 0) fail("/proc/self/stat");
  close(fd);
  const std::vector<std::string> fields = split(std::strrchr(text, ')'), ' ');  // from 2 on
  put_file(a.text("record"), std::to_string(getpid()) + " " + fields[20] + "\n", O_APPEND);
}

// No marker finds it any more, neither in its name nor in its arguments.
void rename_self() {
  prctl(PR_SET_NAME, "renamed");
  char** last = arguments;
  while (last[1]) ++last;
  std::memset(*arguments, 'x', static_cast<std::size_t>(*last + std::strlen(*last) - *arguments));
}

// A new child with each pause, which lives for five of them.
void keep_forking(milliseconds pause) {
  set_handler("CHLD", SIG_IGN);  // no zombies
  for (; poll_ms(deadline) > 0; nap(pause)) {
    if (fork() != 0) continue;
    nap(5 * pause);
    std::_Exit(0);
  }
}

// Never the same process for longer than a pause.
void keep_succeeding(milliseconds pause) {
  for (; poll_ms(deadline) > 0; nap(pause))
    if (fork() > 0) std::_Exit(0);
}

[[noreturn]] void escape(const Args& a, const std::string& ways, int alive) {
  put_record(a);
  for (const std::string& way : split(ways, '+')) {
    // What does not return, or not soon, is as ready as it gets.
    if (way == "stop" || way == "forks" || way == "chain") close(alive);
    if (way == "session") {
      setsid();
    } else if (way == "group") {
      setpgid(0, 0);
    } else if (way == "daemon") {
      setsid();
      if (forked() != 0) std::_Exit(0);
      put_record(a);
    } else if (way == "ignore") {
      set_handler("all", SIG_IGN);
    } else if (way == "clean") {
      exec_without_environment();
    } else if (way == "name") {
      rename_self();
    } else if (way == "stop") {
      raise(SIGSTOP);
    } else if (way == "forks") {
      keep_forking(a.ms("pause", 1));
    } else if (way == "chain") {
      keep_succeeding(a.ms("pause", 1));
    } else {
      fail("no such way: " + way, EINVAL);
    }
  }
  close(alive);
  sleep_until(deadline);
  std::_Exit(0);
}

int run_escape(const Args& a) {
  int alive[2];
  if (pipe2(alive, O_CLOEXEC) != 0) fail("pipe");
  put_record(a);
  for (const std::string& ways : a.words)
    if (forked() == 0) escape(a, ways, alive[1]);
  close(alive[1]);
  wait_for_end(alive[0]);
  write_all(1, "ready\n");
  return finish(a);
}

// What a process was given -----------------------------------------------------------------------

std::string kind_of(int fd) {
  struct stat s;
  if (fstat(fd, &s) != 0) return "closed";
  if (S_ISCHR(s.st_mode) && s.st_rdev == makedev(1, 3)) return "null";
  if (isatty(fd)) return "tty";
  return S_ISFIFO(s.st_mode)   ? "pipe"
         : S_ISREG(s.st_mode)  ? "file"
         : S_ISSOCK(s.st_mode) ? "socket"
                               : "other";
}

std::string open_descriptors() {
  std::vector<int> fds;
  DIR* dir = opendir("/proc/self/fd");
  while (const dirent* entry = readdir(dir))
    if (entry->d_name[0] != '.' && std::atoi(entry->d_name) != dirfd(dir))
      fds.push_back(std::atoi(entry->d_name));
  closedir(dir);
  std::sort(fds.begin(), fds.end());
  std::string list;
  for (const int fd : fds) list += (list.empty() ? "" : ",") + std::to_string(fd);
  return list;
}

int run_inspect(const Args& a) {
  std::string text;
  const auto add = [&](const std::string& key, const std::string& value) {
    text += key + "=";
    for (const char c : value) text += c == '\n' ? "\\n" : c == '\\' ? "\\\\" : std::string(1, c);
    text += "\n";
  };
  add("fds", open_descriptors());  // before anything is opened
  add("stdin", kind_of(0)), add("stdout", kind_of(1)), add("stderr", kind_of(2));
  add("pid", std::to_string(getpid())), add("ppid", std::to_string(getppid()));
  add("pgid", std::to_string(getpgrp())), add("sid", std::to_string(getsid(0)));
  char buffer[4096];
  add("cwd", getcwd(buffer, sizeof buffer) ? buffer : "");
  const mode_t mask = umask(0);
  umask(mask);
  std::snprintf(buffer, sizeof buffer, "%03o", static_cast<unsigned>(mask));
  add("umask", buffer);
  std::FILE* status = std::fopen("/proc/self/status", "r");
  while (status && std::fgets(buffer, sizeof buffer, status)) {
    const std::string line{buffer, std::strcspn(buffer, "\n")};
    if (line.starts_with("SigBlk:\t")) add("blocked", line.substr(8));
    if (line.starts_with("SigIgn:\t")) add("ignored", line.substr(8));
  }
  if (status) std::fclose(status);
  int count = 0;
  for (char** word = arguments; *word; ++word) add("arg" + std::to_string(count++), *word);
  add("args", std::to_string(count));
  for (char** variable = environ; *variable; ++variable) {
    const std::string pair = *variable;
    const std::size_t equals = std::min(pair.find('='), pair.size());
    add("env:" + pair.substr(0, equals), pair.substr(std::min(equals + 1, pair.size())));
  }
  const std::string temporary = a.words[0] + ".tmp";
  put_file(temporary, text, O_TRUNC);
  if (rename(temporary.c_str(), a.words[0].c_str()) != 0) fail(a.words[0]);
  if (a.flag("stay")) sleep_until(deadline);
  return 0;
}

int run_args(const Args& a) {
  for (const std::string& word : a.words) write_all(1, "[" + word + "]\n");
  return 0;
}

// Output, files, the end -------------------------------------------------------------------------

int run_stdin(const Args&) {
  write_all(1, "ready\n");
  wait_for_end(0);
  write_all(1, "eof\n");
  return 0;
}

// Byte i is a letter that follows from i, so that a test can tell what was lost or came twice.
int run_flood(const Args& a) {
  const long size = std::atol(a.words[0].c_str()), line = a.number("line", 80);
  const int fd = static_cast<int>(a.number("fd", 1));
  const long each = a.number("write", 4096);
  const long period = 26 * (line + 1);
  std::string text;
  for (long i = 0; i < period + each; ++i)
    text += line > 0 && i % (line + 1) == line ? '\n' : static_cast<char>('a' + i % 26);
  for (long i = 0; i < size; i += each) {
    const long left = size - i;
    auto chunk = text.substr(static_cast<std::size_t>(i % period),
                             static_cast<std::size_t>(std::min(each, left)));
    if (line > 0 && left <= each) chunk.back() = '\n';
    write_all(fd, chunk);
  }
  if (a.has("then")) write_all(fd, unescape(a.text("then")) + "\n");
  return finish(a);
}

int run_print(const Args& a) {
  for (std::size_t i = 0; i < a.words.size(); ++i) {
    if (i > 0) nap(a.ms("split"));
    write_all(static_cast<int>(a.number("fd", 1)), unescape(a.words[i]));
  }
  return finish(a);
}

int run_touch(const Args& a) {
  nap(a.ms("delay"));
  put_file(a.words[0], unescape(a.text("content")), O_TRUNC);
  return finish(a);
}

int run_pidfile(const Args& a) {
  nap(a.ms("delay"));
  put_file(a.words[0], std::to_string(getpid()) + "\n", O_TRUNC);
  return finish(a);
}

int run_sleep(const Args& a) {
  nap(milliseconds{std::atol(a.words[0].c_str())});
  return static_cast<int>(a.number("exit"));
}

int run_exit(const Args& a) {
  print_and_wait(a);
  return std::atoi(a.words[0].c_str());
}

int run_close_stdio(const Args& a) {
  for (const int fd : {0, 1, 2}) close(fd);
  put_pid(a);
  return finish(a);
}

int run_help(const Args&);

// The usage is also what is parsed: key=value is an option where it says [key=, else it is a word.
struct Verb {
  std::string_view name;
  int (*run)(const Args&);
  std::size_t least, most;
  std::string_view usage;
};

constexpr std::size_t any = 1'000'000;
constexpr Verb verbs[] = {
    {"sleep", run_sleep, 1, 1, "MS [exit=CODE]"},
    {"exit", run_exit, 1, 1, "CODE [out=TEXT] [err=TEXT] [after=MS]"},
    {"raise", run_raise, 1, 1, "SIG [out=TEXT] [err=TEXT] [after=MS]"},
    {"listen", run_listen, 2, 2, "HOST PORT [delay=MS] [v6only=0|1] [say=TEXT]"},
    {"serve", run_serve, 3, 3,
     "HOST PORT BEHAVIOUR [delay=MS] [v6only=0|1] [say=TEXT] [log=FILE] [status=N] [interval=MS] "
     "[method=M] [path=TARGET] [body=TEXT] [host=TEXT] [header=Name:Value]..."},
    {"h2", run_h2, 2, 4,
     "HOST PORT [immortal] [HEAD|GET|POST|Key] [countdown=MS] [delay=MS] [v6only=0|1] [say=TEXT] "
     "[log=FILE]"},
    {"unix", run_unix, 1, 2, "PATH|@NAME [nolisten] [delay=MS] [say=TEXT]"},
    {"daemon", run_daemon, 0, 0, "[pidfile=FILE] [leader-exit=CODE] [listen=PORT] [env=clear]"},
    {"tree", run_tree, 0, 0,
     "[depth=N] [width=N] [setsid=0|1] [ignore=SIG,SIG] [pidfile=FILE] [exit=CODE]"},
    {"escape", run_escape, 1, any,
     "WAYS... [pause=MS] [record=FILE] [exit=CODE], WAYS of each child: session, group, daemon, "
     "ignore, clean, name, stop, forks, chain, joined by +"},
    {"ignore", run_ignore, 1, 1, "SIG,SIG|all [pidfile=FILE]"},
    {"immortal", run_immortal, 0, 0, "[pidfile=FILE]"},
    {"trap", run_trap, 1, 1, "SIG,SIG|all [exit=CODE] [after=MS]"},
    {"inspect", run_inspect, 1, any, "FILE [stay]"},
    {"args", run_args, 0, any, "WORD..."},
    {"stdin", run_stdin, 0, 0, ""},
    {"flood", run_flood, 1, 1, "BYTES [line=N] [write=N] [then=TEXT] [fd=1|2] [exit=CODE]"},
    {"print", run_print, 0, any, "TEXT... [split=MS] [fd=1|2] [exit=CODE]"},
    {"touch", run_touch, 1, 1, "FILE [delay=MS] [content=TEXT] [exit=CODE]"},
    {"pidfile", run_pidfile, 1, 1, "FILE [delay=MS] [exit=CODE]"},
    {"close-stdio", run_close_stdio, 0, 0, "[pidfile=FILE]"},
    {"help", run_help, 0, any, ""},
};

int run_help(const Args&) {
  for (const Verb& verb : verbs)
    write_all(1, std::string{verb.name} + " " + std::string{verb.usage} + "\n");
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  arguments = argv;
  for (const Verb& verb : verbs) {
    if (argc < 2 || verb.name != argv[1]) continue;
    Args args;
    for (int i = 2; i < argc; ++i) {
      const std::string word = argv[i];
      const std::string key = word.substr(0, word.find('='));
      const bool is_option = key != word && (verb.usage.find("[" + key + "=") != word.npos ||
                                             (key == "mark" && verb.name != "args"));
      is_option ? void(args.options.emplace_back(key, word.substr(key.size() + 1)))
                : void(args.words.push_back(word));
    }
    if (args.words.size() >= verb.least && args.words.size() <= verb.most) return verb.run(args);
  }
  std::fprintf(stderr, "helper: wrong verb or arguments; `helper help` lists them\n");
  return 2;
}
