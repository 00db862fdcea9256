// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <dirent.h>
#include <fcntl.h>
#include <glob.h>
#include <link.h>
#include <sys/file.h>
#include <sys/procfs.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <memory>
#include <span>
#include <sstream>
#include <string_view>
#include <vector>

#include <mirakuru/os/clock.hpp>
#include <mirakuru/os/file_name.hpp>
#include <mirakuru/os/nameless_file.hpp>
#include <mirakuru/os/remove_contents.hpp>
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

/// A sanitizer reads its own variable, and those of the sanitizers that it contains.
inline constexpr const char* options_of_sanitizers[] = {"ASAN_OPTIONS", "HWASAN_OPTIONS",
                                                        "LSAN_OPTIONS", "MSAN_OPTIONS",
                                                        "TSAN_OPTIONS", "UBSAN_OPTIONS"};

/// The value of a variable that the command will have; empty if there is none.
inline std::string variable_of(const LaunchRequest& request, const char* name) {
  if (const auto given = request.env.find(name); given != request.env.end()) return given->second;
  const bool inherits = !request.clean_env && std::ranges::count(request.unset, name) == 0;
  const char* const inherited = inherits ? std::getenv(name) : nullptr;
  return inherited == nullptr ? "" : inherited;
}

/// True if the options of a sanitizer have a `log_path`. Source: sanitizer_flag_parser.cpp of LLVM.
inline bool has_log_path(std::string_view options) {
  constexpr std::string_view separators = " ,:\n\t\r";
  while (true) {
    options.remove_prefix(std::min(options.find_first_not_of(separators), options.size()));
    const auto equals = options.find('=');
    if (equals == options.npos) return false;
    if (options.substr(0, equals) == "log_path") return true;
    options.remove_prefix(equals + 1);
    const bool quoted = options.starts_with('\'') || options.starts_with('"');
    const auto end = quoted ? options.find(options[0], 1) : options.find_first_of(separators);
    if (end == options.npos) return false;
    options.remove_prefix(end + 1);
  }
}

/// Opens a directory of this user, and no link. Takes the lock that its owner holds; without it the
/// result is none.
inline UniqueFd lock_directory(const std::string& path) {
  constexpr int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
  UniqueFd directory{::open(path.c_str(), flags)};
  struct stat status{};
  if (!directory || ::fstat(directory.get(), &status) != 0 || status.st_uid != ::geteuid() ||
      ::flock(directory.get(), LOCK_EX | LOCK_NB) != 0)
    return {};
  return move_above_stdio(std::move(directory));
}

/// Removes a directory that is locked.
inline void remove_directory(const UniqueFd& lock, const std::string& path) {
  syscalls::remove_contents(lock.get());
  ::rmdir(path.c_str());
}

MIRAKURU_DECL ReportsDirectory::ReportsDirectory() : owner_{::getpid()} {
  for (const auto& directory : temporary_directories()) {
    const auto place = absolute_path(directory);
    const auto prefix = place + "/mirakuru-reports.";
    if (prefix.find('\'') != prefix.npos) continue;  // the sanitizers' options cannot quote it
    for (const auto& path : files_in(place))
      if (path.starts_with(prefix))
        if (const auto lock = lock_directory(path)) remove_directory(lock, path);
    // Another process may take it for an orphan until it is locked.
    for (int tries = 0; tries < 10; ++tries) {
      path_ = prefix + "XXXXXX";
      if (::mkdtemp(path_.data()) == nullptr) break;
      lock_ = lock_directory(path_);
      if (lock_ && ::access(path_.c_str(), F_OK) == 0) {
        ::fchmod(lock_.get(), 01777);  // the service may change its user
        return;
      }
      ::rmdir(path_.c_str());
    }
  }
  throw_errno("no directory for them can be made");
}

