// SPDX-License-Identifier: BSL-1.0
// The tools of the measurements: clocks, the service, forks.
#pragma once

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <random>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <mirakuru/kit.hpp>

// The files and waits of the tests serve here, too.
#include "../tests/support/files.hpp"
#include "../tests/support/time.hpp"
#include "floor/floor.h"
#include "page.h"
#include "report.hpp"

namespace bench {

using namespace std::chrono_literals;
using Delay = std::chrono::microseconds;

inline std::string child_program;

inline void require(bool good, const std::string& what) {
  if (!good) throw std::runtime_error{"the benchmark itself has failed: " + what};
}

inline std::string temporary() {
  const char* path = std::getenv("TMPDIR");
  return path != nullptr && *path != '\0' ? path : "/tmp";
}

// The milliseconds since its construction.
class Stopwatch {
 public:
  double ms() const { return static_cast<double>(monotonic_ns() - begin_) / 1e6; }

 private:
  std::int64_t begin_ = monotonic_ns();
};

// Processor time of this process so far, in milliseconds.
inline double processor_ms() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto ms = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) * 1e3 + static_cast<double>(time.tv_usec) / 1e3;
  };
  return ms(usage.ru_utime) + ms(usage.ru_stime);
}

inline double resident_kb() {
  long size = 0, resident = 0;
  std::sscanf(test::slurp("/proc/self/statm").c_str(), "%ld %ld", &size, &resident);
  return static_cast<double>(resident * ::sysconf(_SC_PAGESIZE)) / 1024;
}

// A sequence of delays, the same for the library and the floor.
class Moments {
 public:
  Delay next() { return Delay{between_(engine_)}; }

 private:
  std::mt19937 engine_{1};
  std::uniform_int_distribution<int> between_{50'000, 250'000};
};

// Keeps files in memory during its lifetime. A busy disk would add its own time to the result.
class FilesInMemory {
 public:
  FilesInMemory() {
    if (::access("/dev/shm", W_OK) == 0) ::setenv("TMPDIR", "/dev/shm", 1);
  }
  FilesInMemory(const FilesInMemory&) = delete;
  ~FilesInMemory() { ::setenv("TMPDIR", before_.c_str(), 1); }

 private:
  std::string before_ = temporary();
};

// A directory that is removed with its contents.
class Directory {
 public:
  Directory() { require(::mkdtemp(path_.data()) != nullptr, path_); }
  Directory(const Directory&) = delete;
  ~Directory() { std::filesystem::remove_all(path_); }

  std::string operator/(const char* name) const { return path_ + "/" + name; }

 private:
  std::string path_ = temporary() + "/mirakuru-bench-XXXXXX";
};

// A run of child.c, and the page that it writes. Its place is a port, a descriptor, or a file.
class Service {
 public:
  explicit Service(std::string verb, Delay delay = 0us, std::string place = "")
      : verb_{std::move(verb)}, place_{std::move(place)}, delay_{delay} {
    if (verb_ == "tcp" || verb_ == "http") place_ = port_.emplace().str();
    if (verb_ == "fd") place_ = "3";
    if (place_.empty()) place_ = directory_ / "place";
    const int fd = ::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    require(fd >= 0 && ::ftruncate(fd, sizeof *page_) == 0, path_);
    void* map = ::mmap(nullptr, sizeof *page_, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    require(map != MAP_FAILED, "mmap");
    page_ = static_cast<page*>(map);
    ::close(fd);
  }
  Service(const Service&) = delete;
  ~Service() { ::munmap(page_, sizeof *page_); }

  std::vector<std::string> words() const {
    return {child_program, path_, std::to_string(delay_.count()), verb_, place_};
  }
  const std::string& place() const { return place_; }
  int port() const { return std::stoi(place_); }
  const page& told() const { return *page_; }

  double startup_ms() const { return static_cast<double>(page_->ready - page_->begin) / 1e6; }
  double since_ready_ms() const {
    require(page_->ready != 0, verb_ + " is not ready");
    return static_cast<double>(monotonic_ns() - page_->ready) / 1e6;
  }

 private:
  Directory directory_;
  std::optional<mirakuru::FreePort> port_;  // many services look for one at the same time
  std::string verb_, place_, path_ = directory_ / "page";
  Delay delay_;
  page* page_ = nullptr;
};

// A process that the floor has started.
class ByHand {
 public:
  explicit ByHand(const std::vector<std::string>& words, int out = -1) {
    std::vector<char*> argv;
    for (const auto& word : words) argv.push_back(const_cast<char*>(word.c_str()));
    argv.push_back(nullptr);
    pid_ = ::floor_spawn(argv.data(), out);
    require(pid_ > 0, "floor_spawn " + words[0]);
  }
  ByHand(const ByHand&) = delete;
  ~ByHand() {
    stop();
    ::floor_forget();
  }

  void stop() {
    if (pid_ > 0) ::floor_stop(std::exchange(pid_, 0));
  }

 private:
  pid_t pid_ = 0;
};

// The same below a guardian in C.
class GuardedByHand {
 public:
  explicit GuardedByHand(const std::vector<std::string>& words) {
    std::vector<char*> argv;
    for (const auto& word : words) argv.push_back(const_cast<char*>(word.c_str()));
    argv.push_back(nullptr);
    require(::floor_guard(argv.data(), &process_) != 0, "floor_guard " + words[0]);
  }
  GuardedByHand(const GuardedByHand&) = delete;
  ~GuardedByHand() {
    if (runs_) stop();
    ::floor_forget();
  }

  int out() const { return process_.out; }
  bool lives() const { return ::floor_lives(&process_) != 0; }
  void stop() {
    runs_ = false;
    ::floor_end(&process_);
  }

 private:
  floor_guarded process_{};
  bool runs_ = true;
};

// A measurement in a fork of this process. Many can run at the same time.
class Forked {
 public:
  explicit Forked(const Measure& measure) {
    int ends[2];
    require(::pipe2(ends, O_CLOEXEC) == 0, "pipe2");
    pid_ = ::fork();
    if (pid_ == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      try {
        const Values values = measure();
        const auto size = values.size() * sizeof(double);
        ::_exit(::write(ends[1], values.data(), size) == static_cast<ssize_t>(size) ? 0 : 1);
      } catch (const std::exception& error) {
        std::fprintf(stderr, "%s\n", error.what());
        ::_exit(1);
      }
    }
    ::close(ends[1]);
    from_ = ends[0];
  }

  Values values() {
    Values values(16);
    const auto size = ::read(from_, values.data(), values.size() * sizeof(double));
    ::close(from_);
    ::waitpid(pid_, nullptr, 0);
    require(size > 0, "a fork has ended early");
    values.resize(static_cast<std::size_t>(size) / sizeof(double));
    return values;
  }

 private:
  pid_t pid_ = 0;
  int from_ = -1;
};

// Idle processes, which end with this object.
class Crowd {
 public:
  explicit Crowd(int count) {
    for (int i = 0; i < count; ++i) {
      const pid_t pid = ::fork();
      if (pid == 0) {
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        ::alarm(120);
        for (;;) ::pause();
      }
      if (pid > 0) pids_.push_back(pid);
    }
  }
  Crowd(const Crowd&) = delete;
  ~Crowd() {
    for (const pid_t pid : pids_) ::kill(pid, SIGKILL);
    for (const pid_t pid : pids_) ::waitpid(pid, nullptr, 0);
  }

 private:
  std::vector<pid_t> pids_;
};

}  // namespace bench
