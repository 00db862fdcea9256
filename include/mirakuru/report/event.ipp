// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <mirakuru/os/printable.hpp>
#include <mirakuru/report/event.hpp>
#include <mirakuru/text/cut.hpp>
#include <mirakuru/text/phrases.hpp>

namespace mirakuru {

namespace detail {

/// The words of each event behind the command.
struct EventText {
  [[gnu::cold]] std::string operator()(const StillWaiting& event) const {
    const bool limited = event.limit != std::chrono::nanoseconds::max();
    return "still waiting for " + event.awaited +
           (event.answer.empty() ? "" : " (" + event.answer + ')') + ", " + to_text(event.waited) +
           (limited ? " of " + to_text(event.limit) : "") + last_line(event.last_line);
  }
  [[gnu::cold]] std::string operator()(const EndedBadly& event) const {
    const auto* const when = event.waited_for  ? ", and nobody asked for its exit code"
                             : event.by_itself ? " while nobody waited for it"
                                               : " when it was stopped";
    return exit_headline(event.exit_code) + when +
           (event.trouble.empty() ? "" : "; " + event.trouble) +
           (event.report.empty() ? "" : "; its sanitizers: " + event.report) +
           last_line(event.last_line);
  }
  [[gnu::cold]] std::string operator()(const HadToBeKilled& event) const {
    return "had to be killed by SIGKILL, " + to_text(event.after) + " after the first signal";
  }
  [[gnu::cold]] std::string operator()(const LeftStragglers& event) const {
    std::string text = "left processes behind, which needed a signal of their own:";
    constexpr std::size_t most = 5;
    for (std::size_t i = 0; i < event.stragglers.size() && i < most; ++i)
      text += (i == 0 ? " pid " : ", pid ") + std::to_string(event.stragglers[i].pid) + " (" +
              event.stragglers[i].command + ')';
    if (event.stragglers.size() > most)
      text += " and " + std::to_string(event.stragglers.size() - most) + " more";
    return text;
  }
  [[gnu::cold]] std::string operator()(const StopFailed& event) const {
    return "cannot be stopped: " + event.reason;
  }
  [[gnu::cold]] std::string operator()(const Spawned& event) const {
    return "spawned as pid " + std::to_string(event.pid);
  }
  [[gnu::cold]] std::string operator()(const CheckPassed& event) const {
    return event.check + " after " + to_text(event.after) + " (" + std::to_string(event.attempts) +
           (event.attempts == 1 ? " attempt)" : " attempts)") +
           (event.note.empty() ? "" : ", but " + event.note);
  }
  [[gnu::cold]] std::string operator()(const Stopped& event) const {
    return "stopped after " + to_text(event.after) + ": " + exit_headline(event.exit_code);
  }

  [[gnu::cold]] static std::string last_line(const std::string& line) {
    return line.empty() ? "" : "; its last line: " + line;
  }
};

}  // namespace detail

[[gnu::cold]] MIRAKURU_DECL std::string line_of(const Event& event) {
  constexpr std::size_t longest_command = 100;
  const auto command = detail::shortened(
      std::visit([](const auto& any) { return any.command; }, event), longest_command);
  return detail::one_line(command + ": " + std::visit(detail::EventText{}, event));
}

}  // namespace mirakuru
