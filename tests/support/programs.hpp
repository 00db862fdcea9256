// SPDX-License-Identifier: BSL-1.0
// Forks of the test that are programs of their own, as a runner would start them.

#pragma once

#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <exception>
#include <stdexcept>
#include <string>
#include <utility>

#include <mirakuru/os/signals_blocked.hpp>
#include <mirakuru/os/unique_fd.hpp>

namespace test {

/// The words between a program and the test.
class Wire {
 public:
  Wire(mirakuru::detail::UniqueFd in, mirakuru::detail::UniqueFd out)
      : in_{std::move(in)}, out_{std::move(out)} {}

  /// Sends a word; it may have lines, but no NUL.
  void say(std::string word) const {
    word += '\0';
    const mirakuru::detail::PipeSignalBlocked blocked;
    if (::write(out_.get(), word.data(), word.size()) != static_cast<ssize_t>(word.size()))
      throw std::runtime_error{"nobody hears"};
  }
  /// The next word; empty at the end, and after 20 s.
  std::string hear() const {
    std::string word;
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds{20};
    for (char byte = 0;;) {
      pollfd event{in_.get(), POLLIN, 0};
      const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
          deadline - std::chrono::steady_clock::now());
      if (left.count() <= 0 || ::poll(&event, 1, static_cast<int>(left.count())) <= 0) return "";
      if (::read(in_.get(), &byte, 1) != 1) return "";
      if (byte == '\0') return word;
      word += byte;
    }
  }

 private:
  mirakuru::detail::UniqueFd in_, out_;
};

/// A program that runs `body(wire)`; an exception's message is its last word.
class Program {
 public:
  template <class Body>
  explicit Program(Body body) : Program{std::move(body), mirakuru::detail::make_pipe()} {}
  Program(Program&& other) noexcept
      : wire_{std::move(other.wire_)}, pid_{std::exchange(other.pid_, 0)} {}
  Program(const Program&) = delete;
  ~Program() { kill(); }

  pid_t pid() const { return pid_; }
  void say(const std::string& word) const { wire_.say(word); }
  std::string hear() const { return wire_.hear(); }
  /// Lets go of a program that waits in `hear()`, and returns its exit status.
  int end() {
    if (pid_ == 0) return -1;
    try {
      say("end");
    } catch (const std::exception&) {  // it has ended by itself
    }
    return wait();
  }
  int wait() {
    int status = 0;
    ::waitpid(std::exchange(pid_, 0), &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  }
  void kill() {
    if (pid_ == 0) return;
    ::kill(pid_, SIGKILL);
    wait();
  }

 private:
  template <class Body>
  Program(Body body, mirakuru::detail::Pipe to)
      : Program{std::move(body), std::move(to), mirakuru::detail::make_pipe()} {}
  template <class Body>
  Program(Body body, mirakuru::detail::Pipe to, mirakuru::detail::Pipe from)
      : wire_{std::move(from.reading), std::move(to.writing)}, pid_{::fork()} {
    if (pid_ != 0) return;
    {
      const auto others = std::move(wire_);
    }  // the test's ends
    int status = 0;
    const Wire wire{std::move(to.reading), std::move(from.writing)};
    try {
      body(wire);
    } catch (const std::exception& error) {
      status = 1;
      try {
        wire.say(error.what());
      } catch (const std::exception&) {
        status = 2;
      }
    }
    ::_exit(status);
  }

  Wire wire_;
  pid_t pid_;
};

}  // namespace test
