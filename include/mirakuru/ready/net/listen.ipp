// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>
#include <algorithm>
#include <vector>

#include <mirakuru/net/endpoint.hpp>
#include <mirakuru/net/holders.hpp>
#include <mirakuru/net/ports.hpp>
#include <mirakuru/ready/net/listen.hpp>

namespace mirakuru {

namespace detail {

/// The sockets that a `ListenCheck` is about.
class WantedListeners {
 public:
  explicit WantedListeners(const ListenCheck& check) : port_{check.port} {
    if (!check.host) return;
    for (const auto& endpoint : known_endpoints(*check.host, check.port))
      addresses_.push_back(*mapped_address(endpoint.data()));
  }
  [[nodiscard]] std::uint16_t port() const noexcept { return port_; }
  [[nodiscard]] bool contain(const ListenerEntry& entry) const {
    const auto takes = [&](const in6_addr& address) {
      return entry.distance_to(address).has_value();
    };
    return (port_ == 0 || entry.port == port_) &&
           (addresses_.empty() || std::ranges::any_of(addresses_, takes));
  }

 private:
  std::uint16_t port_;
  std::vector<in6_addr> addresses_;  // mapped; empty for any
};

class ListenProbe final : public Probe {
 public:
  ListenProbe(const ListenCheck& check, const Process& process)
      : wanted_{check}, process_{process}, tree_{process.pid(), process.context().guardian} {}

  Readiness poll(TimePoint) override {
    std::uint16_t port = 0;
    bool found = false, several = false;
    for (const auto& own : tree_.look(table_)) {
      if (!wanted_.contain(own.entry)) continue;
      several |= found && own.entry.port != port;
      found = true;
      port = own.entry.port;
    }
    if (auto* const kept = process_.context().port; found && !several && kept != nullptr)
      *kept = port;
    if (found) return true;
    return tree_.complete() ? Readiness{} : without_owner();
  }
  void wait(TimePoint now, WaitSet& waits) const override {
    waits.until(after(now, pause_after(process_.waited(now))));
  }

 private:
  /// /proc hides descriptors of the tree: a given port counts if nobody else is known to hold it.
  Readiness without_owner() {
    const auto open =
        wanted_.port() == 0 ? std::vector<ListenerEntry>{} : listeners_now(table_, wanted_.port());
    for (const auto& entry : open) {
      if (!wanted_.contain(entry)) continue;
      sockaddr_in6 address{};
      address.sin6_family = AF_INET6;
      address.sin6_port = htons(entry.port);
      address.sin6_addr = entry.address;
      const auto owner = owner_of_listener(table_, reinterpret_cast<const sockaddr*>(&address),
                                           process_.pid(), process_.context().guardian);
      if (owner.kind != ListenerOwner::Kind::unknown) continue;
      if (process_.context().port != nullptr) *process_.context().port = entry.port;
      return ready_but("its listener may be another's: " + owner.text);
    }
    return not_ready("/proc hides the ports that it listens on");
  }

  WantedListeners wanted_;
  const Process& process_;
  Listeners table_;
  TreeListeners tree_;
};

/// "127.0.0.1:8080", "port 8080".
inline std::string place_of(const ListenCheck& check) {
  const auto port = std::to_string(check.port);
  if (!check.host) return "port " + port;
  return authority(*check.host, check.port);
}

}  // namespace detail

MIRAKURU_DECL std::string ListenCheck::describe() const {
  if (port != 0) return "a listener on " + detail::place_of(*this);
  return host ? "a listener on a TCP port of " + host->str() : "a listener on a TCP port";
}

MIRAKURU_DECL bool ListenCheck::already_true() const {
  if (port == 0) return false;
  detail::Listeners table;
  const detail::WantedListeners wanted{*this};
  return std::ranges::any_of(detail::listeners_now(table, port),
                             [&](const auto& entry) { return wanted.contain(entry); });
}

MIRAKURU_DECL std::string ListenCheck::describe_conflict() const {
  const auto holder = detail::who_listens(host ? host->str() : "", port);
  return detail::place_of(*this) + " has a listener" + (holder.empty() ? "" : ", " + holder);
}

MIRAKURU_DECL std::string ListenCheck::hint(const Process& process) const {
  return detail::listening_advice(process.pid(), process.context().guardian,
                                  host ? host->str() : "", port);
}

MIRAKURU_DECL std::unique_ptr<Probe> ListenCheck::probe(const Process& process) const {
  return std::make_unique<detail::ListenProbe>(*this, process);
}

}  // namespace mirakuru
