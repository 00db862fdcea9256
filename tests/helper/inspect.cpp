// SPDX-License-Identifier: BSL-1.0
#include <dirent.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>

#include "helper.hpp"

namespace helper {
namespace {

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
  add("fds", open_descriptors());  // before this process opens a file
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

constexpr Verb verbs[] = {
    {"inspect", run_inspect, 1, any, "FILE [stay]"},
    {"args", run_args, 0, any, "WORD..."},
};

}  // namespace

std::span<const Verb> inspect_verbs() { return verbs; }

}  // namespace helper
