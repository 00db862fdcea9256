// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <dirent.h>
#include <glob.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <sstream>
#include <string_view>
#include <vector>

#include <mirakuru/os/clock.hpp>
#include <mirakuru/os/unique_fd.hpp>
#include <mirakuru/output/capture.hpp>
#include <mirakuru/post_mortem/post_mortem.hpp>
#include <mirakuru/spawn/guarded.hpp>

namespace mirakuru {

namespace detail {

/// The first line of a file; empty if it cannot be read.
inline std::string first_line(const char* path) {
  std::string line;
  std::getline(std::ifstream{path}, line);
  return line;
}

/// The paths of the files in a directory.
inline std::vector<std::string> files_in(const std::string& directory) {
  std::vector<std::string> paths;
  const std::unique_ptr<DIR, int (*)(DIR*)> names{::opendir(directory.c_str()), ::closedir};
  while (const dirent* const entry = names ? ::readdir(names.get()) : nullptr)
    if (const std::string name = entry->d_name; name != "." && name != "..")
      paths.push_back(directory + '/' + name);
  return paths;
}

/// The first lines of a text, without those of `=` alone, and with a count of the others.
inline std::string first_lines(std::istream& text, int most) {
  std::string result, line;
  int count = 0;
  while (std::getline(text, line))
    if ((line.empty() || line.find_first_not_of('=') != line.npos) && count++ < most)
      result += "\n    " + line;
  if (count > most) result += "\n    ... " + std::to_string(count - most) + " more lines";
  return result;
}

// Source: core(5).
MIRAKURU_DECL std::string core_glob(const std::string& pattern, bool uses_pid,
                                    const std::string& cwd, pid_t pid) {
  std::string result;
  bool has_pid = false;
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    if (pattern[i] != '%') {
      result += pattern[i];
      continue;
    }
    const char field = ++i < pattern.size() ? pattern[i] : '%';
    const bool is_pid = std::string_view{"pPiI"}.find(field) != std::string_view::npos;
    has_pid |= field == 'p';
    result += is_pid ? std::to_string(pid) : field == '%' ? "%" : "*";
  }
  if (uses_pid && !has_pid) result += '.' + std::to_string(pid);
  return result.starts_with('/') ? result : cwd + '/' + result;
}

/// The output of a program, which gets some seconds. Throws `std::system_error`.
inline std::string output_of(std::vector<std::string> words, std::chrono::seconds patience) {
  const auto streams = open_streams(Capture{});
  const LaunchRequest request{.words = std::move(words),
                              .out = streams.out().fd(),
                              .err = streams.err().fd(),
                              .steps = {{SIGTERM, std::chrono::seconds{1}}},
                              .stop_budget = std::chrono::seconds{1}};
  auto process = GuardedSpawner{}.spawn(request);
  const auto deadline = Clock::now() + patience;
  for (bool killed = false; process.alive();) {
    if (!killed && Clock::now() > deadline) process.signal(SIGKILL), killed = true;
    const timespec pause{.tv_sec = 0, .tv_nsec = 5'000'000};
    ::nanosleep(&pause, nullptr);
  }
  return streams.out().text();
}

}  // namespace detail

MIRAKURU_DECL PostMortem::Run::Run(const PostMortem& options, LaunchRequest& request)
    : cwd_{request.cwd.empty() ? "." : request.cwd},
      core_{options.core},
      began_{std::chrono::system_clock::now()} {
  if (core_ && std::ranges::count(request.limits, RLIMIT_CORE, &ResourceLimit::resource) == 0) {
    rlimit own{};
    ::getrlimit(RLIMIT_CORE, &own);
    request.limits.push_back({RLIMIT_CORE, own.rlim_max, own.rlim_max});
  }
  if (!options.sanitizers) return;
  const char* const tmpdir = ::secure_getenv("TMPDIR");
  std::string place = tmpdir == nullptr || *tmpdir == '\0' ? "/tmp" : tmpdir;
  place += "/mirakuru-reports.XXXXXX";
  if (::mkdtemp(place.data()) == nullptr) detail::throw_errno("a directory for reports");
  reports_ = place;
  ::chmod(place.c_str(), 01777);  // the service may change its user
  for (const char* name : {"ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS", "LSAN_OPTIONS"}) {
    const char* const inherited = std::getenv(name);
    const auto given = request.env.find(name);
    auto value = given != request.env.end() ? given->second
                 : inherited != nullptr     ? inherited
                                            : std::string{};
    if (value.find("log_path=") != std::string::npos) continue;
    if (!value.empty()) value += ':';
    request.env[name] = value + "log_path=" + place + "/report";
  }
}

