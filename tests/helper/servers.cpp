// SPDX-License-Identifier: BSL-1.0
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <functional>
#include <optional>

#include "helper.hpp"

namespace helper {
namespace {

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
  std::function<Reply(const Request&)> answer = {};  // empty: connections are held
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

// These two return false when the connection is over.
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

int bound(const void* address, socklen_t size, int v6only = -1, int type = SOCK_STREAM) {
  const int family = static_cast<const sockaddr*>(address)->sa_family;
  const int fd = socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), yes = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  if (v6only >= 0) setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &v6only, sizeof v6only);
  if (bind(fd, static_cast<const sockaddr*>(address), size) != 0) fail("bind");
  return fd;
}

}  // namespace

int listening(const std::string& host, const std::string& port, int v6only) {
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

int hold_connections(int listener) { return serve({.listener = listener}); }

namespace {

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

// The first expectation that a request does not meet.
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

int run_listen(const Args& a) { return hold_connections(delayed_listener(a)); }

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
  const int type = a.text("type") == "dgram"       ? SOCK_DGRAM
                   : a.text("type") == "seqpacket" ? SOCK_SEQPACKET
                                                   : SOCK_STREAM;
  if (type == SOCK_DGRAM) nap(a.ms("delay"));
  const int fd = bound(
      &address,
      static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size() + (abstract ? 0 : 1)),
      -1, type);
  if (type == SOCK_DGRAM) return finish(a);
  nap(a.ms("delay"));
  if (a.flag("nolisten")) return finish(a);
  if (listen(fd, 1) != 0) fail("listen");
  write_all(1, unescape(a.text("say")));
  return serve({.listener = fd, .echo = true});
}

// Answers each datagram but the first ones by reply=TEXT, or by itself.
int run_udp(const Args& a) {
  nap(a.ms("delay"));
  sockaddr_in address{.sin_family = AF_INET, .sin_port = 0, .sin_addr = {}, .sin_zero = {}};
  address.sin_port = htons(static_cast<uint16_t>(std::atoi(a.words[1].c_str())));
  if (inet_pton(AF_INET, a.words[0].c_str(), &address.sin_addr) != 1) fail(a.words[0], EINVAL);
  const int fd = bound(&address, sizeof address, -1, SOCK_DGRAM);
  for (long lost = a.number("lose"); Clock::now() < deadline;) {
    pollfd event{fd, POLLIN, 0};
    if (poll(&event, 1, poll_ms(deadline)) <= 0) continue;
    char buffer[65536];
    sockaddr_storage from{};
    socklen_t size = sizeof from;
    auto* const peer = reinterpret_cast<sockaddr*>(&from);
    const ssize_t n = recvfrom(fd, buffer, sizeof buffer, 0, peer, &size);
    if (n < 0 || lost-- > 0) continue;
    std::string reply{buffer, static_cast<std::size_t>(n)};
    if (a.has("reply")) reply = unescape(a.text("reply"));
    sendto(fd, reply.data(), reply.size(), 0, peer, size);
  }
  return 0;
}

constexpr Verb verbs[] = {
    {"listen", run_listen, 2, 2, "HOST PORT [delay=MS] [v6only=0|1] [say=TEXT]"},
    {"serve", run_serve, 3, 3,
     "HOST PORT BEHAVIOUR [delay=MS] [v6only=0|1] [say=TEXT] [log=FILE] [status=N] [interval=MS] "
     "[method=M] [path=TARGET] [body=TEXT] [host=TEXT] [header=Name:Value]..."},
    {"h2", run_h2, 2, 4,
     "HOST PORT [immortal] [HEAD|GET|POST|Key] [countdown=MS] [delay=MS] [v6only=0|1] [say=TEXT] "
     "[log=FILE]"},
    {"unix", run_unix, 1, 2,
     "PATH|@NAME [nolisten] [delay=MS] [say=TEXT] [type=stream|dgram|seqpacket]"},
    {"udp", run_udp, 2, 2, "HOST PORT [delay=MS] [lose=N] [reply=TEXT]"},
};

}  // namespace

std::span<const Verb> server_verbs() { return verbs; }

}  // namespace helper
