// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <unistd.h>
#include <algorithm>
#include <chrono>
#include <exception>

#include <mirakuru/engine/service_base.hpp>
#include <mirakuru/error.hpp>
#include <mirakuru/os/clock.hpp>
#include <mirakuru/os/printable.hpp>
#include <mirakuru/os/proc.hpp>
#include <mirakuru/test/registry.hpp>

namespace mirakuru::detail {

MIRAKURU_DECL ServiceOfTests::ServiceOfTests(std::string name, bool is_one)
    : name_{std::move(name)}, is_one_{is_one} {
  Registry::instance().services_.push_back(this);
}
MIRAKURU_DECL ServiceOfTests::~ServiceOfTests() {
  auto& registry = Registry::instance();
  std::erase(registry.services_, this);
  std::erase(registry.started_, this);
  const std::lock_guard lock{registry.mutex_};
  for (auto& [service, run] : registry.runs_)
    if (run.owner == this) run.owner = nullptr;
}

MIRAKURU_DECL void ServiceOfTests::ensure_started() {
  auto& registry = Registry::instance();
  if (state_ == State::waiting && (registry.in_run_ || registry.starts_on_use_))
    registry.start(*this);
  if (state_ == State::waiting)
    throw ExecutorError{name_ + " starts with the first test that runs, and none has begun"};
  if (state_ == State::starting) throw ExecutorError{name_ + " needs itself in order to start"};
  if (state_ == State::failed)
    throw ExecutorError{name_ + " has not started: " + error_.substr(0, error_.find('\n'))};
}

MIRAKURU_DECL std::string named_lines(const std::string& name, const std::string& text) {
  std::string result;
  for (std::size_t at = 0; at < text.size();) {
    const auto end = std::min(text.find('\n', at), text.size());
    result += '[' + name + "] " + escaped(std::string_view{text}.substr(at, end - at), "\t") + '\n';
    at = end + 1;
  }
  return result;
}

/// A file's output in at most `most` lines, 1 or more.
inline std::string fitting_excerpt(const OutputFile& file, std::size_t most) {
  const auto lines = [](const std::string& text) {
    return static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n')) + 1;
  };
  const auto first = most / 4;
  auto text = file.excerpt(first, most - first);
  // The notes of the lines that are left out, or folded, are lines, too.
  for (auto last = most - first; last > 0 && lines(text) > most;) {
    last -= std::min(last, lines(text) - most);
    text = file.excerpt(first, last);
  }
  return text;
}

MIRAKURU_DECL std::string output_excerpt(const OutputStreams& streams, std::size_t most) {
  const auto lines = [](const std::string& text) {
    return static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n')) + !text.empty();
  };
  const auto text_of = [](const char* name, const std::string& text) {
    if (text.empty()) return text;
    std::string result = std::string{name} + " since the test began:\n  ";
    for (const char c : text) result += c == '\n' ? "\n  " : std::string(1, c);
    return result + '\n';
  };
  auto out = fitting_excerpt(streams.out(), most - 1);
  auto err = fitting_excerpt(streams.err(), most - 1);
  if (out == err) err.clear();  // one file for both
  if (!out.empty() && !err.empty() && lines(out) + lines(err) + 2 > most) {
    const auto half = (most - 2) / 2;
    const auto room = [&](const std::string& other) {
      return most - 2 - std::min(lines(other), half);
    };
    const auto for_out = room(err), for_err = room(out);
    out = fitting_excerpt(streams.out(), std::min(for_out, lines(out)));
    err = fitting_excerpt(streams.err(), std::min(for_err, lines(err)));
  }
  return text_of("standard output", out) + text_of("standard error", err);
}

MIRAKURU_DECL Registry& Registry::instance() {
  static auto* const registry = new Registry;  // executors may outlive all other objects
  return *registry;
}

MIRAKURU_DECL void Registry::install(Print how) noexcept {
  print_ = how;
  process_ = ::getpid();
  observer.store(this, std::memory_order_release);
}

MIRAKURU_DECL bool Registry::is_fork() const noexcept { return ::getpid() != process_; }

MIRAKURU_DECL void Registry::begin_run() {
  if (in_run_) return;
  {
    const std::lock_guard lock{mutex_};
    in_run_ = true;
    thread_ = std::this_thread::get_id();
  }
  for (auto* const service : services_) service->state_ = ServiceOfTests::State::waiting;
  for (std::size_t i = 0; i < services_.size() && start_failure_.empty(); ++i) {
    auto& service = *services_[i];
    if (service.state_ == ServiceOfTests::State::waiting) start(service);
    if (service.state_ == ServiceOfTests::State::failed)
      start_failure_ = service.name_ + " has not started: " + service.error_;
  }
}

MIRAKURU_DECL void Registry::start(ServiceOfTests& service) {
  const auto begin = [this](ServiceOfTests* next) {
    const std::lock_guard lock{mutex_};
    return std::exchange(starting_, next);
  };
  service.state_ = ServiceOfTests::State::starting;
  auto* const before = begin(&service);
  try {
    service.start_now();
    service.state_ = ServiceOfTests::State::started;
    started_.push_back(&service);
  } catch (const std::exception& error) {
    service.error_ = error.what();
    service.state_ = ServiceOfTests::State::failed;
  } catch (...) {
    service.error_ = "an exception that is no std::exception";
    service.state_ = ServiceOfTests::State::failed;
  }
  begin(before);
  const std::lock_guard lock{mutex_};
  for (auto& [observed, run] : runs_)  // a task that has ended is ready
    if (run.owner == &service && run.runs) run.is_settled = run.look(*observed) == Fate::ended;
}

MIRAKURU_DECL std::string Registry::start_failure() {
  if (!std::exchange(start_failure_told_, true)) return start_failure_;
  return start_failure_.substr(0, start_failure_.find('\n'));
}

MIRAKURU_DECL std::vector<std::string> Registry::end_run() {
  if (!in_run_) return {};
  std::vector<std::string> messages;
  for (const auto& list = started_; !list.empty();) {
    auto& service = *list.back();
    started_.pop_back();
    service.state_ = ServiceOfTests::State::ended;
    std::string reason;
    try {
      service.stop_now();
    } catch (const std::exception& error) {
      reason = error.what();
    } catch (...) {
      reason = "an exception that is no std::exception";
    }
    if (!reason.empty() && !service.told_dead_)
      messages.push_back(service.name_ + " has not ended well: " + reason);
  }
  const std::lock_guard lock{mutex_};
  messages.insert(messages.end(), failures_.begin(), failures_.end());
  failures_.clear();
  start_failure_.clear();
  start_failure_told_ = in_run_ = in_test_ = false;
  return messages;
}

MIRAKURU_DECL void Registry::begin_test() {
  const std::lock_guard lock{mutex_};
  thread_ = std::this_thread::get_id();
  ended_.clear();
  forgotten_ = 0;
  in_test_ = true;
  for (auto& [service, run] : runs_) try {
      run.streams.keep();
    } catch (const std::system_error&) {  // it shows more than it should
    }
}

MIRAKURU_DECL void Registry::look_at(Observed& service, Run& run) {
  if (!run.runs || run.is_settled) return;
  // The file is the only thing that may be looked at while another thread has the executor.
  const bool can_tell = proc_is_own();
  if (can_tell && !process_stat(run.leader).is_ending()) return;
  const auto limit = Clock::now() + std::chrono::seconds{5};
  auto fate = run.look(service);
  while (fate == Fate::running && can_tell && process_stat(run.leader).is_ending() &&
         Clock::now() < limit) {
    std::this_thread::sleep_for(std::chrono::milliseconds{1});
    fate = run.look(service);
  }
  if (fate == Fate::ended && run.owner != nullptr)
    failures_.push_back(run.name + ": exited with code 0 while the test ran");
  run.is_settled = fate == Fate::ended || fate == Fate::ended_badly;
}

MIRAKURU_DECL std::vector<std::string> Registry::take_failures() {
  const std::lock_guard lock{mutex_};
  if (!is_fork())
    for (auto& [service, run] : runs_) look_at(*service, run);
  return std::exchange(failures_, {});
}

MIRAKURU_DECL std::string Registry::output_of_test() {
  const std::lock_guard lock{mutex_};
  std::vector<Ended> all{ended_.begin(), ended_.end()};
  for (const auto& [service, run] : runs_)
    if (run.runs)
      all.push_back({run.name, run.leader, output_excerpt(run.streams, most_lines), run.number});
  std::erase_if(all, [](const Ended& one) { return one.output.empty(); });
  std::ranges::sort(all, {}, &Ended::number);
  std::string text;
  if (forgotten_ > 0)
    text = "[mirakuru] " + std::to_string(forgotten_) + " more have ended before\n";
  for (const auto& one : all) {
    const bool is_alone = std::ranges::count(all, one.name, &Ended::name) == 1;
    text +=
        named_lines(is_alone ? one.name : one.name + ' ' + std::to_string(one.leader), one.output);
  }
  if (!text.empty()) text.pop_back();
  return text;
}

MIRAKURU_DECL void Registry::end_test() {
  const std::lock_guard lock{mutex_};
  in_test_ = false;
  ended_.clear();
}

MIRAKURU_DECL void Registry::starting(Observed& service, Fate (*look)(Observed&)) noexcept try {
  if (is_fork()) return;
  const auto& base = static_cast<const ServiceBase&>(service);
  const std::lock_guard lock{mutex_};
  auto [place, is_new] = runs_.try_emplace(&service);
  auto& run = place->second;
  if (starting_ != nullptr && thread_ == std::this_thread::get_id()) run.owner = starting_;
  const bool has_name = run.owner != nullptr && run.owner->is_one_;
  run.name = has_name ? run.owner->name_ : base.label();
  if (run.owner != nullptr) run.owner->told_dead_ = false;
  run.look = look;
  run.leader = 0;
  run.runs = run.is_settled = false;
  run.number = ++number_;
  run.streams = base.streams.from_now_on();
} catch (...) {  // no memory, or too many open files: there is no output to show
}

MIRAKURU_DECL void Registry::started(Observed& service, pid_t leader) noexcept {
  if (is_fork()) return;
  const std::lock_guard lock{mutex_};
  const auto place = runs_.find(&service);
  if (place == runs_.end()) return;
  place->second.leader = leader;
  place->second.runs = true;
}

MIRAKURU_DECL void Registry::moved(Observed& from, Observed& to) noexcept {
  if (is_fork()) return;
  const std::lock_guard lock{mutex_};
  auto node = runs_.extract(&from);
  if (node.empty()) return;
  node.key() = &to;
  runs_.insert(std::move(node));
}

MIRAKURU_DECL void Registry::cleared(Observed& service) noexcept {
  if (is_fork()) return;
  const std::lock_guard lock{mutex_};
  const auto place = runs_.find(&service);
  if (place == runs_.end() || !std::exchange(place->second.runs, false)) return;
  auto& run = place->second;
  try {
    if (in_test_)
      ended_.push_back({run.name, run.leader, output_excerpt(run.streams, most_lines), run.number});
    if (ended_.size() > most_ended) {
      ended_.pop_front();
      ++forgotten_;
    }
  } catch (...) {  // no memory: there is no output to show
  }
  run.streams = {};
}

MIRAKURU_DECL void Registry::destroyed(Observed& service) noexcept {
  if (is_fork()) return;
  const std::lock_guard lock{mutex_};
  runs_.erase(&service);
}

MIRAKURU_DECL bool Registry::ended_badly(Observed& service, const std::string& message) noexcept
    try {
  if (is_fork()) return false;
  const std::lock_guard lock{mutex_};
  const auto place = runs_.find(&service);
  if (place == runs_.end() || !in_run_) return false;
  auto& run = place->second;
  failures_.push_back(run.name + ": " + message);
  run.is_settled = true;
  if (run.owner != nullptr) run.owner->told_dead_ = true;
  return true;
} catch (...) {  // no memory: the reporter tells it
  return false;
}

MIRAKURU_DECL bool Registry::print(const std::string& line) noexcept try {
  if (is_fork()) return false;
  const std::lock_guard lock{mutex_};
  if (!in_run_ || thread_ != std::this_thread::get_id()) return false;
  return print_(line, in_test_);
} catch (...) {  // it goes to standard error
  return false;
}

}  // namespace mirakuru::detail