MIRAKURU_DECL PostMortem::Run::~Run() {
  if (reports_.empty()) return;
  for (const auto& report : detail::files_in(reports_)) ::unlink(report.c_str());
  ::rmdir(reports_.c_str());
}

MIRAKURU_DECL std::string PostMortem::Run::reports() const noexcept try {
  std::string text;
  if (reports_.empty()) return text;
  for (const auto& path : detail::files_in(reports_)) {
    std::ifstream report{path};
    text += (text.empty() ? "" : "\n") + std::string{"  a sanitizer's report:"} +
            detail::first_lines(report, 25);
  }
  return text;
} catch (const std::exception&) {
  return {};
}

MIRAKURU_DECL std::string PostMortem::Run::backtrace(pid_t leader) const noexcept try {
  if (!core_) return {};
  const auto none = [](const std::string& reason) { return "  no backtrace: " + reason; };
  const auto pattern = detail::first_line("/proc/sys/kernel/core_pattern");
  if (pattern.starts_with('|')) return none("the kernel hands core files to " + pattern.substr(1));
  const bool uses_pid = detail::first_line("/proc/sys/kernel/core_uses_pid") == "1";
  const auto place = detail::core_glob(pattern, uses_pid, cwd_, leader);
  glob_t found{};
  const std::unique_ptr<glob_t, void (*)(glob_t*)> owner{&found, ::globfree};
  std::string file;
  if (::glob(place.c_str(), 0, nullptr, &found) == 0)
    for (std::size_t i = 0; i < found.gl_pathc; ++i) {
      struct stat status{};
      if (::stat(found.gl_pathv[i], &status) == 0 &&
          status.st_mtim.tv_sec >= std::chrono::system_clock::to_time_t(began_))
        file = found.gl_pathv[i];
    }
  if (file.empty()) return none("there is no core file at " + place);
  const auto remove = [](const std::string* name) { ::unlink(name->c_str()); };
  const std::unique_ptr<const std::string, decltype(remove)> removed{&file, remove};
  const auto gdb = [&file](std::vector<std::string> more) {
    std::vector<std::string> words{"gdb", "-batch", "-nx", "-iex", "set debuginfod enabled off"};
    words.insert(words.end(), more.begin(), more.end());
    words.insert(words.end(), {"-c", file});
    return detail::output_of(std::move(words), std::chrono::seconds{15});
  };
  // The program of the core file, which may be another one than the command's.
  const auto vector = gdb({"-ex", "info auxv"});
  const auto at = vector.find("AT_EXECFN");
  const auto begin = vector.find('"', at), end = vector.find('"', begin + 1);
  if (at == vector.npos || end == vector.npos) return none("gdb does not read " + file);
  std::istringstream trace{
      gdb({"-ex", "thread apply all bt", vector.substr(begin + 1, end - begin - 1)})};
  // In front of the first thread gdb says which libraries it has found.
  std::string line, threads;
  while (std::getline(trace, line))
    if (!threads.empty() || line.starts_with("Thread ")) threads += line + '\n';
  std::istringstream lines{threads};
  return "  backtrace:" + detail::first_lines(lines, 40);
} catch (const std::exception& error) {
  return std::string{"  no backtrace: "} + error.what();
}

}  // namespace mirakuru
