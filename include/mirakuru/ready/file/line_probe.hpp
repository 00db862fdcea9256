// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/stat.h>
#include <algorithm>
#include <cerrno>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>

#include <mirakuru/output/output_search.hpp>
#include <mirakuru/ready/file/file_probe.hpp>
#include <mirakuru/text/line_search.hpp>
#include <mirakuru/text/phrases.hpp>
#include <mirakuru/text/terminal_text.hpp>

namespace mirakuru {

/// Ready when a line of a file matches. The file may not exist yet. A file that takes its place is
/// searched from its begin.
class LineProbe : public FileProbe {
 public:
  /// Ready at the line number `times` that matches. The process and the pattern must outlive the
  /// probe, which calls a copy of a callable. If `path` is empty, a derived class fills
  /// `searches_`.
  LineProbe(const Process& process, std::string path, const LineMatcher& pattern,
            std::size_t times = 1)
      : FileProbe{process, std::move(path)},
        fresh_{pattern.fresh()},
        pattern_{fresh_ ? *fresh_ : pattern},
        times_{times} {}

  void close(TimePoint until) override {
    closed_at_ = until;
    for (auto& search : searches_) search.freeze();
  }

 protected:
  [[nodiscard]] Readiness look(TimePoint now) override {
    constexpr std::chrono::milliseconds longest_look{2};
    const auto until = detail::Clock::now() + longest_look;
    std::error_code error;
    if (!path().empty() && reopen(until, error)) return true;
    if (searches_.empty()) return not_ready(detail::reason_text(error));
    do {
      more_ = false;
      std::size_t count = gone_;
      for (auto& search : searches_) {
        if (search.look(until) && times_ == 1) return true;
        count += search.count();
        more_ |= search.more();
      }
      if (times_ > 1 && count >= times_) return true;
    } while (more_ && detail::Clock::now() < until);
    if (now >= closed_at_) more_ = false;
    return path().empty() ? Readiness{} : not_ready("no such line so far");
  }

  /// Searches a file, which must outlive the probe.
  void search(const OutputFile& file) { searches_.emplace_back(file, pattern_, times_ > 1); }

  /// The place in a file that the search begins at, in bytes.
  [[nodiscard]] virtual long long begin_of(const OutputFile&) const { return 0; }

  const std::optional<LineMatcher> fresh_;  // a callable's state is this probe's own
  const LineMatcher& pattern_;
  std::size_t times_;
  std::vector<OutputSearch> searches_;

 private:
  /// Opens a file that has taken the place of the last one, which is searched to its end first.
  /// True if that is ready. A file that cannot be opened, or is gone again, leaves all as it is.
  bool reopen(TimePoint until, std::error_code& error) {
    struct stat there{}, ours{};
    if (::stat(path().c_str(), &there) != 0) return keep_error(error, errno);
    if (!searches_.empty() && ::fstat(file_.fd(), &ours) == 0 && there.st_dev == ours.st_dev &&
        there.st_ino == ours.st_ino)
      return false;
    OutputFile next;
    try {
      next = OutputFile::open(path());
    } catch (const std::system_error& failure) {
      return keep_error(error, failure.code().value());
    }
    if (!searches_.empty()) {
      auto& last = searches_.back();
      do
        if (last.look(until) && times_ == 1) return true;
      while (last.more() && detail::Clock::now() < until);
      if (last.more()) return false;
      gone_ += last.count();
    }
    searches_.clear();
    next.keep_from(begin_of(next));
    file_ = std::move(next);
    search(file_);
    if (closed_at_ != TimePoint::max()) searches_.back().freeze();
    return false;
  }
  static bool keep_error(std::error_code& error, int number) {
    error = {number, std::generic_category()};
    return false;
  }

  OutputFile file_;
  std::size_t gone_ = 0;  // the lines that match in the files before it
  TimePoint closed_at_ = TimePoint::max();
};

namespace detail {

/// The first line of a file that matches; empty for none.
[[nodiscard]] inline std::string first_line(const OutputFile& file, const LineMatcher& pattern) {
  std::string text;
  TerminalText{}.feed(file.text(), text);
  const auto fresh = pattern.fresh();
  for (std::string_view rest = text; !rest.empty();) {
    const auto line = rest.substr(0, rest.find('\n'));
    if (LineSearch{fresh ? *fresh : pattern}.feed(line)) return std::string{line};
    rest.remove_prefix(std::min(line.size() + 1, rest.size()));
  }
  return {};
}

}  // namespace detail
}  // namespace mirakuru