MIRAKURU_DECL ReportsDirectory::~ReportsDirectory() {
  if (::getpid() == owner_) remove_directory(lock_, path_);
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
                                    const std::string& cwd) {
  std::string result;
  const auto put = [&result](char c) {
    if (std::string_view{"*?[\\"}.find(c) != std::string_view::npos) result += '\\';
    result += c;
  };
  if (!pattern.starts_with('/'))
    for (const char c : cwd + '/') put(c);
  bool has_pid = false;
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    const char field = pattern[i] != '%' ? '\0' : ++i < pattern.size() ? pattern[i] : '%';
    has_pid |= field == 'p';
    if (field == '\0' || field == '%')
      put(field == '%' ? '%' : pattern[i]);
    else
      result += '*';
  }
  return result + (uses_pid && !has_pid ? ".*" : "");
}

/// Raises the limit of core files, unless the user has set one. Returns why there will be no core
/// file; empty if there may be one.
inline std::string raise_core_limit(LaunchRequest& request) {
  const auto given = std::ranges::find(request.limits, RLIMIT_CORE, &ResourceLimit::resource);
  if (given != request.limits.end()) return given->soft == 0 ? "its limit of core files is 0" : "";
  rlimit own{};
  ::getrlimit(RLIMIT_CORE, &own);
  request.limits.push_back({RLIMIT_CORE, own.rlim_max, own.rlim_max});
  return own.rlim_max == 0 ? "the hard limit of core files is 0" : "";
}

/// The process that an ELF core file is of.
struct CoreProcess {
  pid_t pid = 0, session = 0;  // zero for any other file
  std::string environment = {};
};

