// SPDX-License-Identifier: BSL-1.0
#include <unistd.h>

#include "helper.hpp"

namespace helper {
namespace {

int run_stdin(const Args&) {
  write_all(1, "ready\n");
  wait_for_end(0);
  write_all(1, "eof\n");
  return 0;
}

// Byte i is a letter computed from i: a test sees lost and repeated bytes.
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

constexpr Verb verbs[] = {
    {"sleep", run_sleep, 1, 1, "MS [exit=CODE]"},
    {"exit", run_exit, 1, 1, "CODE [out=TEXT] [err=TEXT] [after=MS]"},
    {"stdin", run_stdin, 0, 0, ""},
    {"flood", run_flood, 1, 1, "BYTES [line=N] [write=N] [then=TEXT] [fd=1|2] [exit=CODE]"},
    {"print", run_print, 0, any, "TEXT... [split=MS] [fd=1|2] [exit=CODE]"},
    {"touch", run_touch, 1, 1, "FILE [delay=MS] [content=TEXT] [exit=CODE]"},
    {"pidfile", run_pidfile, 1, 1, "FILE [delay=MS] [exit=CODE]"},
    {"close-stdio", run_close_stdio, 0, 0, "[pidfile=FILE]"},
};

}  // namespace

std::span<const Verb> output_verbs() { return verbs; }

}  // namespace helper
