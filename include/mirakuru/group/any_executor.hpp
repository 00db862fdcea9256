// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>
#include <cstdint>
#include <iosfwd>
#include <memory>
#include <optional>
#include <source_location>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <mirakuru/group/any_service.hpp>

namespace mirakuru {

/// Owns an executor of any type, so that different ones fit in one container. The functions do the
/// same as those of `Executor`; `output()` is empty where the output policy keeps none.
///
/// One that has been moved from can be assigned to and destroyed only.
class AnyExecutor {
 public:
  template <class... Policies>
  AnyExecutor(Executor<Policies...>&& executor)
      : held_{std::make_unique<Box<Executor<Policies...>>>(std::move(executor))} {}

  AnyExecutor& start(std::source_location where = std::source_location::current()) & {
    service().base().where = where;
    service().run([this](detail::CoroutineLoop loop) {
      return service().start(loop, std::chrono::nanoseconds::max());
    });
    return *this;
  }
  AnyExecutor& stop() & { return end(service().end(detail::End::stop)); }
  AnyExecutor& stop(int signal, const std::vector<int>& accept = {}) & {
    return end(service().end_by(signal, detail::End::stop, accept));
  }
  AnyExecutor& kill() & { return end(service().end(detail::End::kill)); }
  AnyExecutor& kill(int signal) & { return end(service().end_by(signal, detail::End::kill, {})); }
  AnyExecutor& wait(Duration timeout = std::chrono::nanoseconds::max()) & {
    run(*service().wait(timeout));
    return *this;
  }
  AnyExecutor& check_alive() & {
    auto& base = service().base();
    if (!base.has_started() || service().pid() == 0) base.throw_not_started();
    if (!service().alive() || base.exit_code.value_or(0) != 0)
      base.throw_ended(detail::Clock::now());
    return *this;
  }
  /// A check or a predicate that takes a `Process`.
  template <ReadinessCheck Check>
  AnyExecutor& wait_for(Check check, Duration timeout) & {
    detail::BlockingLoop<detail::hana::basic_tuple<Check>> loop;
    detail::run(*service().wait_for(detail::AnyCheck::of(std::move(check)), timeout, loop), loop);
    return *this;
  }
  template <ReadinessCheck Check>
  AnyExecutor& wait_for(Check check) & {
    return wait_for(std::move(check), service().start_budget());
  }

  template <class Body>
  AnyExecutor& stopped(Body&& body,
                       std::source_location where = std::source_location::current()) & {
    detail::call_stopped(*this, std::forward<Body>(body), where);
    return *this;
  }

  /// Throws `ExecutorError` where the input policy holds no input open.
  AnyExecutor& write(std::string_view text, Duration timeout = std::chrono::seconds{10}) & {
    if (!service().base().has_started()) service().base().throw_not_started();
    service().base().write(text, timeout);
    return *this;
  }
  AnyExecutor& close_input() & {
    service().base().close_input(std::chrono::seconds{10});
    return *this;
  }
  AnyExecutor& pause() & {
    auto& base = service().base();
    if (!service().alive()) base.throw_not_running();
    base.paused = true;
    if (!service().pause()) base.throw_not_paused();
    return *this;
  }
  AnyExecutor& resume() & {
    if (std::exchange(service().base().paused, false) && service().alive()) service().resume();
    return *this;
  }

  bool running() { return service().alive(); }
  [[nodiscard]] pid_t pid() const noexcept { return service().pid(); }
  [[nodiscard]] std::optional<int> exit_code() {
    auto& base = service().base();
    (void)service().alive();
    base.told |= base.exit_code.has_value();
    return base.exit_code;
  }
  [[nodiscard]] std::string output() const { return service().base().streams.out().text(); }
  [[nodiscard]] std::string err_output() const { return service().base().streams.err().text(); }
  [[nodiscard]] std::vector<ListeningSocket> ports() {
    return service().base().listening(running() ? pid() : 0, service().guardian());
  }
  [[nodiscard]] std::uint16_t port() {
    return service().base().only_port(running() ? pid() : 0, service().guardian());
  }
  /// One that is not shared publishes nothing.
  [[nodiscard]] const std::string& published(const std::string& name) const {
    auto& base = service().base();
    if (!base.has_started()) base.throw_not_started();
    return base.published(service().values().published, name);
  }
  /// Empty where the spawner cannot tell.
  [[nodiscard]] const std::vector<Straggler>& stragglers() const noexcept {
    return service().base().stragglers;
  }
  [[nodiscard]] const std::string& command() const noexcept {
    return service().base().command.text();
  }
  [[nodiscard]] const Timeline& timeline() const noexcept { return service().base().timeline; }

  template <class Traits>
  friend std::basic_ostream<char, Traits>& operator<<(std::basic_ostream<char, Traits>& out,
                                                      const AnyExecutor& executor) {
    const auto text = executor.service().base().describe(executor.pid());
    return out.write(text.data(), static_cast<std::ptrdiff_t>(text.size()));
  }

 private:
  friend struct detail::ServiceAccess;

  struct Holder {
    virtual ~Holder() = default;
    detail::AnyService* service = nullptr;
  };
  template <class E>
  struct Box final : Holder {
    explicit Box(E&& given)
        : executor{std::move(given)}, typed{detail::ServiceAccess::of(executor)} {
      this->service = &typed;
    }
    E executor;
    detail::ServiceOf<detail::SetOf<E>> typed;
  };

  [[nodiscard]] detail::AnyService& service() const noexcept { return *held_->service; }
  static void run(detail::Task& task) { detail::run(task, detail::PollLoop{}); }
  AnyExecutor& end(std::unique_ptr<detail::Task> task) {
    run(*task);
    return *this;
  }

  std::unique_ptr<Holder> held_;
};

}  // namespace mirakuru
