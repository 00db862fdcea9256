// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <algorithm>

#include <mirakuru/os/printable.hpp>
#include <mirakuru/ready/file/line_probe.hpp>
#include <mirakuru/ready/file/log_file.hpp>

namespace mirakuru {

namespace detail {

/// The last bytes of a file's first `size`.
inline std::string bytes_before(const OutputFile& file, long long size) {
  constexpr long long most = 64;
  std::string bytes(static_cast<std::size_t>(std::clamp(size, 0LL, most)), '\0');
  bytes.resize(file.read(size - static_cast<long long>(bytes.size()), bytes));
  return bytes;
}

inline LogBefore log_now(const std::string& path) {
  LogBefore now;
  if (::stat(path.c_str(), &now.file) != 0) return {};
  try {
    if (now.file.st_size > 0) now.end = bytes_before(OutputFile::open(path), now.file.st_size);
  } catch (const std::system_error&) {  // nobody may read it so far
  }
  return now;
}

/// The place in a log file at which its new lines begin, in bytes.
inline long long new_lines_of(const OutputFile& log, const LogBefore& before) {
  struct stat file{};
  if (::fstat(log.fd(), &file) != 0) return 0;
  const auto size = before.file.st_size;
  const bool has_grown = file.st_dev == before.file.st_dev && file.st_ino == before.file.st_ino &&
                         file.st_size >= size &&
                         (before.end.empty() || bytes_before(log, size) == before.end);
  return has_grown ? size : 0;
}

/// Searches a log file, from its end before the start.
class LogFileProbe final : public LineProbe {
 public:
  LogFileProbe(const LogFileCheck& check, const Process& process)
      : LineProbe{process, check.path.str(), check.pattern, check.times} {
    const bool prepared = check.before.get() != nullptr && !process.context().from_now_on;
    before_ = prepared ? *check.before.get() : log_now(path());
  }

 private:
  [[nodiscard]] long long begin_of(const OutputFile& file) const override {
    return new_lines_of(file, before_);
  }

  LogBefore before_;
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
  auto log = OutputFile::open(path);
  if (before.get() != nullptr) log.keep_from(detail::new_lines_of(log, *before.get()));
  return detail::first_line(log, pattern);
}

MIRAKURU_DECL void LogFileCheck::prepare(LaunchRequest&) const {
  before.emplace(detail::log_now(path.str()));
}

MIRAKURU_DECL std::unique_ptr<Probe> LogFileCheck::probe(const Process& process) const {
  return std::make_unique<detail::LogFileProbe>(*this, process);
}

}  // namespace mirakuru
