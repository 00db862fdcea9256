// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/stat.h>
#include <unistd.h>
#include <algorithm>
#include <cerrno>
#include <system_error>
#include <utility>

#include <mirakuru/output/streams.hpp>

namespace mirakuru {

namespace detail {

[[nodiscard]] inline long long file_size(const UniqueFd& file) {
  struct stat status{};
  if (::fstat(file.get(), &status) != 0)
    throw std::system_error{errno, std::generic_category(), "fstat"};
  return status.st_size;
}

MIRAKURU_DECL std::string last_lines(const std::string& text, std::size_t lines) {
  const auto end = text.find_last_not_of('\n') + 1;  // npos + 1 is 0
  auto begin = end;
  while (begin > 0 && (text[begin - 1] != '\n' || --lines > 0)) --begin;
  return text.substr(begin, end - begin);
}

}  // namespace detail

MIRAKURU_DECL OutputStreams::OutputStreams(detail::UniqueFd out, detail::UniqueFd err, bool kept)
    : out_{std::move(out)}, err_{std::move(err)}, kept_{kept} {
  if (!kept_) return;
  if (out_) out_begin_ = detail::file_size(out_);
  if (err_) err_begin_ = detail::file_size(err_);
}

MIRAKURU_DECL long long OutputStreams::size(const detail::UniqueFd& file, long long begin) const {
  return is_kept(file) ? detail::file_size(file) - begin : 0;
}

MIRAKURU_DECL std::size_t OutputStreams::read_at(const detail::UniqueFd& file, long long offset,
                                                 std::span<char> into) const {
  std::size_t done = 0;
  while (is_kept(file) && done < into.size()) {
    constexpr std::size_t most = std::size_t{1} << 30;  // one call takes no more than twice that
    const auto next = into.subspan(done, std::min(into.size() - done, most));
    const auto n =
        ::pread(file.get(), next.data(), next.size(), offset + static_cast<long long>(done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) throw std::system_error{errno, std::generic_category(), "pread"};
    done += static_cast<std::size_t>(n);
    if (static_cast<std::size_t>(n) < next.size()) break;  // the file's end
  }
  return done;
}

MIRAKURU_DECL std::string OutputStreams::read(const detail::UniqueFd& file, long long from) const {
  if (!is_kept(file)) return {};
  const auto size = detail::file_size(file);
  if (size < from) from = 0;  // cut off since, as with `truncate -s 0`: all that is there is new
  std::string text(static_cast<std::size_t>(size - from), '\0');
  text.resize(read_at(file, from, text));
  return text;
}

MIRAKURU_DECL std::string OutputStreams::read_end(const detail::UniqueFd& file,
                                                  long long from) const {
  constexpr long long most_bytes = 2048;
  constexpr std::size_t most_lines = 10;
  if (!is_kept(file)) return {};
  return detail::last_lines(read(file, std::max(from, detail::file_size(file) - most_bytes)),
                            most_lines);
}

}  // namespace mirakuru
