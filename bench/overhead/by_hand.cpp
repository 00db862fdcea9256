// SPDX-License-Identifier: BSL-1.0
// The task of ours.cpp, written by hand on Asio: start a service, wait for its port or its answer,
// stop it.
//
//     by_hand PORT ROUNDS PROGRAM ARGUMENT...
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <asio.hpp>
#include <asio/experimental/awaitable_operators.hpp>

#if defined(OVERHEAD_HTTP)
#include <llhttp.h>
#endif

namespace {

using asio::redirect_error;
using asio::use_awaitable;
using asio::ip::tcp;
using Clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

class File {
 public:
  explicit File(int fd) : fd_{fd} {
    if (fd < 0) throw std::system_error{errno, std::generic_category()};
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  ~File() { ::close(fd_); }
  [[nodiscard]] int get() const { return fd_; }

 private:
  int fd_;
};

#if defined(OVERHEAD_HTTP)
class Answer {
 public:
  Answer() {
    llhttp_settings_init(&settings_);
    settings_.on_headers_complete = [](llhttp_t* parser) -> int {
      static_cast<Answer*>(parser->data)->status_ = parser->status_code;
      return HPE_PAUSED;
    };
    llhttp_init(&parser_, HTTP_RESPONSE, &settings_);
    parser_.data = this;
  }
  bool feed(const char* data, std::size_t size) {
    return llhttp_execute(&parser_, data, size) == HPE_OK && status_ == 0;
  }
  [[nodiscard]] bool good() const { return status_ / 100 == 2; }

 private:
  llhttp_settings_t settings_;
  llhttp_t parser_;
  int status_ = 0;
};
#endif

class Server {
 public:
  Server(std::vector<std::string> words, unsigned short port)
      : words_{std::move(words)}, endpoint_{asio::ip::address_v4::loopback(), port} {}
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;
  ~Server() {
    if (pid_ == 0) return;
    ::kill(-pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }

  void start() { run(starting()); }
  void stop() { run(stopping()); }
  [[nodiscard]] std::size_t attempts() const { return attempts_; }

 private:
  void run(asio::awaitable<void> work) {
    std::exception_ptr error;
    context_.restart();
    asio::co_spawn(context_, std::move(work), [&](std::exception_ptr thrown) { error = thrown; });
    context_.run();
    if (error) std::rethrow_exception(error);
  }

  asio::awaitable<void> starting() {
    if (co_await answers()) throw std::runtime_error{"somebody is there already"};
    spawn();
    const auto begin = Clock::now(), deadline = begin + 30s;
    bool exited = false;
    asio::steady_timer pause{context_};
    ended_.async_wait([&](asio::error_code error, int) {
      exited = !error;
      pause.cancel();
    });
    while (!co_await answers()) {
      const auto now = Clock::now();
      if (exited) throw std::runtime_error{"it has ended"};
      if (now >= deadline) throw std::runtime_error{"timed out"};
      asio::error_code ignored;
      pause.expires_at(now + std::clamp<Clock::duration>((now - begin) / 64, 500us, 250ms));
      co_await pause.async_wait(redirect_error(use_awaitable, ignored));
    }
    ended_.cancel();
  }

  asio::awaitable<bool> answers() {
    using namespace asio::experimental::awaitable_operators;
    ++attempts_;
    asio::steady_timer limit{context_, 1s};
    const auto first = co_await (answer() || limit.async_wait(use_awaitable));
    co_return first.index() == 0 && std::get<0>(first);
  }

  asio::awaitable<bool> answer() {
    tcp::socket socket{context_};
    asio::error_code error;
    co_await socket.async_connect(endpoint_, redirect_error(use_awaitable, error));
#if defined(OVERHEAD_HTTP)
    static const std::string request = "HEAD / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";
    Answer answer;
    if (!error)
      co_await asio::async_write(socket, asio::buffer(request),
                                 redirect_error(use_awaitable, error));
    std::array<char, 4096> bytes;
    for (bool more = !error; more;) {
      const auto size = co_await socket.async_read_some(asio::buffer(bytes),
                                                        redirect_error(use_awaitable, error));
      more = !error && answer.feed(bytes.data(), size);
    }
    co_return answer.good();
#else
    co_return !error;
#endif
  }

  void spawn() {
    const File in{::open("/dev/null", O_RDONLY | O_CLOEXEC)};
    const File out{::open("/tmp", O_TMPFILE | O_RDWR | O_APPEND | O_CLOEXEC, 0600)};
    const File err{::open("/tmp", O_TMPFILE | O_RDWR | O_APPEND | O_CLOEXEC, 0600)};
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_adddup2(&actions, in.get(), 0);
    ::posix_spawn_file_actions_adddup2(&actions, out.get(), 1);
    ::posix_spawn_file_actions_adddup2(&actions, err.get(), 2);
    posix_spawnattr_t attributes;
    ::posix_spawnattr_init(&attributes);
    ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID);
    std::vector<char*> argv;
    for (auto& word : words_) argv.push_back(word.data());
    argv.push_back(nullptr);
    const int error = ::posix_spawnp(&pid_, argv[0], &actions, &attributes, argv.data(), ::environ);
    ::posix_spawnattr_destroy(&attributes);
    ::posix_spawn_file_actions_destroy(&actions);
    if (error != 0) throw std::system_error{error, std::generic_category(), words_[0]};
  }

  asio::awaitable<void> stopping() {
    ::kill(-pid_, SIGTERM);
    asio::steady_timer limit{context_, 10s};
    limit.async_wait([&](asio::error_code error) {
      if (!error) ::kill(-pid_, SIGKILL);
    });
    while (::waitpid(pid_, nullptr, WNOHANG) == 0) {
      asio::error_code ignored;
      co_await ended_.async_wait(redirect_error(use_awaitable, ignored));
    }
    pid_ = 0;
    limit.cancel();
  }

  asio::io_context context_{1};
  asio::signal_set ended_{context_, SIGCHLD};
  std::vector<std::string> words_;
  tcp::endpoint endpoint_;
  pid_t pid_ = 0;
  std::size_t attempts_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4) return 2;
  std::size_t attempts = 0;
  for (int round = std::atoi(argv[2]); round > 0; --round) {
    Server server{{argv + 3, argv + argc}, static_cast<unsigned short>(std::atoi(argv[1]))};
    server.start();
    server.stop();
    attempts += server.attempts();
  }
  std::printf("%zu\n", attempts);
}
