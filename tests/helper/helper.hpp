// SPDX-License-Identifier: BSL-1.0
// Shared by the files of the helper program.

#pragma once

#include <fcntl.h>
#include <sys/types.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdlib>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace helper {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

/// The program ends by itself then.
extern const Clock::time_point deadline;
/// The arguments of main().
extern char** arguments;

/// The words of a verb and its options.
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

/// A verb of the program. Its usage is also the rule for its arguments: key=value is an option
/// where the usage has [key=, else it is a word.
struct Verb {
  std::string_view name;
  int (*run)(const Args&);
  std::size_t least, most;  // words
  std::string_view usage;
};

inline constexpr std::size_t any = 1'000'000;

// Each group of verbs is a file.
std::span<const Verb> signal_verbs();
std::span<const Verb> server_verbs();
std::span<const Verb> descendant_verbs();
std::span<const Verb> inspect_verbs();
std::span<const Verb> output_verbs();
std::span<const Verb> notify_verbs();

/// Prints the reason and ends the program with 1.
[[noreturn]] void fail(const std::string& reason, int error = errno);

// Time. No wait goes beyond the deadline.

/// The milliseconds left, as poll() takes them.
int poll_ms(Clock::time_point due);
void sleep_until(Clock::time_point due);
void nap(milliseconds time);

// Files and texts.

void write_all(int fd, std::string_view text);
/// `flags` are added to those of open(): O_TRUNC or O_APPEND.
void put_file(const std::string& path, std::string_view text, int flags);
/// Writes this process's id to pidfile=FILE.
void put_pid(const Args& a, int flags = O_TRUNC);
/// Waits until no process holds the other end of the pipe.
void wait_for_end(int fd);
std::string unescape(std::string_view text);
std::vector<std::string> split(std::string_view text, char separator);
/// Prints out=TEXT and err=TEXT, then waits for after=MS.
void print_and_wait(const Args& a);
/// The end of most verbs: with exit=CODE it returns at once, else the process stays.
int finish(const Args& a);

// Signals.

/// The numbers of "TERM,SIGINT,9" or of "all".
std::vector<int> signals(const std::string& list);
void set_handler(const std::string& list, void (*handler)(int));
extern "C" void do_nothing(int);

// Sockets.

/// A socket that listens there.
int listening(const std::string& host, const std::string& port, int v6only = -1);
/// Accepts connections and holds them, until the deadline.
int hold_connections(int listener);

}  // namespace helper
