// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <algorithm>

#include <mirakuru/os/printable.hpp>
#include <mirakuru/ready/file/line_probe.hpp>
#include <mirakuru/ready/file/log_file.hpp>

namespace mirakuru {

namespace detail {

/// All zero for a file that is not there.
inline struct stat file_now(const std::string& path) {
  struct stat file{};
  if (::stat(path.c_str(), &file) != 0) file = {};
  return file;
}

/// The place in a file at which its new lines begin, in bytes. `before`: the file as it was.
inline long long new_lines_of(const struct stat& file, const struct stat& before) {
  const bool same = file.st_dev == before.st_dev && file.st_ino == before.st_ino;
  return same && file.st_size >= before.st_size ? before.st_size : 0;
}

/// Searches a log file, from its end before the start.
class LogFileProbe final : public LineProbe {
 public:
  LogFileProbe(const LogFileCheck& check, const Process& process)
      : LineProbe{process, check.path.str(), check.pattern, check.times} {
    const bool prepared = check.before.get() != nullptr && !process.context().from_now_on;
    before_ = prepared ? *check.before.get() : file_now(path());
  }

 private:
  [[nodiscard]] long long begin_of(const struct stat& file) const override {
    return new_lines_of(file, before_);
  }

  struct stat before_;
};

}  // namespace detail

MIRAKURU_DECL std::string LogFileCheck::describe() const {
  const auto expression = detail::one_line(pattern.expression());
  return (expression.empty() ? "a line that matches" : "a line with '" + expression + "'") +
         (times > 1 ? ", " + std::to_string(times) + " times" : "") + " in " +
         detail::one_line(path.str());
}

MIRAKURU_DECL std::string LogFileCheck::hint(const Process&) const {
  struct stat file{};
  if (::stat(path.str().c_str(), &file) != 0) return path.str() + " is not there";
  const auto end = OutputFile::open(path).tail();
  return end.empty() ? path.str() + " is empty" : "the end of " + path.str() + ":\n" + end;
}

MIRAKURU_DECL std::string LogFileCheck::quote(const Process&) const {
  struct stat file{};
  if (::stat(path.str().c_str(), &file) != 0) return {};
  const auto begin = before.get() == nullptr ? 0 : detail::new_lines_of(file, *before.get());
  return detail::first_line(OutputFile::open(path, begin), pattern);
}

MIRAKURU_DECL void LogFileCheck::prepare(LaunchRequest&) const {
  before.emplace(detail::file_now(path.str()));
}

MIRAKURU_DECL std::unique_ptr<Probe> LogFileCheck::probe(const Process& process) const {
  return std::make_unique<detail::LogFileProbe>(*this, process);
}

}  // namespace mirakuru
