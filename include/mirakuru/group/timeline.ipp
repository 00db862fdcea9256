// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>

#include <mirakuru/group/timeline.hpp>
#include <mirakuru/os/printable.hpp>
#include <mirakuru/text/cut.hpp>
#include <mirakuru/text/phrases.hpp>

namespace mirakuru {

namespace detail {

/// The first and the last moment of a group's start.
struct GroupSpan {
  explicit GroupSpan(const std::vector<MemberTimes>& members) {
    for (const auto& member : members) {
      if (member.began == TimePoint{}) continue;
      begin = begin == TimePoint{} ? member.began : std::min(begin, member.began);
      end = std::max({end, member.began, member.ready});
    }
  }
  /// The share of the time until `moment`, 0 to 1.
  [[nodiscard]] double share(TimePoint moment) const {
    return end > begin ? std::chrono::duration<double>(std::clamp(moment, begin, end) - begin) /
                             std::chrono::duration<double>(end - begin)
                       : 0;
  }

  TimePoint begin = {}, end = {};
};

/// A member that did not become ready takes up the time until the end.
inline TimePoint end_of(const MemberTimes& member, const GroupSpan& span) {
  return member.ready == TimePoint{} ? span.end : member.ready;
}

/// The text within quotation marks of JSON. Source: RFC 8259, 7.
inline std::string json_text(const std::string& text) {
  std::string result;
  for (const char c : one_line(text)) {
    if (c == '"' || c == '\\') result += '\\';
    result += c;
  }
  return result;
}

/// The text between tags. Source: XML 1.0, 2.4.
inline std::string xml_text(const std::string& text) {
  std::string result;
  for (const char c : one_line(text))
    result += c == '<' ? "&lt;" : c == '>' ? "&gt;" : c == '&' ? "&amp;" : std::string{c};
  return result;
}

inline std::string decimal(double number) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f", number);
  return text;
}

}  // namespace detail

MIRAKURU_DECL std::vector<std::size_t> GroupTimeline::critical_path() const {
  const auto later = [this](std::size_t a, std::size_t b) {
    return members[a].ready < members[b].ready;
  };
  std::vector<std::size_t> path;
  std::vector<std::size_t> from(members.size());
  for (std::size_t i = 0; i < from.size(); ++i) from[i] = i;
  while (!from.empty() && path.size() < members.size()) {
    const auto last = *std::ranges::max_element(from, later);
    if (members[last].ready == TimePoint{}) break;
    path.push_back(last);
    from = members[last].needs;
  }
  std::ranges::reverse(path);
  return path;
}

MIRAKURU_DECL std::string GroupTimeline::text(std::size_t width) const {
  const detail::GroupSpan span{members};
  constexpr std::size_t longest_name = 24;
  std::size_t name_width = 0;
  std::vector<std::string> names;
  for (const auto& member : members) {
    names.push_back(detail::shortened(detail::one_line(member.name), longest_name));
    name_width = std::max(name_width, names.back().size());
  }
  const auto path = critical_path();
  std::string text;
  for (std::size_t i = 0; i < members.size(); ++i) {
    const auto& member = members[i];
    const bool is_critical = std::ranges::count(path, i) > 0;
    text += names[i] + std::string(name_width - names[i].size() + 1, ' ') + '|';
    const auto column = [&](TimePoint moment) {
      return static_cast<std::size_t>(span.share(moment) * static_cast<double>(width) + 0.5);
    };
    std::string bar(width, ' ');
    if (member.began != TimePoint{}) {
      const auto begin = std::min(column(member.began), width == 0 ? 0 : width - 1);
      const auto end = std::max(column(end_of(member, span)), begin + 1);
      std::fill(bar.begin() + static_cast<std::ptrdiff_t>(begin),
                bar.begin() + static_cast<std::ptrdiff_t>(std::min(end, width)),
                member.ready == TimePoint{} ? '?'
                : is_critical               ? '#'
                                            : '=');
    }
    text += bar + "| ";
    text += member.began == TimePoint{}   ? "not started"
            : member.ready == TimePoint{} ? "not ready"
                                          : detail::to_text(member.ready - member.began);
    text += '\n';
  }
  if (path.empty()) return text;
  text += "critical path (#): ";
  for (const auto place : path) text += names[place] + (place == path.back() ? "" : " > ");
  return text + ", " + detail::to_text(members[path.back()].ready - span.begin) + '\n';
}