/// Looks into a file. Source: elf(5), and create_elf_tables() of Linux.
inline CoreProcess process_of_core(const char* path) {
  const UniqueFd file{::open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
  const auto read = [&file](auto& into, std::size_t at) {
    return ::pread(file.get(), &into, sizeof into, static_cast<off_t>(at)) == sizeof into;
  };
  ElfW(Ehdr) head;
  ElfW(Phdr) part;
  constexpr auto own_class = sizeof(void*) == 8 ? ELFCLASS64 : ELFCLASS32;
  if (!read(head, 0) || std::memcmp(head.e_ident, ELFMAG, SELFMAG) != 0 ||
      head.e_ident[EI_CLASS] != own_class || head.e_type != ET_CORE || !read(part, head.e_phoff) ||
      part.p_type != PT_NOTE)  // the kernel's first part
    return {};
  const auto padded = [](std::size_t size) { return (size + 3) & ~std::size_t{3}; };
  prpsinfo_t info{};
  std::size_t name = 0;  // the address of the program's name, behind the environment
  ElfW(Nhdr) note;
  for (std::size_t at = part.p_offset, end = at + part.p_filesz; at < end && read(note, at);
       at += padded(note.n_descsz)) {
    at += sizeof note + padded(note.n_namesz);
    if (note.n_type == NT_PRPSINFO) read(info, at);
    ElfW(auxv_t) entry;
    for (auto place = at;
         note.n_type == NT_AUXV && place < at + note.n_descsz && read(entry, place);
         place += sizeof entry)
      if (entry.a_type == AT_EXECFN) name = entry.a_un.a_val;
  }
  CoreProcess process{info.pr_pid, info.pr_sid};
  for (std::size_t i = 1; i < head.e_phnum && read(part, head.e_phoff + i * sizeof part); ++i)
    if (const std::size_t size = name - part.p_vaddr; size < part.p_filesz) {
      process.environment.resize(std::min(size, std::size_t{128 * 1024}));
      const auto begin = part.p_offset + size - process.environment.size();
      [[maybe_unused]] const auto got =
          ::pread(file.get(), process.environment.data(), process.environment.size(),
                  static_cast<off_t>(begin));
    }
  return process;
}

/// The output of a program, which gets some seconds. Throws `std::system_error`.
inline std::string output_of(std::vector<std::string> words, const std::string& cwd,
                             std::chrono::seconds patience) {
  const auto streams = open_streams(Capture{});
  const LaunchRequest request{.words = std::move(words),
                              .cwd = cwd,
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

/// The stacks of a core file's threads; empty if gdb does not read it. Throws `std::system_error`
/// without gdb. `cwd`: where the program's path begins.
inline std::string threads_of(const std::string& core, const std::string& cwd) {
  const auto gdb = [&](std::vector<std::string> more) {
    std::vector<std::string> words{"gdb", "-batch", "-nx", "-iex", "set debuginfod enabled off"};
    words.insert(words.end(), more.begin(), more.end());
    words.insert(words.end(), {"-c", core});
    return output_of(std::move(words), cwd, std::chrono::seconds{15});
  };
  // The program of the core file, which may be another one than the command's.
  const auto vector = gdb({"-ex", "info auxv"});
  const auto at = vector.find("AT_EXECFN");
  const auto begin = vector.find('"', at), end = vector.find('"', begin + 1);
  if (at == vector.npos || end == vector.npos) return {};
  std::istringstream trace{
      gdb({"-ex", "thread apply all bt", vector.substr(begin + 1, end - begin - 1)})};
  // In front of the first thread gdb says which libraries it has found.
  std::string line, threads;
  while (std::getline(trace, line))
    if (!threads.empty() || line.starts_with("Thread ")) threads += line + '\n';
  return threads;
}

}  // namespace detail

MIRAKURU_DECL PostMortem::Run::Run(const PostMortem& options, LaunchRequest& request)
    : id_{"mirakuru_uuid=" + request.id + '\0'},
      core_{options.core},
      began_{std::chrono::system_clock::now()} {
  const auto* const directory = request.cwd.empty() ? "." : request.cwd.c_str();
  const std::unique_ptr<char, void (*)(void*)> path{::realpath(directory, nullptr), std::free};
  cwd_ = path ? path.get() : directory;
  if (core_) no_core_ = detail::raise_core_limit(request);
  if (!options.sanitizers ||
      std::ranges::any_of(detail::options_of_sanitizers, [&request](const char* name) {
        return detail::has_log_path(detail::variable_of(request, name));
      }))
    return;
  try {
    reports_ = std::make_unique<const detail::ReportsDirectory>();
  } catch (const std::system_error& error) {
    note_ =
        std::string{"its sanitizers write their reports to its standard error: "} + error.what();
    return;
  }
  for (const auto* const name : detail::options_of_sanitizers) {
    auto value = detail::variable_of(request, name);
    if (!value.empty()) value += ':';
    request.env[name] = value + "log_path='" + reports_->path() + "/report'";
  }
}

MIRAKURU_DECL std::string PostMortem::Run::reports() const noexcept try {
  std::string text;
  if (!reports_) return text;
  for (const auto& path : detail::files_in(reports_->path())) {
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
  if (!no_core_.empty()) return none(no_core_);
  const bool uses_pid = detail::first_line("/proc/sys/kernel/core_uses_pid") == "1";
  const auto place = detail::core_glob(pattern, uses_pid, cwd_);
  glob_t found{};
  const std::unique_ptr<glob_t, void (*)(glob_t*)> owner{&found, ::globfree};
  ::glob(place.c_str(), 0, nullptr, &found);
  std::vector<std::string> cores;  // the leader's is the first
  for (const char* const path : std::span{found.gl_pathv, found.gl_pathc}) {
    struct stat status{};
    const auto process = detail::process_of_core(path);
    const bool own =
        process.session == leader || process.environment.find(id_) != std::string::npos;
    if (own && ::stat(path, &status) == 0 &&
        status.st_mtim.tv_sec >= std::chrono::system_clock::to_time_t(began_))
      cores.insert(process.pid == leader ? cores.begin() : cores.end(), path);
  }
  if (cores.empty()) {
    const bool may_change_user =
        ::geteuid() == 0 && detail::first_line("/proc/sys/fs/suid_dumpable") == "0";
    return none("there is no core file at " + place +
                (may_change_user ? "; a process that changes its user leaves none" : ""));
  }
  std::string threads, reason = "gdb does not read it";
  try {
    threads = detail::threads_of(cores[0], cwd_);
  } catch (const std::system_error& error) {
    reason = error.what();
    reason.resize(std::min(reason.find('\n'), reason.size()));
  }
  if (threads.empty()) return none(reason + "; the core file is " + cores[0]);
  for (const auto& file : cores) ::unlink(file.c_str());
  std::istringstream lines{threads};
  return "  backtrace:" + detail::first_lines(lines, 40);
} catch (const std::exception& error) {
  return std::string{"  no backtrace: "} + error.what();
}

}  // namespace mirakuru