MIRAKURU_DECL std::string GroupTimeline::svg() const {
  const detail::GroupSpan span{members};
  const auto path = critical_path();
  constexpr double name_width = 200, width = 600, row = 24;
  const auto height = row * static_cast<double>(members.size() + 1);
  std::string svg = "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"" +
                    detail::decimal(name_width + width) + "\" height=\"" + detail::decimal(height) +
                    "\" font-family=\"sans-serif\" font-size=\"12\">\n";
  for (std::size_t i = 0; i < members.size(); ++i) {
    const auto& member = members[i];
    const auto top = row * static_cast<double>(i);
    const auto name = detail::xml_text(member.name);
    svg += "<text x=\"4\" y=\"" + detail::decimal(top + 16) + "\">" +
           detail::xml_text(detail::shortened(member.name, 28)) + "</text>\n";
    if (member.began == TimePoint{}) continue;
    const auto begin = name_width + width * span.share(member.began);
    const auto end = name_width + width * span.share(end_of(member, span));
    const char* const colour = member.ready == TimePoint{}       ? "#999999"
                               : std::ranges::count(path, i) > 0 ? "#d55e00"
                                                                 : "#56b4e9";
    svg +=
        "<rect x=\"" + detail::decimal(begin) + "\" y=\"" + detail::decimal(top + 4) +
        "\" width=\"" + detail::decimal(std::max(end - begin, 1.0)) + "\" height=\"" +
        detail::decimal(row - 8) + "\" fill=\"" + colour + "\"><title>" + name + ": " +
        (member.ready == TimePoint{} ? "not ready" : detail::to_text(member.ready - member.began)) +
        "</title></rect>\n";
  }
  svg += "<text x=\"" + detail::decimal(name_width) + "\" y=\"" + detail::decimal(height - 8) +
         "\">0</text>\n<text x=\"" + detail::decimal(name_width + width - 4) + "\" y=\"" +
         detail::decimal(height - 8) + "\" text-anchor=\"end\">" +
         detail::to_text(span.end - span.begin) + "</text>\n";
  return svg + "</svg>\n";
}

MIRAKURU_DECL std::string GroupTimeline::chrome_trace() const {
  const detail::GroupSpan span{members};
  const auto path = critical_path();
  const auto microseconds = [](auto time) {
    return std::to_string(std::chrono::duration_cast<std::chrono::microseconds>(time).count());
  };
  std::string events;
  const auto add = [&](const std::string& name, std::size_t row, TimePoint begin, TimePoint end,
                       const char* category) {
    events += (events.empty() ? "" : ",\n") + ("{\"name\":\"" + detail::json_text(name)) +
              "\",\"cat\":\"" + category +
              "\",\"ph\":\"X\",\"pid\":1,\"tid\":" + std::to_string(row + 1) +
              ",\"ts\":" + microseconds(begin - span.begin) +
              ",\"dur\":" + microseconds(std::max(end, begin) - begin) + "}";
  };
  for (std::size_t i = 0; i < members.size(); ++i) {
    const auto& member = members[i];
    if (member.began == TimePoint{}) continue;
    add(member.name, i, member.began, end_of(member, span),
        std::ranges::count(path, i) > 0 ? "critical" : "member");
    for (std::size_t check = 0; check < member.start.checks.size(); ++check) {
      const auto& times = member.start.checks[check];
      if (times.first_tried == TimePoint{}) continue;
      add(check < member.checks.size() ? member.checks[check] : "check", i, times.first_tried,
          times.passed == TimePoint{} ? span.end : times.passed, "check");
    }
  }
  return "{\"traceEvents\":[\n" + events + "\n]}\n";
}

}  // namespace mirakuru
